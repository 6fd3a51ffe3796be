"""Raw thresholds and bounds are exact to the last bit."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from modelport.formats.elementwise import DOUBLE, SINGLE, Chain, Operation
from modelport.formats.inversion import LARGEST, finite_range, last_left, raw_thresholds

numbers = st.floats(-1e6, 1e6)
scales = st.floats(1e-6, 1e6)


def scaled(mean, scale, *, rounds):
    chain = Chain(0, (Operation("subtract", (np.array([mean]),)), Operation("divide", (np.array([scale]),))))
    return chain.then(Operation(SINGLE), Operation(DOUBLE)) if rounds else chain


@given(numbers, scales, numbers, st.booleans())
def test_the_last_raw_value_that_goes_left(mean, scale, threshold, rounds):
    chain = scaled(mean, scale, rounds=rounds)
    threshold = chain.compute(np.array([threshold]))
    (last,) = last_left(chain, threshold)
    assert chain.compute(np.array([last]))[0] <= threshold[0]
    assert chain.compute(np.array([math.nextafter(last, math.inf)]))[0] > threshold[0]


@given(numbers, scales, st.lists(numbers, min_size=1, max_size=5))
def test_raw_thresholds_stand_in_pairs_around_each_threshold(mean, scale, values):
    chain = scaled(mean, scale, rounds=True)
    goal = chain.compute(np.array(values))
    found = raw_thresholds(chain, goal, -LARGEST, LARGEST)
    for threshold in goal:
        left = chain.compute(found) <= threshold
        assert left.any()
        assert not left.all()
        assert math.nextafter(found[left].max(), math.inf) == found[~left].min()


def test_what_overflows_float32_is_beyond_the_bounds():
    low, high = finite_range([Chain(0, (Operation(SINGLE),))], 1.0)
    with np.errstate(over="ignore"):
        assert np.isfinite(np.float32([low, high])).all()
        assert np.isinf(np.float32([math.nextafter(low, -math.inf), math.nextafter(high, math.inf)])).all()


def test_a_logarithm_ends_where_it_is_no_number():
    low, high = finite_range([Chain(0, (Operation("log1p"),))], 1.0)
    assert (low, high) == (math.nextafter(-1.0, 0.0), LARGEST)


def test_thresholds_beyond_every_number():
    chain = Chain(0, (Operation("clip", (np.array([0.0]), np.array([1.0]))),))
    assert last_left(chain, np.array([2.0, -1.0, 0.5])).tolist() == [math.inf, -math.inf, 0.5]
