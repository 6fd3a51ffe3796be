"""JSON and JSON Lines that no flights model can answer; most are rows that are wrong in themselves."""

from __future__ import annotations

import json
from typing import Any

from fakes.malformed_case import JSON, JSON_LINES, MISSPELT, NAMES, REQUIRED, Malformed, whole_bodies
from fakes.signatures import FLIGHT

DEEP = 100_000


def _with(name: str, value: Any) -> dict[str, Any]:
    return FLIGHT | {name: value}


def _raw(name: str, literal: bytes) -> bytes:
    """Return a row in which one value is a literal that no JSON writer would write."""
    return json.dumps(_with(name, "PLACE")).encode().replace(b'"PLACE"', literal)


def _bad_rows() -> list[tuple[str, str, bytes, str | None]]:
    """Return (kind, name, row, feature) of rows that are wrong in themselves."""
    found: list[tuple[str, str, bytes, str | None]] = []

    def add(kind: str, name: str, row: Any, feature: str | None) -> None:
        found.append((kind, name, row if isinstance(row, bytes) else json.dumps(row).encode(), feature))

    for feature, value in (
        ("dep_hour", "abc"), ("dep_hour", "5"), ("dep_hour", 5.5), ("dep_hour", True), ("dep_hour", [5]),
        ("distance", "far"), ("distance", False), ("distance", {}), ("temp", "cold"), ("temp", [[]]),
        ("carrier", 7), ("carrier", True), ("carrier", ["UA"]), ("origin", 3), ("dest", 1.0), ("visib", ""),
    ):  # fmt: skip
        add("type", f"{feature} is {value!r}", _with(feature, value), feature)
    for name in NAMES:
        add("missing", f"without {name}", {key: FLIGHT[key] for key in NAMES if key != name}, name)
    for name in REQUIRED:
        add("missing", f"{name} is null", _with(name, None), name)
        add("missing", f"{name} is null in a list", list(_with(name, None).values()), name)
    add("missing", "an empty object", {}, "carrier")
    for name in MISSPELT:
        add("extra", f"a field {name[:10]!r}", FLIGHT | {name: 1}, name)
    add(
        "extra",
        "a misspelt field instead",
        {("dep_huor" if k == "dep_hour" else k): v for k, v in FLIGHT.items()},
        "dep_huor",
    )
    add("extra", "a field twice", _raw("temp", b'1, "temp": 2'), "temp")
    for feature, literal in (
        ("weekday", b"7"), ("weekday", b"-1"), ("weekday", b"1e15"), ("distance", b"-0.5"),
        ("distance", b"1e999"), ("temp", b"-1e400"), ("temp", b"NaN"), ("temp", b"Infinity"),
        ("visib", b"-Infinity"), ("dep_hour", b"9223372036854775808"), ("dep_hour", b"-9223372036854775809"),
        ("dep_hour", b"1e30"), ("origin", b'"XXX"'), ("origin", b'""'), ("origin", b'"ewr"'),
    ):  # fmt: skip
        add("range", f"{feature} is {literal.decode()}", _raw(feature, literal), feature)
    for count in (0, 1, 12, 14, 100, 10_000):
        add("size", f"a list of {count} values", [1] * count, None)
    add("size", "an object of 10,000 fields", {f"f{j}": 1 for j in range(10_000)}, "f0")
    add("size", "an unknown category of a megabyte", _with("origin", "A" * (1 << 20)), "origin")
    add("size", "an integer of 400 digits", _raw("distance", b"1" + b"0" * 400), "distance")
    for depth in (2, 64, 500):
        add("depth", f"{depth} lists in a value", _raw("temp", b"[" * depth + b"]" * depth), "temp")
        add(
            "depth",
            f"{depth} objects in a value",
            _raw("temp", b'{"a":' * depth + b"1" + b"}" * depth),
            "temp",
        )
    add("depth", "lists for a row", [[[[[1]]]]], None)
    add("depth", "a row in a row", [list(FLIGHT.values())], None)
    add("depth", "lists in a text", _raw("origin", b"[[[[]]]]"), "origin")
    add("depth", "an object in a list", _raw("dep_hour", b'[{"a":[{"b":1}]}]'), "dep_hour")
    return found


def _broken_rows() -> list[tuple[str, str, bytes]]:
    """Return (kind, name, row) of rows that are not JSON."""
    good = json.dumps(FLIGHT).encode()
    return [
        ("syntax", "cut short", good[:-5]),
        ("syntax", "a trailing comma", good[:-1] + b",}"),
        ("syntax", "single quotes", good.replace(b'"', b"'")),
        ("syntax", "no colon", good.replace(b":", b" ", 1)),
        ("syntax", "no quotes", good.replace(b'"UA"', b"UA")),
        ("syntax", "a comment", good[:-1] + b"/* */}"),
        ("syntax", "a plus sign", _raw("temp", b"+1")),
        ("syntax", "a leading zero", _raw("temp", b"01")),
        ("syntax", "a bare point", _raw("temp", b".5")),
        ("syntax", "undefined", _raw("temp", b"undefined")),
        ("syntax", "a hexadecimal number", _raw("temp", b"0x10")),
        ("syntax", "a control character in a text", _raw("carrier", b'"U\x01A"')),
        ("syntax", "an unknown escape", _raw("carrier", b'"\\x41"')),
        ("encoding", "Latin-1", _raw("carrier", '"é"'.encode("latin-1"))),
        ("encoding", "an overlong byte sequence", _raw("carrier", b'"\xc0\xaf"')),
        ("encoding", "a surrogate in UTF-8", _raw("carrier", b'"\xed\xa0\x80"')),
        ("encoding", "a character cut in two", _raw("carrier", b'"\xe2\x82"')),
        ("encoding", "a lone surrogate", _raw("carrier", b'"\\ud800"')),
        ("encoding", "a byte that is never UTF-8", _raw("carrier", b'"\xff"')),
        ("encoding", "a NUL", good + b"\x00"),
        ("size", "an integer of 5,000 digits", _raw("dep_hour", b"1" * 5000)),
        ("size", "a text that does not end", _raw("carrier", b'"' + b"A" * 100_000)),
        ("depth", "lists without end", _raw("temp", b"[" * DEEP)),
        ("depth", "objects without end", _raw("temp", b'{"a":' * DEEP)),
        ("depth", "too many lists", _raw("temp", b"[" * DEEP + b"]" * DEEP)),
    ]


def json_cases() -> list[Malformed]:
    good = json.dumps(FLIGHT).encode()
    cases = [
        Malformed(JSON, kind, name, b'{"instances": [%b, %b]}' % (good, row), 1, feature)
        for kind, name, row, feature in _bad_rows()
    ]
    cases += [
        Malformed(JSON, kind, name, b'{"instances": [%b, %b]}' % (good, row))
        for kind, name, row in _broken_rows()
    ]
    cases += [Malformed(JSON, kind, name, body) for kind, name, body in whole_bodies()]
    row = list(FLIGHT.values())
    columns = {name: [FLIGHT[name]] for name in NAMES}
    for name, form, at, feature in (
        ("a number", 5, None, None),
        ("a text", "rows", None, None),
        ("null", None, None, None),
        ("instances is a number", {"instances": 5}, None, None),
        ("instances is null", {"instances": None}, None, None),
        ("instances is an object", {"instances": FLIGHT}, None, None),
        ("a row is a number", {"instances": [FLIGHT, 5]}, 1, None),
        ("a row is null", {"instances": [FLIGHT, FLIGHT, None]}, 2, None),
        ("a bare list of numbers", row[3:], 0, None),
        ("a short row", {"instances": [row, row[:-1]]}, 1, None),
        ("a long row", [row, [*row, 1]], 1, None),
        ("two wrappers", {"instances": [FLIGHT], "inputs": columns}, None, None),
        ("something beside the rows", {"instances": [FLIGHT], "top_k": 3}, None, None),
        ("parameters", {"instances": [FLIGHT], "parameters": {"threshold": 0.3}}, None, None),
        ("records of one object", {"dataframe_records": FLIGHT}, None, None),
        ("ragged columns", {"inputs": columns | {"temp": [1, 2]}}, None, "temp"),
        ("a column is a number", {"inputs": columns | {"temp": 1}}, None, "temp"),
        ("a column is absent", {"inputs": {k: v for k, v in columns.items() if k != "dest"}}, None, "dest"),
        ("split without data", {"dataframe_split": {"columns": NAMES}}, None, None),
        ("split without columns", {"dataframe_split": {"data": [row]}}, None, None),
        ("split with a short row", {"dataframe_split": {"columns": NAMES, "data": [row[1:]]}}, 0, None),
        ("split with an object", {"dataframe_split": {"columns": NAMES, "data": [FLIGHT]}}, 0, None),
        ("split is a list", {"dataframe_split": [row]}, None, None),
    ):  # fmt: skip
        cases.append(Malformed(JSON, "shape", name, json.dumps(form).encode(), at, feature))
    cases += [
        Malformed(JSON, "syntax", "two values", good + good),
        Malformed(JSON, "syntax", "a closing bracket too many", good + b"}"),
        Malformed(
            JSON, "extra", "a column", json.dumps({"inputs": columns | {"tmp": [1]}}).encode(), None, "tmp"
        ),
        Malformed(JSON, "encoding", "a byte order mark", b"\xef\xbb\xbf" + good),
        Malformed(JSON, "size", "no rows", b'{"instances": []}'),
        Malformed(JSON, "size", "no bare rows", b"[]"),
        Malformed(JSON, "size", "half a million empty rows", b"[" + b"[]," * 500_000 + b"[]]", 0),
        Malformed(
            JSON, "size", "half a million empty objects", b'{"instances":[' + b"{}," * 500_000 + b"{}]}", 0
        ),
        Malformed(JSON, "depth", "lists alone", b"[" * DEEP),
        Malformed(JSON, "depth", "lists opened and closed", b"[" * DEEP + b"]" * DEEP),
        Malformed(JSON, "depth", "objects alone", b'{"instances":' * DEEP),
        Malformed(
            JSON, "depth", "lists in the wrapper", b'{"instances":' + b"[" * 900 + b"]" * 900 + b"}", 0
        ),
    ]
    return cases


def json_lines_cases() -> list[Malformed]:
    good = json.dumps(FLIGHT).encode()
    cases = [
        Malformed(JSON_LINES, kind, name, b"%b\n%b\n%b\n" % (good, row, good), 1, feature)
        for kind, name, row, feature in _bad_rows()
    ]
    cases += [
        Malformed(JSON_LINES, kind, name, b"%b\n%b\n%b\n" % (good, row, good), 1)
        for kind, name, row in _broken_rows()
    ]
    cases += [Malformed(JSON_LINES, kind, name, body) for kind, name, body in whole_bodies()]
    row = list(FLIGHT.values())
    for name, line in (
        ("a number", 5), ("null", None), ("a text", "UA"), ("true", True), ("a short row", row[1:]),
        ("a long row", [*row, 1]), ("rows in a line", [row]),
        ("objects in a line", [FLIGHT]), ("a float", 0.5),
        ("no values", []),
    ):  # fmt: skip
        cases.append(Malformed(JSON_LINES, "shape", name, b"%b\n%b" % (good, json.dumps(line).encode()), 1))
    wrapped = json.dumps({"instances": [FLIGHT]}).encode()
    cases += [
        Malformed(JSON_LINES, "shape", "a wrapper", wrapped, 0, "instances"),
        Malformed(JSON_LINES, "syntax", "two rows on a line", good + b" " + good, 0),
        Malformed(JSON_LINES, "syntax", "a row over two lines", good.replace(b", ", b",\n", 1), 0),
        Malformed(JSON_LINES, "syntax", "a list of rows over lines", b"[\n%b,\n%b\n]" % (good, good), 0),
    ]
    return cases
