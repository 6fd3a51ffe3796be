"""Whether a model's answers depend on the rows beside them, and what follows from it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.runtime.batching import plan
from modelport.runtime.invariance import OTHER_KIND, SIZES, measure_batch_difference, shared_rows
from modelport.runtime.outputs import Outputs

ROWS = np.random.default_rng(0).random((300, 3))


class Asked:
    """A model of a test: counts its calls, and each takes `row_s` for a row by its own clock."""

    def __init__(self, answer, row_s=0.0):
        self.answer, self.row_s, self.now_s, self.sizes = answer, row_s, 0.0, []

    def run(self, matrix):
        self.sizes.append(len(matrix))
        self.now_s += self.row_s * len(matrix)
        return self.answer(matrix)

    def now(self):
        return self.now_s

    def measure(self, matrix=ROWS, *, hurry=False):
        return measure_batch_difference(self.run, matrix, self.now, hurry=hurry)


def predict(matrix, off=0.0):
    return Outputs(predictions=matrix.sum(axis=1, keepdims=True) + off)


def test_a_model_that_does_not_look_at_the_neighbours_has_no_difference():
    model = Asked(lambda matrix: Outputs(np.arange(len(matrix)) * 0, matrix))
    assert model.measure() == 0.0
    assert set(model.sizes) == {1, *SIZES}


@pytest.mark.parametrize("size", SIZES)
def test_a_difference_shows_in_each_size(size):
    model = Asked(lambda matrix: predict(matrix, off=1e-9 if len(matrix) == size else 0.0))
    assert model.measure() == pytest.approx(1e-9, rel=0.5)


def test_a_difference_in_the_last_row_only():
    def answer(matrix):
        found = predict(matrix).predictions
        found[-1] += 1e-10 * (len(matrix) > 1)
        return Outputs(predictions=found)

    assert 0 < Asked(answer).measure() < 1e-9


def test_large_answers_are_compared_by_their_size():
    model = Asked(lambda matrix: Outputs(predictions=np.full((len(matrix), 1), 1e9 + (len(matrix) > 1))))
    assert model.measure() == pytest.approx(1e-9)


def test_another_label_is_a_difference_of_one():
    assert Asked(lambda matrix: Outputs(np.full(len(matrix), int(len(matrix) > 8)))).measure() == 1.0


@pytest.mark.parametrize("other", [np.nan, np.inf, -np.inf])
def test_a_number_against_none_is_more_than_any_number(other):
    model = Asked(
        lambda matrix: Outputs(predictions=np.full((len(matrix), 1), other if len(matrix) > 1 else 1.0))
    )
    assert model.measure() == OTHER_KIND


@pytest.mark.parametrize("same", [np.nan, np.inf, -np.inf])
def test_but_not_where_both_are_none(same):
    assert Asked(lambda matrix: Outputs(predictions=np.full((len(matrix), 1), same))).measure() == 0.0


@pytest.mark.parametrize("count", [1, 5, 8, 40])
def test_few_rows_are_repeated(count):
    model = Asked(lambda matrix: predict(matrix, off=len(matrix) * 1e-6))
    assert model.measure(ROWS[:count]) > 1e-5


def test_in_a_hurry_a_slow_model_is_asked_little():
    model = Asked(predict, row_s=0.004)
    assert model.measure(hurry=True) == 0.0
    assert model.now_s < 0.2
    assert 8 in model.sizes
    assert 256 not in model.sizes


def test_in_a_hurry_a_model_that_is_slower_still_is_asked_once():
    model = Asked(predict, row_s=1.0)
    assert model.measure(hurry=True) == 0.0
    assert model.sizes == [1]


@given(difference=st.floats(0, 1), allowed=st.floats(0, 1), counts=st.lists(st.integers(1, 9), min_size=1))
def test_requests_share_a_call_only_where_the_difference_is_allowed(difference, allowed, counts):
    groups = plan(counts, shared_rows(difference, allowed, rows_max=256))
    if difference > allowed:
        assert groups == [(place, place + 1) for place in range(len(counts))]
    else:
        assert groups == plan(counts, 256)
