"""npy files that no flights model can answer."""

from __future__ import annotations

from typing import Any

import numpy as np

from fakes.malformed_case import MISSPELT, NAMES, NPY, REQUIRED, Malformed, whole_bodies
from fakes.rows import npy
from fakes.signatures import FLIGHT


def _flights(**types: Any) -> np.ndarray:
    """Return two flights as a structured array, some columns of another type."""
    plain = {name: "U8" if isinstance(FLIGHT[name], str) else "f8" for name in NAMES} | types
    array = np.zeros(2, [(name, kind) for name, kind in plain.items()])
    for name in set(NAMES) - set(types):
        array[name] = FLIGHT[name]
    return array


def _changed(feature: str, value: Any) -> bytes:
    array = _flights()
    array[feature][1] = value
    return npy(array)


def headed(header: bytes, *, version: bytes = b"\x01\x00", data: bytes = b"") -> bytes:
    size = len(header).to_bytes(2 if version[0] == 1 else 4, "little")
    return b"\x93NUMPY" + version + size + header + data


def npy_header(descr: str = "'<f8'", order: str = "False", shape: str = "(1, 13)") -> bytes:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()


def npy_cases() -> list[Malformed]:  # noqa: C901, PLR0912 - a table of cases
    cases: list[Malformed] = []
    row = bytes(8 * 13)

    def add(kind: str, name: str, body: bytes, at: int | None = None, feature: str | None = None) -> None:
        cases.append(Malformed(NPY, kind, name, body, at, feature))

    for name, body in (
        ("no magic", b"not a npy file"),
        ("cut after the magic", b"\x93NUMPY"),
        ("version 9", headed(npy_header(), version=b"\x09\x00", data=row)),
        ("a header cut short", b"\x93NUMPY\x01\x00\xff\x00{'descr'"),
        ("a header that is no literal", headed(b"import os", data=row)),
        ("a call in the header", headed(npy_header(shape="tuple([1, 13])"), data=row)),
        ("a list for a header", headed(b"[1, 2]", data=row)),
        ("a header without a shape", headed(b"{'descr': '<f8', 'fortran_order': False}", data=row)),
        (
            "a header with more",
            headed(b"{'descr': '<f8', 'fortran_order': False, 'shape': (1, 13), 'x': 1}", data=row),
        ),
        ("an order that is a number", headed(npy_header(order="2"), data=row)),
        ("a type that does not exist", headed(npy_header(descr="'<q9'"), data=row)),
        ("a zip of arrays", b"PK\x03\x04" + row),
        ("a NUL in the header", headed(b"{\x00}", data=row)),
    ):
        add("syntax", name, body)
    for shape in ((13,), (2, 12), (2, 14), (2, 13, 1), (1, 1, 13), (13, 1), (), (1,), (26,), (2, 0)):
        add("shape", f"shape {shape}", npy(np.zeros(shape)))
    add("shape", "structured in two dimensions", npy(np.stack([_flights(), _flights()])))
    for dtype in ("c16", "c8", "M8[s]", "m8[s]", "V8"):
        add("type", f"{dtype} throughout", npy(np.zeros((2, 13), dtype)))
    add("type", "objects", headed(npy_header(descr="'|O'"), data=row))
    add(
        "type",
        "objects in a field",
        headed(npy_header(descr="[('carrier', '|O')]", shape="(1,)"), data=bytes(8)),
    )
    add("type", "numbers for text", npy(np.zeros((2, 13))), 0, "carrier")
    add("type", "text for a number", npy(_flights(dep_hour="U4")), 0, None)
    for feature, kind in (
        ("carrier", "f8"),
        ("dest", "i4"),
        ("temp", "M8[s]"),
        ("temp", "c16"),
        ("visib", "(2,)f8"),
    ):
        add("type", f"{feature} as {kind}", npy(_flights(**{feature: kind})), None, feature)
    for feature, value in (("dep_hour", 5.5), ("weekday", 0.1)):
        add("type", f"{feature} is {value}", _changed(feature, value), 1, feature)
    for feature in REQUIRED:
        value = "" if feature == "origin" else np.nan
        add("missing", f"{feature} is {value!r}", _changed(feature, value), 1, feature)
    for name in NAMES:
        rest = [each for each in NAMES if each != name]
        array = np.zeros(2, [(each, "U8" if isinstance(FLIGHT[each], str) else "f8") for each in rest])
        add("missing", f"no field {name}", npy(array), None, name)
    for name in MISSPELT[:4] + MISSPELT[5:9]:
        fields = [*_flights().dtype.descr, (name, "<f8")]
        add("extra", f"a field {name!r}", npy(np.zeros(1, fields)), None, name)
    add("extra", "bytes after the array", npy(_flights()) + b"1")
    add("extra", "an array after the array", npy(_flights()) * 2)
    add(
        "extra",
        "a field twice",
        headed(npy_header(descr="[('a', '<f8'), ('a', '<f8')]", shape="(1,)"), data=bytes(16)),
    )
    for feature, value in (
        ("weekday", 7), ("weekday", -1), ("weekday", 1e15), ("distance", -0.5), ("distance", np.inf),
        ("temp", np.inf), ("temp", -np.inf), ("visib", -np.inf), ("dep_hour", 2.0**63), ("dep_hour", 1e30),
        ("dep_hour", np.inf), ("origin", "XXX"), ("origin", "ewr"),
    ):  # fmt: skip
        add("range", f"{feature} is {value}", _changed(feature, value), 1, feature)
    for kind, name, body in whole_bodies():
        add(kind, name, body)
    add("encoding", "text that is not UTF-8", _bytes_field(b"\xff"), None, "carrier")
    for name, fill in (
        ("Latin-1", b"\xe9"),
        ("cut in two", b"\xe2\x82"),
        ("overlong", b"\xc0\xaf"),
        ("a surrogate", b"\xed\xa0\x80"),
    ):
        add("encoding", f"text in {name}", _bytes_field(fill), None, "carrier")
    add(
        "encoding",
        "code points beyond Unicode",
        headed(npy_header("'<U1'", shape="(1, 13)"), data=b"\xff" * 52),
    )
    for name, shape, data in (
        ("3.6 TiB announced", "(38000000000, 13)", row),
        ("more than an address space", "(4611686018427387904, 13)", row),
        ("a product beyond 64 bits", "(99999999999999999999, 13)", row),
        ("a row fewer than announced", "(2, 13)", row),
        ("a row more than announced", "(1, 13)", row * 2),
        ("a byte fewer than announced", "(1, 13)", row[1:]),
        ("a negative length", "(-1, 13)", row),
        ("a length that is a float", "(1.0, 13)", row),
        ("a length that is true", "(True, 13)", row),
        ("no rows", "(0, 13)", b""),
    ):
        add("size", name, headed(npy_header(shape=shape), data=data))
    add("size", "a header of 60,000 bytes", headed(npy_header() + b" " * 60_000, data=row))
    add("size", "no structured rows", npy(_flights()[:0]))
    for name, text in (
        ("lists in the header", "[" * 4000 + "]" * 4000),
        ("tuples in the shape", "(" * 100 + ")" * 100),
        ("lists without end", "[" * 9000),
        ("minus signs", "-" * 9000 + "1"),
        ("objects in the header", "{'a':" * 90 + "1" + "}" * 90),
        ("sums", "1+" * 4000 + "1"),
        ("nots", "not " * 2000 + "1"),
        ("attributes", "a" + ".a" * 4000),
        ("calls", "a(" * 2000 + ")" * 2000),
    ):
        add("depth", name, headed(npy_header(shape=text), data=row))
    nested = "('<f8', " + "(1, " * 50 + ")" * 50 + ")"
    add("depth", "types in the type", headed(npy_header(descr=f"[('a', {nested})]", shape="(1,)"), data=row))
    return cases


def _bytes_field(fill: bytes) -> bytes:
    array = _flights(carrier="S4")
    array["carrier"][1] = fill
    return npy(array)
