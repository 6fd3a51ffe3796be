"""Arrow streams that no flights model can answer."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from fakes.malformed_case import ARROW, MISSPELT, NAMES, REQUIRED, Malformed, whole_bodies
from fakes.rows import arrow_stream
from fakes.signatures import FLIGHT

DEEP = 40
ENDS = b"\x00\x00\x00\x00\x02\x00\x00\x00\x04\x00\x00\x00"  # of the texts UA and UA


def _batch(**changed: Any) -> pa.RecordBatch:
    """Return two flights, some columns of them others."""
    columns = {name: pa.array([FLIGHT[name]] * 2) for name in NAMES} | changed
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _buffers(kind: pa.DataType, count: int, *buffers: bytes | None) -> pa.Array:
    """Return an array of buffers that may not fit."""
    return pa.Array.from_buffers(
        kind, count, [None if each is None else pa.py_buffer(each) for each in buffers]
    )


def arrow_cases() -> list[Malformed]:  # noqa: C901, PLR0912 - a table of cases
    cases: list[Malformed] = []
    good = arrow_stream(_batch())

    def add(kind: str, name: str, body: bytes, row: int | None = None, feature: str | None = None) -> None:
        cases.append(Malformed(ARROW, kind, name, body, row, feature))

    def column(
        kind: str, feature: str, array: pa.Array, row: int | None = None, *, name: str | None = None
    ) -> None:
        add(
            kind, name or f"{feature} is {array.type}", arrow_stream(_batch(**{feature: array})), row, feature
        )

    for name, body in (
        ("no stream", b"not an Arrow stream" * 10),
        ("a file, not a stream", b"ARROW1\x00\x00" + good),
        ("cut in the schema", good[:100]),
        ("zeros", bytes(200)),
        ("the second half", good[len(good) // 2 // 8 * 8 :]),
        ("a schema twice", good[: len(good) // 2] * 2),
        ("a length beyond the end", b"\xff\xff\xff\xff\xff\xff\xff\x7f" + good[8:]),
        ("a negative length", b"\xff\xff\xff\xff\x00\x00\x00\x80" + good[8:]),
        ("a schema of noise", good[:8] + bytes(range(256)) * 4),
        ("a schema changed", good[:8] + bytes(64) + good[72:]),
    ):
        add("syntax", name, body)
    twos = pa.array([1.0, 2.0])
    for kind in (
        pa.list_(pa.float64()),
        pa.list_(pa.float64(), 1),
        pa.large_list(pa.float64()),
        pa.struct([("a", pa.float64())]),
        pa.map_(pa.string(), pa.float64()),
        pa.list_view(pa.float64()),
    ):
        column("shape", "temp", pa.nulls(2, kind))
    column(
        "shape",
        "temp",
        pa.FixedShapeTensorArray.from_numpy_ndarray(twos.to_numpy().reshape(2, 1)),
        name="tensors",
    )
    column("shape", "temp", pa.RunEndEncodedArray.from_arrays([2], [1.0]))
    column("shape", "temp", pa.UnionArray.from_sparse(pa.array([0, 0], pa.int8()), [twos]))
    column(
        "shape",
        "temp",
        pa.UnionArray.from_dense(pa.array([0, 0], pa.int8()), pa.array([0, 1], pa.int32()), [twos]),
    )
    for feature, array, row in (
        ("dep_hour", pa.array([1.0, 5.5]), 1),
        ("weekday", pa.array([1.0, 0.1]), 1),
        ("temp", pa.array([True, False]), None),
        ("dep_hour", pa.array(["1", "x"]), 1),
        ("temp", pa.array(["1", "cold"]), 1),
        ("carrier", twos, None),
        ("dest", pa.array([1, 2]), None),
        ("temp", pa.array([b"1", b"2"]), None),
        ("temp", pa.array([1, 2], pa.timestamp("s")), None),
        ("carrier", pa.array([1, 2]).dictionary_encode(), None),
        ("temp", pa.array(["1", "a"]).dictionary_encode(), 1),
        ("temp", pa.array([b"1", b"2"]).dictionary_encode(), None),
        ("dep_hour", pa.array([1, 2], pa.duration("s")), None),
    ):
        column("type", feature, array, row)
    for name in NAMES:
        add("missing", f"no column {name}", arrow_stream(_batch().drop_columns([name])), None, name)
    for feature in REQUIRED:
        column("missing", feature, pa.array([FLIGHT[feature], None]), 1, name=f"{feature} is null")
        column("missing", feature, pa.nulls(2), 0, name=f"{feature} is null throughout")
    column(
        "missing", "origin", pa.array(["EWR", None]).dictionary_encode(), 1, name="origin is null, encoded"
    )
    for name in MISSPELT:
        add("extra", f"a column {name[:10]!r}", arrow_stream(_batch(**{name: twos})), None, name)
    doubled = pa.RecordBatch.from_arrays([*_batch().columns, twos], names=[*NAMES, "temp"])
    add("extra", "a column twice", arrow_stream(doubled), None, "temp")
    for feature, value in (
        ("weekday", 7),
        ("weekday", -1),
        ("distance", -0.5),
        ("distance", float("inf")),
        ("temp", float("inf")),
        ("temp", float("-inf")),
        ("dep_hour", 2.0**63),
        ("dep_hour", 1e30),
        ("origin", "XXX"),
        ("origin", "ewr"),
    ):
        array = pa.array([value] * 2).cast(
            pa.float64() if isinstance(value, float) else None or pa.array([value]).type
        )
        column("range", feature, array, 0, name=f"{feature} is {value}")
    column("range", "dep_hour", pa.array([1, 2**63], pa.uint64()), 1)
    add(
        "range",
        "the fault in the second batch",
        arrow_stream(_batch(), _batch(weekday=pa.array([1, 7]))),
        3,
        "weekday",
    )
    for kind, name, body in whole_bodies():
        add(kind, name, body)
    for name, fill in (
        ("no UTF-8", b"\xff\xff"),
        ("Latin-1", b"\xe9a"),
        ("cut in two", b"\xe2\x82"),
        ("overlong", b"\xc0\xaf"),
    ):
        ends = b"\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00"
        bad = _buffers(pa.string(), 2, None, ends, fill)
        column("encoding", "carrier", bad, name=f"text that is {name}")
        codes = pa.array([0, 1], pa.int32())
        column(
            "encoding",
            "carrier",
            pa.DictionaryArray.from_arrays(codes, bad),
            name=f"a dictionary that is {name}",
        )
    for name, batch, options in (
        ("compressed", _batch(), {"compression": "zstd"}),
        ("compressed by lz4", _batch(), {"compression": "lz4"}),
        ("100 MiB in 13 KiB", _batch(temp=pa.nulls(2)).slice(0, 0), {}),
    ):
        many = {name: pa.array([FLIGHT[name]] * 1_000_000) for name in NAMES} if "MiB" in name else None
        packed = pa.RecordBatch.from_pydict(many) if many else batch
        add("size", name, arrow_stream(packed, **(options or {"compression": "zstd"})))
    codes = pa.array([0, 5], pa.int32())
    column(
        "size",
        "carrier",
        pa.DictionaryArray.from_arrays(codes, pa.array(["UA"]), safe=False),
        name="a code beyond the dictionary",
    )
    column(
        "size",
        "carrier",
        pa.DictionaryArray.from_arrays(pa.array([0, -1], pa.int32()), pa.array(["UA"]), safe=False),
        name="a negative code",
    )
    for name, ends in (
        ("beyond the text", b"\x00\x00\x00\x00\x02\x00\x00\x00\xff\xff\xff\x7f"),
        ("negative", b"\x00\x00\x00\x00\xf0\xff\xff\xff\x02\x00\x00\x00"),
        ("backwards", b"\x02\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"),
    ):
        add("size", f"ends of texts that are {name}", good.replace(ENDS, ends, 1))
    add("size", "no rows", arrow_stream(_batch().slice(0, 0)))
    schema = _batch().schema
    sink = pa.BufferOutputStream()
    pa.ipc.new_stream(sink, schema).close()
    add("size", "no batches", sink.getvalue().to_pybytes())
    add(
        "size",
        "ten million million nulls",
        arrow_stream(pa.RecordBatch.from_arrays([pa.nulls(2)] * 13, names=NAMES)).replace(
            (2).to_bytes(8, "little"), (10**13).to_bytes(8, "little")
        ),
    )
    add("size", "20,000 batches", arrow_stream(*[_batch().slice(0, 1)] * 20_000))
    add("size", "cut in the batch", good[:-200])
    kind = pa.float64()
    for depth in range(1, DEEP):
        kind = pa.list_(kind) if depth % 2 else pa.struct([("a", kind)])
        if depth % 4 == 1:
            column("depth", "temp", pa.nulls(2, kind), name=f"types {depth} deep")
    return cases
