"""Open Inference requests, JSON and binary, that no flights model can answer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from fakes.malformed_case import MISSPELT, NAMES, REQUIRED, TENSORS, Malformed, whole_bodies
from fakes.signatures import FLIGHT, FLIGHTS

DEEP = 100_000
TYPES = {feature.name: feature.type for feature in FLIGHTS.features}
Tensor = dict[str, Any]


def tensor(name: str, values: list[Any] | None = None, **changed: Any) -> Tensor:
    """Return the tensor of a feature, for two flights or for the given values."""
    kind = {"string": "BYTES", "category": "BYTES", "int64": "INT64"}.get(TYPES.get(name, "double"), "FP64")
    data = [FLIGHT[name]] * 2 if values is None else values
    return {"name": name, "shape": [len(data)], "datatype": kind, "data": data} | changed


def request(*changed: Tensor, without: Iterable[str] = (), **more: Any) -> dict[str, Any]:
    """Return a request of good tensors but for the given ones."""
    other = {each["name"]: each for each in changed}
    good = [other.pop(name, None) or tensor(name) for name in NAMES if name not in without]
    return {"inputs": [*good, *other.values()], **more}


def binary(head: dict[str, Any] | bytes, *blobs: bytes, size: int | None = None) -> tuple[str, bytes]:
    """Return content type and body of a request with binary tensors."""
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    announced = len(text) if size is None else size
    return f"{TENSORS};json-header-size={announced}", text + b"".join(blobs)


def blob(name: str, datatype: str, data: bytes, *, count: int = 2, size: int | None = None) -> Tensor:
    """Return the head of a binary tensor."""
    announced = len(data) if size is None else size
    parameters = {"binary_data_size": announced}
    return {"name": name, "shape": [count], "datatype": datatype, "parameters": parameters}


def texts(*values: bytes) -> bytes:
    """Return BYTES as they are sent."""
    return b"".join(len(value).to_bytes(4, "little") + value for value in values)


def tensor_cases() -> list[Malformed]:  # noqa: C901, PLR0912, PLR0915 - a table of cases
    cases: list[Malformed] = []

    def add(kind: str, name: str, body: Any, row: int | None = None, feature: str | None = None) -> None:
        content_type = TENSORS
        if isinstance(body, tuple):
            content_type, body = body
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        cases.append(Malformed(content_type, kind, name, text, row, feature))

    def sent(kind: str, name: str, each: Tensor, data: bytes, row: int | None, feature: str | None) -> None:
        add(kind, f"{name}, binary", binary(request(each), data), row, feature)

    good = json.dumps(request()).encode()
    for name, body in (
        ("cut short", good[:-5]), ("a trailing comma", good[:-1] + b",}"), ("two values", good + good),
        ("single quotes", good.replace(b'"', b"'")), ("no colon", good.replace(b":", b" ", 1)),
        ("a comment", good[:-1] + b"/**/}"), ("a bracket too many", good + b"}"),
        ("a list", b"[%b]" % good), ("a number", b"5"), ("null", b"null"), ("a text", b'"inputs"'),
        ("cut short, binary", binary(good[:-5])), ("no JSON, binary", binary(b"\x00" * 100)),
    ):  # fmt: skip
        add("syntax", name, body)
    for name, changed in (
        ("three dimensions", tensor("temp", shape=[2, 1, 1])), ("two columns", tensor("temp", shape=[1, 2])),
        ("no dimension", tensor("temp", shape=[])), ("a row fewer", tensor("temp", [1.0])),
        ("a row more", tensor("temp", [1.0] * 3)),
        ("nested one too few", tensor("temp", [[1.0]], shape=[2, 1])),
        ("an element fewer than announced", tensor("temp", [1.0], shape=[2])),
        ("an element more than announced", tensor("temp", [1.0] * 3, shape=[2])),
        ("nested otherwise", tensor("temp", [[1.0, 2.0]], shape=[2])),
        ("data is a number", tensor("temp", shape=[2], data=5)),
        ("data is null", tensor("temp", shape=[2], data=None)),
        ("data is an object", tensor("temp", shape=[2], data={})),
    ):  # fmt: skip
        add("shape", name, request(changed), None, "temp")
    add("shape", "a negative length", request(tensor("temp", shape=[-1])))
    add("shape", "a length with a fraction", request(tensor("temp", shape=[1.5])))
    add("shape", "a shape that is a number", request(tensor("temp", shape=2)))
    add("shape", "inputs as an object", {"inputs": tensor("temp")})
    add("shape", "instances", {"instances": [FLIGHT]})
    numbers = np.array([1.0, 2.0])
    for name, each, data in (
        ("a byte fewer", blob("temp", "FP64", b"", size=15), numbers.tobytes()[1:]),
        ("a byte more", blob("temp", "FP64", b"", size=17), numbers.tobytes() + b"0"),
        ("another type's size", blob("temp", "FP32", numbers.tobytes()), numbers.tobytes()),
        ("a negative size", blob("temp", "FP64", b"", size=-1), b""),
    ):
        sent("shape", name, each, data, None, "temp")
    for feature, datatype, value in (
        ("dep_hour", "BYTES", "abc"), ("dep_hour", "FP64", 5.5), ("dep_hour", "BOOL", True),
        ("distance", "BYTES", "far"), ("distance", "BOOL", False), ("temp", "BYTES", "cold"),
        ("temp", "FP64", "39"), ("temp", "FP64", True), ("temp", "FP64", []), ("temp", "INT64", 1.5),
        ("carrier", "INT64", 7), ("carrier", "FP64", 7.0), ("carrier", "BOOL", True),
        ("carrier", "BYTES", 7), ("carrier", "BYTES", ["UA"]), ("origin", "BYTES", {}), ("dest", "FP64", 1),
    ):  # fmt: skip
        first = {"BYTES": "1" if TYPES[feature] not in {"string", "category"} else "EWR"}.get(datatype, value)
        row = (
            1
            if datatype == "BYTES" or (isinstance(value, str | list | bool) and datatype == "FP64")
            else None
        )
        start = first if datatype == "BYTES" else 1.0 if row else value
        add(
            "type",
            f"{feature} is {value!r} as {datatype}",
            request(tensor(feature, [start, value], datatype=datatype)),
            row,
            feature,
        )
    add("type", "a datatype that does not exist", request(tensor("temp", datatype="FP128")))
    add("type", "a datatype in small letters", request(tensor("temp", datatype="fp64")))
    for feature, datatype, array in (
        ("carrier", "FP64", numbers), ("carrier", "BOOL", np.array([True, False])),
        ("temp", "BOOL", np.array([True, False])), ("dep_hour", "FP32", np.array([1, 0.5], "f4")),
    ):  # fmt: skip
        sent(
            "type",
            f"{feature} as {datatype}",
            blob(feature, datatype, array.tobytes()),
            array.tobytes(),
            None,
            feature,
        )
    sent("type", "a BOOL of 2", blob("temp", "BOOL", b"\x00\x02"), b"\x00\x02", None, "temp")
    for name in NAMES:
        add("missing", f"no tensor {name}", request(without=[name]), None, name)
    for feature in REQUIRED:
        add("missing", f"{feature} is null", request(tensor(feature, [FLIGHT[feature], None])), 1, feature)
    for feature in ("distance", "dep_hour"):
        array = np.array([1.0, np.nan])
        sent(
            "missing",
            f"{feature} is NaN",
            blob(feature, "FP64", array.tobytes()),
            array.tobytes(),
            1,
            feature,
        )
    sent(
        "missing",
        "an empty text",
        blob("origin", "BYTES", texts(b"EWR", b"")),
        texts(b"EWR", b""),
        1,
        "origin",
    )
    add("missing", "no inputs", {"inputs": []})
    add("missing", "no field inputs", {"id": "1"})
    add("missing", "no data", request({"name": "temp", "shape": [2], "datatype": "FP64"}), None, "temp")
    add("missing", "no shape", request({"name": "temp", "datatype": "FP64", "data": [1, 2]}))
    for name in MISSPELT:
        add("extra", f"a tensor {name[:10]!r}", request(tensor(name, [1.0, 2.0])), None, name)
    add("extra", "a tensor twice", {"inputs": [*request()["inputs"], tensor("temp")]}, None, "temp")
    for more in (
        {"top_k": 3}, {"parameters": {"sequence_id": 1}}, {"parameters": {"a": {}}}, {"parameters": []},
        {"parameters": {"binary_data_output": 1}}, {"outputs": [{"name": "score"}]}, {"id": 5},
        {"outputs": [{"name": "predictions"}] * 2}, {"outputs": {"name": "predictions"}},
        {"outputs": [{"name": "predictions", "parameters": {"classification": 2}}]},
        {"outputs": [{"name": "predictions", "datatype": "FP64"}]},
    ):  # fmt: skip
        add("extra", f"{more}", request(**more))
    add(
        "extra",
        "data and binary data",
        request(tensor("temp", parameters={"binary_data_size": 16})),
        None,
        "temp",
    )
    add("extra", "a parameter of a tensor", request(tensor("temp", parameters={"unit": "F"})))
    add("extra", "a field of a tensor", request(tensor("temp", unit="F")))
    add("extra", "a field twice", good.replace(b'"name": "temp"', b'"name": "temp", "name": "temp"'))
    add("extra", "bytes behind the tensors", binary(good, b"1"))
    for feature, literal in (
        ("weekday", b"7"), ("weekday", b"-1"), ("distance", b"-0.5"), ("distance", b"1e999"),
        ("temp", b"-1e400"), ("temp", b"NaN"), ("temp", b"Infinity"), ("visib", b"-Infinity"),
        ("dep_hour", b"9223372036854775808"), ("dep_hour", b"-9223372036854775809"), ("dep_hour", b"1e30"),
        ("origin", b'"XXX"'), ("origin", b'"ewr"'),
    ):  # fmt: skip
        head = json.dumps(request(tensor(feature, [FLIGHT[feature], "PLACE"]))).encode()
        add("range", f"{feature} is {literal.decode()}", head.replace(b'"PLACE"', literal), 1, feature)
    for datatype, value in (
        ("INT8", 128), ("UINT8", -1), ("UINT8", 256), ("INT16", 2**15), ("UINT32", 2**32), ("FP16", 1e5),
        ("FP32", 1e39), ("UINT64", 2**64),
    ):  # fmt: skip
        add(
            "range",
            f"{value} as {datatype}",
            request(tensor("distance", [1, value], datatype=datatype)),
            1,
            "distance",
        )
    add(
        "range",
        "an integer no double holds",
        request(tensor("temp", [1, 2**53 + 1], datatype="INT64")),
        1,
        "temp",
    )
    for feature, datatype, array in (
        ("weekday", "FP64", np.array([1, 1e15])), ("weekday", "INT8", np.array([1, -1], "i1")),
        ("distance", "FP32", np.array([1, np.inf], "f4")), ("dep_hour", "UINT64", np.array([1, 2**63], "u8")),
        ("temp", "UINT64", np.array([1, 2**64 - 1], "u8")), ("temp", "INT64", np.array([1, -(2**62) - 1])),
    ):  # fmt: skip
        sent(
            "range",
            f"{feature} is {array[1]}",
            blob(feature, datatype, array.tobytes()),
            array.tobytes(),
            1,
            feature,
        )
    for kind, name, body in whole_bodies():
        add(kind, name, body)
        add(kind, f"{name}, binary", binary(body))
    add("encoding", "a byte order mark", b"\xef\xbb\xbf" + good)
    for name, fill in (
        ("Latin-1", b"\xe9"),
        ("cut in two", b"\xe2\x82"),
        ("overlong", b"\xc0\xaf"),
        ("a surrogate", b"\xed\xa0\x80"),
    ):
        data = texts(b"UA", fill)
        sent("encoding", name, blob("carrier", "BYTES", data), data, None, "carrier")
        add("encoding", name, good.replace(b'"UA"', b'"%b"' % fill, 1))
    for name, data, size in (
        ("a length beyond the end", b"\xff\xff\xff\x7fUA", None),
        ("a length cut in two", texts(b"UA") + b"\x01\x00", None),
        ("a text more", texts(b"UA", b"UA", b"UA"), None),
        ("a text fewer", texts(b"UA"), None),
        ("fewer bytes than lengths", b"\x00" * 7, None),
    ):
        sent("size", f"BYTES with {name}", blob("carrier", "BYTES", data, size=size), data, None, "carrier")
    add("size", "JSON longer than the body", binary(good, size=len(good) + 1))
    add("size", "JSON shorter than it is", binary(good, size=len(good) - 1))
    add("size", "no JSON at all", binary(good, size=0))
    add("size", "JSON of 10^17 bytes", binary(good, size=10**17))
    add("size", "binary tensors left out", binary(request(blob("temp", "FP64", b"", size=16))))
    add("size", "half the binary tensors", binary(request(blob("temp", "FP64", b"", size=16)), b"\x00" * 8))
    add("size", "binary tensors in plain JSON", request(blob("temp", "FP64", b"", size=16)))
    add("size", "a million million rows", request(tensor("temp", shape=[10**12])), None, "temp")
    add("size", "a length beyond 64 bits", request(tensor("temp", shape=[10**20])))
    add("size", "a hundred dimensions", request(tensor("temp", shape=[1] * 100)))
    add("size", "no rows", {"inputs": [tensor(name, []) for name in NAMES]})
    add("size", "10,000 tensors", {"inputs": [tensor(f"f{j}", [1.0]) for j in range(10_000)]}, None, "f0")
    for depth in (2, 64, 500):
        for name, literal in (
            ("lists", b"[" * depth + b"]" * depth),
            ("objects", b'{"a":' * depth + b"1" + b"}" * depth),
        ):
            head = json.dumps(request(tensor("temp", ["PLACE", 1.0]))).encode()
            add("depth", f"{depth} {name} in a value", head.replace(b'"PLACE"', literal), None, "temp")
    for name, body in (
        ("lists alone", b"[" * DEEP), ("lists opened and closed", b"[" * DEEP + b"]" * DEEP),
        ("objects alone", b'{"inputs":' * DEEP),
        ("lists in the inputs", b'{"inputs":' + b"[" * 900 + b"]" * 900 + b"}"),
        ("lists in a tensor", good.replace(b"[39.02, 39.02]", b"[" * DEEP + b"]" * DEEP)),
        ("a request in a request", {"inputs": [request()]}),
    ):  # fmt: skip
        add("depth", name, body)
    return cases
