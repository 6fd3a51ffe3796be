"""The kernel for JSON rows: what it takes it reads like the strict decoders, and it takes what is plain."""

from __future__ import annotations

import ctypes
import json
import math
import mmap
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.signatures import FLIGHT, FLIGHTS, LATE, matrix_signature
from modelport.domain.errors import InvalidInput
from modelport.domain.signature import Feature, FeatureType, Signature
from modelport.runtime.cells import cells_of
from modelport.runtime.codecs import Codecs
from modelport.runtime.compiled.code_file import JSON_ROWS
from modelport.runtime.compiled.machine_code import load_code
from modelport.runtime.json_rows.layout import DECLINED
from modelport.runtime.json_rows.reader import RowsReader, load_reader
from modelport.runtime.json_rows.tables import Tables

HEAD = re.compile(rb"\s*\[")
KINDS = Signature(
    (
        Feature("number", FeatureType.DOUBLE, lower=-1e300, upper=1e300),
        Feature("a whole number", FeatureType.INT64, missing=False, lower=-5),
        Feature("w", FeatureType.STRING, vocabulary=("", "x", "xy", "é", "日本", 'quoted"', "b\\c", "\n")),
        Feature("word_known", FeatureType.CATEGORY, vocabulary=("yes", "no"), unknown=False, missing=False),
        Feature("coded", FeatureType.INT64, vocabulary=(1, 2, 30)),
        Feature("coded_double", FeatureType.DOUBLE, vocabulary=(0.5, 2.0), unknown=False),
        Feature("flag", FeatureType.BOOL),
        Feature("flag_coded", FeatureType.CATEGORY, vocabulary=(True,), unknown=False),
        Feature("né", FeatureType.DOUBLE, used=False),
        Feature("unused_word", FeatureType.STRING, used=False),
        Feature("unused_flag", FeatureType.BOOL, used=False),
    ),
    LATE,
)
"""One feature of each kind that the kernel knows."""

PLAIN_WORDS = st.sampled_from(["", "x", "xy", "é", "日本", "z", "~ other", "["])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "number": st.none()
    | st.floats(-1e300, 1e300, allow_subnormal=False).filter(lambda x: math.copysign(1, x) > 0 or x < 0),
    "a whole number": st.integers(-5, 2**53) | st.just(4.0),
    "w": st.none() | PLAIN_WORDS,
    "word_known": st.sampled_from(["yes", "no"]),
    "coded": st.none() | st.sampled_from([1, 2, 30, 7, 2.0]),
    "coded_double": st.none() | st.sampled_from([0.5, 2, 2.0]),
    "flag": st.none() | st.booleans(),
    "flag_coded": st.none() | st.just(True),
    "né": st.none() | st.integers(-9, 9),
    "unused_word": st.none() | st.just("anything"),
    "unused_flag": st.none() | st.booleans(),
}
ROWS = st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=5)
PIECES = (
    *(b"", b"\x00", b" ", b",", b'"', b"\\", b"[", b"]", b"{", b"}", b":", b"-", b"0", b"1", b".", b"e5"),
    *(b"null", b"true", b"false", b"\xff", b"\xc3", "é".encode(), b'"w":"x",', b"\\u0078", b"NaN", b"9" * 20),
)
SPELLINGS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=4).map(str),
    st.tuples(st.integers(0, 10**19 - 1), st.integers(-340, 300)).map(lambda parts: f"{parts[0]}e{parts[1]}"),
    st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)).map(lambda parts: f"{parts[0]}.{parts[1]:09}E+1"),
    st.sampled_from(
        [
            "0",
            "-0",
            "0.0",
            "1e-400",
            "1e400",
            "5e-324",
            "2.2250738585072011e-308",
            "1.7976931348623157e308",
            "9007199254740993",
            "9007199254740992.5",
            "18446744073709551616",
            "00",
            "01",
            "1.",
            ".5",
            "+1",
            "-",
            "1e",
            "1e+",
            "0x1",
            "1_0",
            "NaN",
            "Infinity",
            "1e0000000000000000000001",
            "0e999999999999999999999",
        ]
    ),
)


def strict(signature: Signature, body: bytes) -> bytes | None:
    """Return the numbers that the decoders without a kernel read; None where they refuse."""
    try:
        return bytes(Codecs(signature).decoder_for(None)(body).data)
    except InvalidInput:
        return None


def reader(kernels: Path, signature: Signature) -> RowsReader:
    made = load_reader(kernels, cells_of(signature))
    assert made is not None
    return made


def spelled(rows: list[dict[str, Any]], *, keyed: bool, compact: bool, order: random.Random) -> bytes:
    """Return rows as JSON, those that are objects with their names in some order."""
    shown: list[Any] = []
    for row in rows:
        names = list(row)
        if keyed:
            order.shuffle(names)
            shown.append({name: row[name] for name in names})
        else:
            shown.append([row[feature.name] for feature in KINDS.features])
    separators = (",", ":") if compact else None
    indent = None if compact else order.choice([None, 1, "\t"])
    return json.dumps(shown, ensure_ascii=False, separators=separators, indent=indent).encode()


@given(rows=ROWS, keyed=st.booleans(), compact=st.booleans(), order=st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_plain_rows_are_taken_and_read_alike(
    kernels: Path, rows: list[dict[str, Any]], order: random.Random, *, keyed: bool, compact: bool
) -> None:
    body = spelled(rows, keyed=keyed, compact=compact, order=order)
    read = reader(kernels, KINDS).read(body, HEAD, wrapped=False, keyed=keyed)
    assert read is not None, body
    assert read.count == len(rows)
    assert bytes(read.data) == strict(KINDS, body)


@given(rows=ROWS, keyed=st.booleans(), order=st.randoms(use_true_random=False), data=st.data())
@settings(max_examples=1000, deadline=None)
def test_whatever_stands_there_is_declined_or_read_alike(
    kernels: Path, rows: list[dict[str, Any]], order: random.Random, data: st.DataObject, *, keyed: bool
) -> None:
    body = bytearray(spelled(rows, keyed=keyed, compact=True, order=order))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        piece = data.draw(st.sampled_from(PIECES))
        body[at : at + data.draw(st.integers(0, 4))] = piece
    read = reader(kernels, KINDS).read(bytes(body), HEAD, wrapped=False, keyed=keyed)
    if read is not None:
        assert bytes(read.data) == strict(KINDS, bytes(body)), bytes(body)


@given(st.lists(SPELLINGS, min_size=1, max_size=20))
@settings(max_examples=500, deadline=None)
def test_numbers_are_read_to_the_nearest(kernels: Path, texts: list[str]) -> None:
    signature = matrix_signature(1)
    numbers = reader(kernels, signature)
    for text in texts:
        body = f"[[{text}]]".encode()
        read = numbers.read(body, HEAD, wrapped=False, keyed=False)
        if read is not None:
            assert bytes(read.data) == strict(signature, body), text
            assert read.matrix()[0, 0] == float(text)
        else:
            digits = len(re.sub(r"e.*|\D", "", text.lower()).lstrip("0"))
            ordinary = re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", text) and digits <= 19
            assert not ordinary or not 2.3e-308 <= abs(float(text)) <= 1e308, text


def test_every_power_of_ten_is_read_to_the_nearest(kernels: Path) -> None:
    numbers, dice = reader(kernels, matrix_signature(1)), random.Random(0)
    texts = [
        f"{sign}{mantissa}e{power}"
        for power in range(-320, 309)
        for sign in ("", "-")
        for mantissa in (1, 9, dice.randrange(10**15, 10**17), dice.randrange(10**18, 10**19), 2**53 + 1)
        if 2.3e-308 < float(f"{mantissa}e{power}") < math.inf
    ]
    read = numbers.read(
        f"[{','.join(f'[{text}]' for text in texts)}]".encode(), HEAD, wrapped=False, keyed=False
    )
    assert read is not None
    assert read.matrix()[:, 0].tolist() == list(map(float, texts))


@pytest.mark.parametrize("fill", [b"", b" "])
def test_nothing_behind_the_text_is_looked_at(kernels: Path, fill: bytes) -> None:
    """The text ends where a page does that nobody may read."""
    page = mmap.PAGESIZE
    room = mmap.mmap(-1, 2 * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(room))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mprotect(ctypes.c_void_p(address + page), page, mmap.PROT_READ & 0) != 0:
        pytest.skip("this system protects no pages")
    call = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 5)(load_code(kernels, JSON_ROWS))
    plans, out = Tables(cells_of(FLIGHTS)), ctypes.create_string_buffer(8 * 13 * 4)
    text = json.dumps([FLIGHT, FLIGHT], separators=(",", ":" + fill.decode())).encode()
    try:
        for length in range(1, len(text)):
            part = text[:length] + b"\0"
            room[page - len(part) : page] = part
            start = address + page - len(part)
            for plan in (plans.keyed, plans.listed):
                found = call(plan, start, 1, length - 1, ctypes.addressof(out))
                assert ctypes.c_int64(found).value == DECLINED, part
    finally:
        libc.mprotect(ctypes.c_void_p(address + page), page, 3)


@pytest.mark.parametrize(
    "form", ["[%s]", '{"instances": [%s]}', '{"dataframe_records":[%s]}', ' { "inputs" :\n[%s] } \n']
)
@pytest.mark.parametrize("keyed", [True, False])
def test_every_form_of_many_rows_is_read_alike(kernels: Path, form: str, *, keyed: bool) -> None:
    rows = [
        FLIGHT | {"distance": 100 + number, "temp": None if number % 7 == 0 else 0.1 * number}
        for number in range(90)
    ]
    inner = ",".join(json.dumps(row if keyed else list(row.values())) for row in rows)
    decode = Codecs(FLIGHTS, kernels=kernels).decoder_for(None)
    for text in (form % inner, form % inner.replace('"dep_hour": 13', '"dep_hour": 13.0', 1)):
        assert bytes(decode(text.encode()).data) == strict(FLIGHTS, text.encode())
    bad = form % (inner + inner.replace("}", ",", 1))
    with pytest.raises(InvalidInput):
        decode(bad.encode())


def test_a_refusal_names_the_row_as_without_a_kernel(kernels: Path) -> None:
    rows = [FLIGHT] * 50 + [FLIGHT | {"origin": "XXX"}]
    with pytest.raises(InvalidInput) as caught:
        Codecs(FLIGHTS, kernels=kernels).decoder_for(None)(json.dumps({"instances": rows}).encode())
    assert (caught.value.row, caught.value.feature) == (50, "origin")


def test_rows_of_a_brief_and_of_a_lengthy_body_are_the_same(kernels: Path) -> None:
    signature = matrix_signature(30)
    row = [round(0.37 * number, 4) for number in range(30)]
    rows = reader(kernels, signature)
    brief, lengthy = (
        rows.read(json.dumps([row] * count).encode(), HEAD, wrapped=False, keyed=False)
        for count in (20, 20_000)
    )
    assert brief is not None
    assert lengthy is not None
    assert brief.matrix().tolist() == [row] * 20
    assert lengthy.matrix().tolist() == [row] * 20_000


@pytest.mark.parametrize(
    "feature",
    [
        Feature("at", FeatureType.DATETIME, used=False),
        Feature("mixed", FeatureType.CATEGORY, vocabulary=("a", 1)),
        Feature("large", FeatureType.INT64, vocabulary=(2**60, 2**60 + 1)),
    ],
)
def test_features_of_other_rules_are_left_alone(kernels: Path, feature: Feature) -> None:
    assert load_reader(kernels, cells_of(Signature((feature,), LATE))) is None


def test_without_a_kernel_json_is_read_all_the_same(tmp_path: Path) -> None:
    body = json.dumps({"instances": [FLIGHT] * 40}).encode()
    assert Codecs(FLIGHTS, kernels=tmp_path).decoder_for(None)(body).count == 40
