import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.domain.errors import CheckFailed
from modelport.evaluation import parity
from modelport.evaluation.parity import BARS, Bar, allowed_difference, bar_of, tell_row

LABELS = ("late", "on time", "cancelled")


@dataclass
class Given:
    label: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    predictions: np.ndarray | None = None


def compare(original, converted, bar, *, scale=None, margin=None):
    return parity.compare(original, converted, allowed_difference(bar, original, scale), margin=margin)


def classified(probabilities) -> Given:
    table = np.array(probabilities, dtype=np.float64)
    return Given(label=table.argmax(axis=1), probabilities=table)


def predicted(numbers) -> Given:
    return Given(predictions=np.array(numbers, dtype=np.float64).reshape(-1, 1))


FINITE = st.floats(-1e6, 1e6)
SOME = st.lists(FINITE, min_size=1, max_size=50)


@given(SOME, st.sampled_from(sorted(BARS)))
def test_a_model_equals_itself(numbers, family):
    found = compare(predicted(numbers), predicted(numbers), bar_of(family))
    assert found.holds
    assert found.worst is None
    assert (found.max_absolute, found.max_relative) == (0.0, 0.0)


@given(SOME, st.data(), st.sampled_from([bar for bar in BARS.values() if not bar.growth]), st.booleans())
def test_a_planted_difference_is_always_found(numbers, data, bar, upwards):
    row = data.draw(st.integers(0, len(numbers) - 1))
    planted = list(numbers)
    planted[row] += (bar.absolute * 2 + abs(planted[row]) * 1e-15 + 1e-300) * (1 if upwards else -1)
    if abs(planted[row] - numbers[row]) <= bar.absolute:
        planted[row] = math.nextafter(planted[row], math.inf) + 2 * bar.absolute
    found = compare(predicted(numbers), predicted(planted), bar)
    assert not found.holds
    assert found.over == 1
    assert found.worst == row
    assert found.max_absolute == abs(planted[row] - numbers[row])


@given(SOME, st.data(), st.sampled_from([math.nan, math.inf, -math.inf]), st.booleans())
def test_nan_and_infinity_must_stand_where_the_original_has_them(numbers, data, odd, in_original):
    row = data.draw(st.integers(0, len(numbers) - 1))
    with_odd = [odd if index == row else number for index, number in enumerate(numbers)]
    first, second = (with_odd, numbers) if in_original else (numbers, with_odd)
    found = compare(predicted(first), predicted(second), Bar("anything", 1e300))
    assert (found.unlike, found.worst, found.holds) == (1, row, False)
    assert compare(predicted(with_odd), predicted(with_odd), Bar("exact", 0.0)).holds


def test_infinities_of_other_sign_differ():
    assert not compare(predicted([math.inf]), predicted([-math.inf]), Bar("anything", 1e300)).holds


@given(st.integers(2, 6), st.integers(1, 20), st.data())
def test_another_label_is_a_flip_where_the_original_is_sure(classes, rows, data):
    table = np.full((rows, classes), 0.1)
    table[:, 0] = 0.9
    flipped = data.draw(st.integers(0, rows - 1))
    other = classified(table)
    other.label = other.label.copy()
    other.label[flipped] = 1
    found = compare(classified(table), other, BARS["forest"])
    assert (found.flips, found.ties, found.worst, found.holds) == (1, 0, flipped, False)


def test_rows_nearer_than_the_bar_are_ties():
    original = classified([[0.5, 0.5], [0.5 + 4e-15, 0.5 - 4e-15], [0.6, 0.4]])
    other = replace(original, label=1 - original.label)
    other.label[2] = original.label[2]
    found = compare(original, other, BARS["forest"])
    assert (found.flips, found.ties, found.holds) == (0, 2, True)
    assert compare(original, other, BARS["tree"]).flips == 1


def test_without_probabilities_every_other_label_is_a_flip_unless_a_margin_says_otherwise():
    first, second = Given(label=np.array([0, 1])), Given(label=np.array([1, 1]))
    assert compare(first, second, BARS["linear"]).flips == 1
    near = compare(first, second, BARS["linear"], margin=np.array([1e-15, 2.0]))
    assert (near.flips, near.ties) == (0, 1)


def test_the_linear_bar_grows_with_what_was_summed():
    first, second = predicted([1e6, 1.0]), predicted([1e6 + 5e-7, 1.0])
    assert compare(first, second, BARS["linear"], scale=np.array([1e6, 1.0])).holds
    assert not compare(first, second, BARS["linear"], scale=np.array([1.0, 1e6])).holds


def test_a_bar_grows_with_the_answer_behind_an_exponential():
    first, second = predicted([1e6]), predicted([1e6 + 1e-9])
    assert compare(first, second, BARS["boosting-log"], scale=np.array([1.0])).holds
    assert not compare(first, second, BARS["boosting"]).holds
    assert str(BARS["boosting-log"]) == "1e-14 · max(1, |answer|)"


def test_the_share_of_the_bar_that_was_used():
    found = compare(predicted([0.0, 1.0]), predicted([0.25, 1.0]), Bar("any", 0.5))
    assert found.max_share == 0.5


def test_a_scale_that_is_not_finite_counts_as_one():
    first, second = predicted([1.0]), predicted([1.0 + 1e-9])
    assert not compare(first, second, BARS["linear"], scale=np.array([np.inf])).holds


def test_relative_difference_is_measured_against_the_larger_number():
    found = compare(predicted([0.0, 2.0]), predicted([1e-3, 2.0]), Bar("any", 1.0))
    assert found.max_relative == 1.0


def test_another_shape_is_refused():
    with pytest.raises(CheckFailed, match="shape"):
        compare(classified([[0.5, 0.5]]), predicted([0.5]), BARS["tree"])


def test_no_rows_hold():
    assert compare(predicted([]), predicted([]), BARS["tree"]).holds


def test_an_unknown_family_is_refused():
    with pytest.raises(CheckFailed, match="'novel'"):
        bar_of("novel")


def test_the_worst_row_is_told_feature_by_feature():
    original, converted = classified([[0.9, 0.1, 0.0]]), classified([[0.25, 0.75, 0.0]])
    text = tell_row({"carrier": "AA", "hour": None, "temp": 3.5}, original, converted, 0, LABELS)
    assert text.splitlines() == [
        "  carrier    'AA'",
        "  hour       missing",
        "  temp       3.5",
        "  original   'late'  0.9, 0.1, 0.0",
        "  converted  'on time'  0.25, 0.75, 0.0",
    ]
