"""What a call costs decides where it runs and with how many."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.costs import line
from modelport.dataplane.costs import INLINE_S, LONGEST_S, ROWS, Costs, measure_costs

SECONDS = st.floats(1e-7, 1.0)
COSTS = st.lists(SECONDS, min_size=1, max_size=len(ROWS)).map(
    lambda taken: Costs(tuple(zip(ROWS, sorted(taken), strict=False)))
)


@given(COSTS, st.floats(1e-7, 2.0))
def test_as_many_rows_fit_as_their_call_takes_no_longer(costs, seconds):
    rows = costs.rows_within(seconds)
    assert rows == 0 or costs.seconds(rows) <= seconds
    assert costs.seconds(rows + 1) > seconds or rows >= 1 << 23


@given(COSTS, st.integers(1, 1000), st.integers(1, 1000))
def test_more_rows_never_cost_less(costs, few, many):
    few, many = sorted((few, many))
    assert costs.seconds(few) <= costs.seconds(many) * (1 + 1e-12)


@given(COSTS)
def test_a_measured_size_costs_what_was_measured(costs):
    assert [costs.seconds(rows) for rows, _ in costs.points] == [seconds for _, seconds in costs.points]


@pytest.mark.parametrize(
    ("costs", "rows"),
    [
        (line(5e-6, 1e-7), 256),  # the fixed part is worth sharing
        (line(0.0, 5e-4), 1),  # nothing is gained
        (line(1e-5, 1e-5), 32),  # beyond this, a row gets less than a tenth cheaper
        (Costs(((1, 0.035),)), 1),
    ],
)
def test_rows_share_a_call_as_far_as_that_makes_them_cheaper(costs, rows):
    assert costs.worthwhile_rows == rows


class Model:
    """Takes what the test says, on a clock of its own."""

    def __init__(self, fixed_s, row_s):
        self.at, self.fixed_s, self.row_s = 0.0, fixed_s, row_s
        self.seen = []

    def ordinary_rows(self, count):
        return np.arange(count, dtype=np.float64).reshape(count, 1)

    def run(self, matrix):
        self.seen.append(matrix[:, 0].tolist())
        self.at += self.fixed_s + self.row_s * len(matrix)

    def now(self):
        return self.at


def test_a_curve_is_measured_on_rows_that_differ_from_call_to_call():
    model = Model(5e-6, 1e-6)
    costs = measure_costs(model, model.now)
    assert costs.points == pytest.approx(np.array(line(5e-6, 1e-6).points))
    assert all(first != second for first, second in itertools.pairwise(model.seen) if len(first) < 256)


def test_a_slow_model_is_not_measured_for_long():
    model = Model(0.0, 0.04)
    costs = measure_costs(model, model.now)
    assert costs.points == ((1, pytest.approx(0.04)),)
    assert model.at <= LONGEST_S
    assert costs.rows_within(INLINE_S) == 0


def test_a_model_that_dislikes_ordinary_rows_is_kept_off_the_loop():
    model = Model(0.0, 0.0)
    model.run = lambda matrix: 1 / 0
    assert measure_costs(model, model.now).rows_within(INLINE_S) == 0
