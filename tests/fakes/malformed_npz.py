"""npz files that no flights model can answer."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np

from fakes.malformed_case import MISSPELT, NAMES, NPZ, REQUIRED, Malformed, whole_bodies
from fakes.malformed_npy import headed, npy_header
from fakes.rows import npy, npz
from fakes.signatures import FLIGHT


def _arrays(**changed: Any) -> dict[str, np.ndarray]:
    """Return two flights, some arrays of them others."""
    arrays = {name: np.array([FLIGHT[name]] * 2) for name in NAMES}
    return arrays | {name: np.asarray(value) for name, value in changed.items()}


def _member(name: str, content: bytes, **options: Any) -> bytes:
    """Return two flights, one member of them as given."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as archive:
        for each, array in _arrays().items():
            archive.writestr(f"{each}.npy", content if each == name else npy(array))
    return file.getvalue()


def npz_cases() -> list[Malformed]:  # noqa: C901, PLR0912 - a table of cases
    cases: list[Malformed] = []
    good = npz(_arrays())

    def add(kind: str, name: str, body: bytes, row: int | None = None, feature: str | None = None) -> None:
        cases.append(Malformed(NPZ, kind, name, body, row, feature))

    half = len(good) // 2
    for name, body in (
        ("no zip", b"not a npz file" * 10),
        ("a npy file", npy(np.zeros((2, 13)))),
        ("cut short", good[:-1]),
        ("cut in the middle", good[:half]),
        ("without its beginning", good[10:]),
        ("the end alone", good[-22:]),
        ("bytes behind the end", good + b"1"),
        ("no array in a member", _member("temp", b"39.02")),
        ("a byte changed", good[:100] + bytes([good[100] ^ 255]) + good[101:]),
        ("a directory that points nowhere", good[:-6] + b"\xff\xff\xff\x7f" + good[-2:]),
        ("a npz in a npz", _member("temp", good)),
        ("two npz files", good + good[:-22] + good[-22:-4] + b"\x01\x00\x00\x00"),
    ):
        add("syntax", name, body)
    for shape in ((2, 2), (2, 1, 1), (1, 2), (), (1,), (3,), (0,), (2, 0)):
        add("shape", f"temp of {shape}", npz(_arrays(temp=np.zeros(shape))), None, "temp")
    add("shape", "a matrix for mixed columns", npz({"input": np.zeros((2, 13))}), None, "input")
    add("shape", "an array of all", npz({"arr_0": np.zeros((2, 13))}), None, "arr_0")
    for dtype in ("c16", "M8[s]", "m8[s]", "V8"):
        add("type", f"temp as {dtype}", npz(_arrays(temp=np.zeros(2, dtype))), None, "temp")
    for feature, values in (
        ("dep_hour", [1.0, 5.5]),
        ("weekday", [1.0, 0.1]),
        ("dep_hour", ["1", "x"]),
        ("temp", ["1", "cold"]),
        ("carrier", [1.0, 2.0]),
        ("dest", [1, 2]),
        ("visib", ["1", "1_0"]),
    ):
        add("type", f"{feature} is {values}", npz(_arrays(**{feature: values})), None, feature)
    add(
        "type",
        "objects",
        _member("temp", headed(npy_header("'|O'", shape="(2,)"), data=bytes(16))),
        None,
        "temp",
    )
    for name in NAMES:
        add("missing", f"no array {name}", npz({k: v for k, v in _arrays().items() if k != name}), None, name)
    for feature in REQUIRED:
        values = [FLIGHT[feature], "" if feature == "origin" else np.nan]
        add("missing", f"{feature} is {values[1]!r}", npz(_arrays(**{feature: values})), 1, feature)
    for name in MISSPELT[:4] + MISSPELT[5:9]:
        add("extra", f"an array {name!r}", npz(_arrays() | {name: np.zeros(2)}), None, name)
    for name in ("../temp", "temp.npy", "folder/", "__MACOSX/temp"):
        add("extra", f"a member {name!r}", npz(_arrays() | {name: np.zeros(2)}))
    add("extra", "an array twice", _twice("temp"), None, "temp")
    add("extra", "bytes behind an array", _member("temp", npy(np.zeros(2)) + b"1"), None, "temp")
    for feature, value in (
        ("weekday", 7),
        ("weekday", -1),
        ("weekday", 1e15),
        ("distance", -0.5),
        ("distance", np.inf),
        ("temp", np.inf),
        ("temp", -np.inf),
        ("dep_hour", 2.0**63),
        ("dep_hour", np.inf),
        ("origin", "XXX"),
        ("origin", "ewr"),
    ):
        add("range", f"{feature} is {value}", npz(_arrays(**{feature: [FLIGHT[feature], value]})), 1, feature)
    for kind, name, body in whole_bodies():
        add(kind, name, body)
    for name, fill in (
        ("no UTF-8", b"\xff"),
        ("Latin-1", b"\xe9"),
        ("cut in two", b"\xe2\x82"),
        ("overlong", b"\xc0\xaf"),
        ("a surrogate", b"\xed\xa0\x80"),
    ):
        add(
            "encoding", f"text that is {name}", npz(_arrays(carrier=np.array([b"UA", fill]))), None, "carrier"
        )
    add(
        "encoding",
        "code points beyond Unicode",
        _member("carrier", headed(npy_header("'<U1'", shape="(2,)"), data=b"\xff" * 8)),
        None,
        "carrier",
    )
    for name, shape, data in (
        ("3.6 TiB announced", "(500000000000,)", bytes(16)),
        ("a product beyond 64 bits", "(99999999999999999999,)", bytes(16)),
        ("a number fewer than announced", "(3,)", bytes(16)),
        ("a number more than announced", "(1,)", bytes(16)),
        ("a byte fewer", "(2,)", bytes(15)),
        ("a negative length", "(-1,)", bytes(16)),
    ):
        add("size", name, _member("temp", headed(npy_header(shape=shape), data=data)), None, "temp")
    add("size", "no rows", npz({name: array[:0] for name, array in _arrays().items()}))
    add("size", "no members", npz({}))
    add("size", "2,000 members", npz({f"f{j}": np.zeros(1) for j in range(2_000)}), None, "f0")
    add("size", "30,000 members", npz(dict.fromkeys(map(str, range(30_000)), np.zeros(0))))
    bomb = npz(_arrays(temp=np.zeros(1 << 18)), packed=True)
    add("size", "2 MiB packed 100 times", bomb)
    add(
        "size",
        "members that say less than they hold",
        bomb.replace((8 * (1 << 18) + 128).to_bytes(4, "little"), b"\x00\x01\x00\x00"),
    )
    for name, text in (
        ("lists in the header", "[" * 4000 + "]" * 4000),
        ("tuples in the shape", "(" * 100 + ")" * 100),
        ("lists without end", "[" * 9000),
        ("minus signs", "-" * 9000 + "1"),
        ("sums", "1+" * 4000 + "1"),
        ("objects in the header", "{'a':" * 90 + "1" + "}" * 90),
        ("nots", "not " * 2000 + "1"),
        ("attributes", "a" + ".a" * 4000),
        ("calls", "a(" * 2000 + ")" * 2000),
    ):
        add("depth", name, _member("temp", headed(npy_header(shape=text), data=bytes(16))), None, "temp")
    nested = _member("temp", good)
    for _ in range(3):
        nested = _member("temp", nested, compression=zipfile.ZIP_DEFLATED)
    add("depth", "npz files in npz files", nested, None, "temp")
    return cases


def _twice(name: str) -> bytes:
    """Return two flights with one array twice."""
    body = npz(_arrays() | {name[:-1] + "\x01": np.zeros(2)})
    return body.replace(name[:-1].encode() + b"\x01", name.encode())
