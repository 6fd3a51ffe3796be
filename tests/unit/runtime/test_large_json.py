"""Large JSON of numbers: the same bits as row by row, and the same refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.signatures import matrix_signature
from modelport.domain.errors import InvalidInput
from modelport.domain.signature import Feature, FeatureType, Output, Signature, Task
from modelport.runtime.codecs import TRITON_TYPE, Codecs
from modelport.runtime.codecs.large_json import LARGE_BYTES, SIMDJSON, SimdJson

SIMDJSON.load()
WIDTH = 3
CODECS = Codecs(matrix_signature(WIDTH))
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(["0", "-0", "-0.0", "1E5", "1e-400", "5e-324", "1.7976931348623157e308", "0.1e+1"]),
    st.tuples(st.integers(0, 10**25), st.integers(-340, 280)).map(lambda parts: f"{parts[0]}e{parts[1]}"),
)
ROWS = st.lists(st.lists(NUMBERS, min_size=WIDTH, max_size=WIDTH), min_size=1, max_size=8)
GOOD = [[1.5, -2.0, 3.25]] * 500


def text_of(rows: list[list[str]], *, between: str = ",") -> str:
    return between.join(f"[{','.join(row)}]" for row in rows)


@given(ROWS, st.sampled_from(["", " ", "\n\t "]))
@settings(max_examples=200, deadline=None)
def test_rows_come_out_as_one_by_one(rows: list[list[str]], blank: str) -> None:
    filler = [["0.5", "1", "-7e3"]] * (LARGE_BYTES // 10)
    decode = CODECS.decoder_for(None)
    one_by_one = b"".join(decode(f"[{text_of([row])}]".encode()).data for row in [*rows, filler[0]])
    expected = np.frombuffer(one_by_one).reshape(-1, WIDTH)
    expected = np.concatenate([expected[:-1], np.repeat(expected[-1:], len(filler), axis=0)])
    text = blank + text_of(rows + filler, between=f"{blank},{blank}")
    forms = {
        None: [f"[{text}]", f'{{"instances":[{text}]}}', f'{{ "dataframe_records" : [{text}] }}'],
        "text/csv": ["\n".join(",".join(row) for row in rows + filler)],
        TRITON_TYPE: [
            json.dumps({"inputs": [{"name": "input", "shape": [len(expected), WIDTH], "datatype": "FP64"}]})
            .replace("}]", f', "data": [{",".join(",".join(row) for row in rows + filler)}]}}]')
        ],
    }  # fmt: skip
    for content_type, bodies in forms.items():
        for body in bodies:
            read = CODECS.decoder_for(content_type)(body.encode())
            assert read.matrix().tobytes() == expected.tobytes(), body[:200]


@pytest.mark.parametrize(
    ("row", "at"),
    [
        ("[1,2]", 250), ("[1,2,3,4]", 250), ("[]", 250), ("[1,2],[3,4,5,6]", 250), ("[[1],[2],[3]]", 250),
        ("[[],1,2,3]", 250), ("[[1,2,3]]", 250), ("[1,2,true]", 250), ('[1,2,"3"]', 250), ("[1,2,{}]", 250),
        ("5", 250), ("[1,2,1e999]", 250), ("[1,2,NaN]", 250), ("[1,2,-Infinity]", 250),
    ],
)  # fmt: skip
@pytest.mark.parametrize("wrapper", ["[%s]", '{"instances": [%s]}'])
def test_one_bad_row_among_many_is_named(row: str, at: int, wrapper: str) -> None:
    half = json.dumps(GOOD[:250])[1:-1]
    with pytest.raises(InvalidInput) as caught:
        CODECS.decoder_for(None)((wrapper % f"{half},{row},{half}").encode())
    assert caught.value.row == at, caught.value.message


@pytest.mark.parametrize("tail", ["]", "]]]", "]] 1", "],]", "]}", ""])
def test_broken_text_is_refused(tail: str) -> None:
    with pytest.raises(InvalidInput):
        CODECS.decoder_for(None)((json.dumps(GOOD)[:-2] + tail).encode())


def test_nulls_and_bounds_hold_in_large_bodies() -> None:
    rows = [[1.0, None, 3.0], *GOOD]
    read = CODECS.decoder_for(None)(json.dumps({"instances": rows}).encode()).matrix()
    assert np.isnan(read[0]).tolist() == [False, True, False]
    assert read[1:].tolist() == GOOD
    bounded = Signature(
        tuple(
            Feature(f"x{j}", FeatureType.DOUBLE, missing=False, lower=-5.0, upper=5.0) for j in range(WIDTH)
        ),
        Output(Task.REGRESSION, targets=("y",)),
        matrix=True,
    )
    decode = Codecs(bounded).decoder_for(None)
    assert decode(json.dumps(GOOD).encode()).count == len(GOOD)
    for value in (5.5, None):
        with pytest.raises(InvalidInput) as caught:
            decode(json.dumps([*GOOD, [0.0, 1.0, value]]).encode())
        assert (caught.value.row, caught.value.feature) == (len(GOOD), "x2")


def test_parsers_are_reused_and_large_ones_let_go() -> None:
    library = SimdJson()
    assert library.rows(b"[[1,2,3]]", None, WIDTH) is None  # not there yet: the others read it
    library.load()
    for _ in range(3):
        data, count = library.rows(json.dumps(GOOD).encode(), None, WIDTH)
        assert (len(data), count) == (len(GOOD) * WIDTH * 8, len(GOOD))
        assert library.rows(b"[[1,2,3]", None, WIDTH) is None
        assert library.rows(b"[]", None, WIDTH) is None
    assert library.numbers(b"[1, 2]", 2).tobytes() == np.array([1.0, 2.0]).tobytes()
    assert library.numbers(b"[1, 2]", 3) is None
    assert library.numbers(b"[[1], 2]", 2) is None
    assert len(library._idle) == 1
    huge = json.dumps(GOOD * 200).encode()
    assert library.rows(huge, None, WIDTH)[1] == len(GOOD) * 200
    assert library._idle == []
