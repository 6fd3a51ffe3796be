"""CSV that no flights model can answer."""

from __future__ import annotations

import json

from fakes.malformed_case import CSV, MISSPELT, NAMES, REQUIRED, Malformed, whole_bodies
from fakes.signatures import FLIGHT


def _line(**changed: str) -> bytes:
    return ",".join(str(value) for value in (FLIGHT | changed).values()).encode()


def csv_cases() -> list[Malformed]:  # noqa: C901 - a table of cases
    header, good = ",".join(NAMES).encode(), _line()
    cases: list[Malformed] = []

    def add(kind: str, name: str, body: bytes, row: int | None = None, feature: str | None = None) -> None:
        cases.append(Malformed(CSV, kind, name, body, row, feature))

    def second(kind: str, feature: str, text: str) -> None:
        line = _line(**{feature: text})
        add(kind, f"{feature} is {text[:20]!r}", b"%b\n%b\n%b\n" % (good, line, good), 1, feature)
        add(kind, f"{feature} is {text[:20]!r}, header", b"%b\n%b\n%b\n" % (header, good, line), 1, feature)

    for name, line in (
        ("a quote that does not end", b'"UA,EWR'),
        ("text after a quote", good.replace(b"UA", b'"U"A')),
        ("a quote in the middle that does not end", good.replace(b"EWR", b'"EWR')),
        ("a quote twice that does not end", good.replace(b"UA", b'""UA"')),
        ("a semicolon between cells", good.replace(b",", b";")),
        ("a tab between cells", good.replace(b",", b"\t")),
        ("a bar between cells", good.replace(b",", b"|")),
        ("a colon between cells", good.replace(b",", b":")),
        ("blanks between cells", good.replace(b",", b" ")),
        ("JSON", json.dumps(list(FLIGHT.values())[:3]).encode()),
    ):
        add("syntax", name, b"%b\n%b" % (good, line), 1)
    for count in (1, 2, 3, 5, 12, 14, 20, 30):
        add("shape", f"{count} cells", b"%b\n%b" % (good, b",".join([b"1"] * count)), 1)
    add("shape", "a cell too many under a header", b"%b\n%b,1" % (header, good), 0)
    add("shape", "a cell too few under a header", b"%b\n%b" % (header, good.rpartition(b",")[0]), 0)
    for feature, text in (
        ("dep_hour", "abc"), ("dep_hour", "5.5"), ("dep_hour", "1_0"), ("distance", "far"),
        ("distance", "0x10"),
        ("distance", "1,0".replace(",", " ")), ("temp", "NA"), ("temp", "null"), ("temp", "--"),
        ("visib", "٣"),
        ("weekday", "Monday"),
    ):  # fmt: skip
        second("type", feature, text)
    for feature in REQUIRED:
        second("missing", feature, "")
        if feature != "origin":
            second("missing", feature, "nan")
    for name in NAMES:
        rest = [each for each in NAMES if each != name]
        line = ",".join(str(FLIGHT[each]) for each in rest).encode()
        add("missing", f"no column {name}", ",".join(rest).encode() + b"\n" + line, None, name)
    for name in MISSPELT:
        add("extra", f"a column {name[:10]!r}", b"%b,%b\n%b,1" % (header, name.encode(), good), None, name)
    add("extra", "a column twice", b"%b,temp\n%b,1" % (header, good), None, "temp")
    for feature, text in (
        ("weekday", "7"), ("weekday", "-1"), ("weekday", "1e15"), ("distance", "-0.5"), ("distance", "inf"),
        ("distance", "1e999"), ("temp", "-inf"), ("temp", "Infinity"), ("dep_hour", "9223372036854775808"),
        ("dep_hour", "1e30"), ("origin", "XXX"), ("origin", "ewr"), ("origin", " EWR"),
    ):  # fmt: skip
        second("range", feature, text)
    for name, line in (
        ("Latin-1", good.replace(b"UA", "é".encode("latin-1"))),
        ("a byte that is never UTF-8", good.replace(b"UA", b"\xff")),
        ("an overlong byte sequence", good.replace(b"UA", b"\xc0\xaf")),
        ("a surrogate", good.replace(b"UA", b"\xed\xa0\x80")),
        ("a character cut in two", good + b"\n\xe2\x82"),
        ("UTF-16", good.decode().encode("utf-16")),
    ):
        add("encoding", name, b"%b\n%b" % (good, line))
    for kind, name, body in whole_bodies():
        add(kind, name, body)
    for name, body, row, feature in (
        ("a header alone", header, None, None),
        ("blank lines", b"\n" * 5000, None, None),
        ("a byte order mark alone", b"\xef\xbb\xbf", None, None),
        ("10,000 cells", b",".join([b"1"] * 10_000), 0, None),
        ("a cell of a megabyte", b"%b\n%b" % (good, _line(origin="A" * (1 << 20))), 1, None),
        ("a number of 5,000 digits", b"%b\n%b" % (good, _line(dep_hour="1" * 5000)), 1, "dep_hour"),
        ("a double of 5,000 digits", b"%b\n%b" % (good, _line(temp="1" * 5000)), 1, "temp"),
        ("commas alone", b"," * 100_000, 0, None),
    ):
        add("size", name, body, row, feature)
    for feature, text in (
        ("temp", "[[1]]"), ("temp", "{}"), ("dep_hour", "((((1))))"), ("distance", "[" * 1000),
        ("distance", '{"a":' * 50), ("visib", "<a><b>"), ("origin", "[[[[]]]]"), ("weekday", "=1+1"),
        ("weekday", "((" * 1000), ("humid", "`1`"),
    ):  # fmt: skip
        quoted = '"' + text.replace('"', '""') + '"'
        add("depth", f"{feature} is {text[:10]}", b"%b\n%b" % (good, _line(**{feature: quoted})), 1, feature)
    return cases
