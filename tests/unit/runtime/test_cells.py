"""The rules by which a value becomes a number, one feature at a time."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest

from modelport.domain.errors import InvalidInput
from modelport.domain.signature import Feature, FeatureType, Output, Signature, Task
from modelport.runtime.cells import Cell, Unfit, cells_of

BIG = 2**53 + 1
NUMBER = Feature("n", FeatureType.DOUBLE, lower=-sys.float_info.max, upper=sys.float_info.max)
INFINITE = Feature("n", FeatureType.DOUBLE)
STRICT = Feature("n", FeatureType.DOUBLE, missing=False, lower=0.0, upper=1.0)
WHOLE = Feature("i", FeatureType.INT64)
FLAG = Feature("b", FeatureType.BOOL)
WORD = Feature("s", FeatureType.STRING, vocabulary=("UA", "001"))
CLOSED = Feature("s", FeatureType.CATEGORY, vocabulary=("UA", ""), missing=False, unknown=False)
IDENTITY = Feature("k", FeatureType.INT64, vocabulary=(BIG, 7))
LEVEL = Feature("c", FeatureType.CATEGORY, vocabulary=(1, 2, 3))
MIXED = Feature("m", FeatureType.CATEGORY, vocabulary=("a", 1, 2.5))
TRUTH = Feature("t", FeatureType.BOOL, vocabulary=(False, True), unknown=False)
IGNORED = Feature("u", FeatureType.STRING, used=False)
MOMENT = Feature("d", FeatureType.DATETIME, used=False)
nan = math.nan


@pytest.mark.parametrize(
    ("feature", "value", "expected"),
    [
        (NUMBER, 5, 5.0),
        (NUMBER, None, nan),
        (WHOLE, 5.0, 5.0),
        (WHOLE, BIG, 2.0**53),  # the nearest float64, as the original's own conversion
        (WHOLE, 2**63 - 1, 2.0**63),
        (FLAG, True, 1.0),
        (WORD, "001", 1.0),
        (WORD, "1", 2.0),
        (WORD, "", 2.0),
        (WORD, None, 3.0),
        (CLOSED, "", 1.0),
        (IDENTITY, BIG, 0.0),
        (IDENTITY, BIG - 1, 2.0),  # float64 would take it for BIG
        (IDENTITY, 7.0, 1.0),
        (LEVEL, 2, 1.0),
        (LEVEL, 2.5, 3.0),
        (MIXED, "a", 0.0),
        (MIXED, 2.5, 2.0),
        (MIXED, "1", 3.0),
        (TRUTH, True, 1.0),
        (TRUTH, None, 3.0),
        (IGNORED, "anything", 0.0),
        (IGNORED, None, 0.0),
        (MOMENT, "2013-01-01T05:00:00Z", 0.0),
        (MOMENT, 1356998400000, 0.0),
    ],
)
def test_json_values(feature: Feature, value: Any, expected: float) -> None:
    assert np.array(Cell(feature).from_json(value)).tobytes() == np.array(expected).tobytes()


@pytest.mark.parametrize(
    ("feature", "value", "message"),
    [
        (NUMBER, "5", 'found "5", expected double'),
        (NUMBER, True, "found true, expected double"),
        (INFINITE, math.inf, "found Infinity, expected double"),
        (STRICT, None, "found null, expected double: the model accepts no missing value here"),
        (STRICT, 1.5, "found 1.5, expected double from 0.0 to 1.0"),
        (WHOLE, "abc", 'found "abc", expected int64'),
        (WHOLE, 5.5, "found 5.5, expected int64"),
        (WHOLE, 2**63, "found 9223372036854775808, expected int64"),
        (WHOLE, 10**400, "found an integer of more than 20 digits, expected int64"),
        (FLAG, 1, r"found 1, expected bool \(true or false\)"),
        (WORD, 1, "found 1, expected string"),
        (CLOSED, "B6", r'found "B6", expected one of the 2 categories of the training data \("UA", ""\)'),
        (LEVEL, "2", r'found "2", expected a category \(number\)'),
        (IGNORED, 5, "found 5, expected string"),
        (MOMENT, "noon", r'found "noon", expected datetime \(ISO 8601\)'),
        (NUMBER, [1], "found a list, expected double"),
        (NUMBER, {}, "found an object, expected double"),
    ],
)
def test_json_values_that_do_not_fit(feature: Feature, value: Any, message: str) -> None:
    with pytest.raises(Unfit, match=f"^{message}$"):
        Cell(feature).from_json(value)


@pytest.mark.parametrize(
    ("feature", "text", "expected"),
    [
        (NUMBER, " 1e3 ", 1000.0),
        (NUMBER, "", nan),
        (NUMBER, "NaN", nan),
        (INFINITE, "-Infinity", -math.inf),
        (WHOLE, "0005", 5.0),
        (WHOLE, "5.0", 5.0),
        (FLAG, "True", 1.0),
        (FLAG, "0", 0.0),
        (WORD, "001", 1.0),
        (WORD, "NaN", 2.0),
        (WORD, "", 3.0),
        (CLOSED, "", 1.0),
        (IDENTITY, str(BIG), 0.0),
        (MIXED, "1", 1.0),
        (MIXED, "2.5", 2.0),
        (TRUTH, "true", 1.0),
    ],
)
def test_text_cells(feature: Feature, text: str, expected: float) -> None:
    assert np.array(Cell(feature).from_text(text)).tobytes() == np.array(expected).tobytes()


@pytest.mark.parametrize("text", ["1_0", "٣", "0x10", "1,5", "--1", "1e999", "e5", "inf", "nanana", "five"])
def test_text_that_is_no_number(text: str) -> None:
    with pytest.raises(Unfit):
        Cell(NUMBER).from_text(text)


def test_a_number_too_large_is_not_taken_for_infinity() -> None:
    with pytest.raises(Unfit, match="1e999"):
        Cell(INFINITE).from_text("1e999")


@pytest.mark.parametrize("feature", [NUMBER, INFINITE, STRICT, WHOLE, FLAG, IDENTITY, LEVEL, TRUTH, MOMENT])
def test_an_array_is_the_rule_applied_to_each_value(feature: Feature) -> None:
    values = np.array([0.0, 1.0, 0.5, 7.0, nan, math.inf, -math.inf, 2.0**63, -(2.0**63), -3.0])
    numbers, refused = Cell(feature).from_array(values)
    for place, value in enumerate(values.tolist()):
        try:
            expected = Cell(feature).from_number(value)
        except Unfit:
            assert refused is not None
            assert refused[place], value
        else:
            assert refused is None or not refused[place], value
            assert np.array(expected).tobytes() == np.array(float(numbers[place])).tobytes(), value


def test_integers_of_full_width_keep_their_identity() -> None:
    numbers, refused = Cell(IDENTITY).from_array(np.array([BIG, BIG - 1, 7]))
    assert numbers.tolist() == [0.0, 2.0, 1.0]
    assert refused is None
    _, refused = Cell(WHOLE).from_array(np.array([1, 2**63], np.uint64))
    assert refused is not None
    assert refused.tolist() == [False, True]


def test_a_text_the_model_reads_needs_a_vocabulary() -> None:
    with pytest.raises(InvalidInput, match="no vocabulary"):
        Cell(Feature("s", FeatureType.STRING))


def test_a_name_twice_is_no_signature() -> None:
    with pytest.raises(InvalidInput, match='"x" twice'):
        cells_of(Signature((Feature("x", FeatureType.DOUBLE),) * 2, Output(Task.REGRESSION, targets=("y",))))


def test_an_error_shows_no_control_characters() -> None:
    with pytest.raises(Unfit) as caught:
        Cell(NUMBER).from_json('a\r\n\x1b[31m"\ud800' + "x" * 500)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200
