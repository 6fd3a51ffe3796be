"""The knee is found near the true capacity of any server, in a bounded number of tries."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.evaluation.capacity import (
    UTILISATION,
    Knee,
    LoadPoint,
    Search,
    carries,
    find_knee,
    limit_of,
    next_rate,
    recommend,
)

SECONDS = 3.0
CAPACITIES = st.floats(min_value=3.0, max_value=100_000.0)
LATENCIES = st.floats(min_value=0.05, max_value=200.0)


def ask(rate: float, capacity: float, lone_ms: float, *, generator_max: float = math.inf) -> LoadPoint:
    """Answer as a queue does: at once below the capacity, later and later above it."""
    backlog_ms = max(0.0, rate / capacity - 1.0) * SECONDS * 1e3
    due = max(1, round(rate * SECONDS))
    busy = min(1.0, rate / generator_max)
    return LoadPoint(rate, due, due, min(rate, capacity), lone_ms, lone_ms + backlog_ms, generator=busy)


def search_through(search: Search, capacity: float, lone_ms: float, **more: float) -> list[LoadPoint]:
    points: list[LoadPoint] = []
    while (rate := next_rate(points, search)) is not None:
        assert rate > 0
        points.append(ask(rate, capacity, lone_ms, **more))
        assert len(points) <= search.points_max
    return points


@given(CAPACITIES, LATENCIES)
def test_the_knee_is_near_the_capacity(capacity: float, lone_ms: float) -> None:
    search = Search(points_max=60)
    points = search_through(search, capacity, lone_ms)
    knee = find_knee(points, search)
    allowed = 1.0 + (knee.limit_ms - lone_ms) / (SECONDS * 1e3)  # so far above it the limit is still kept
    assert knee.found
    assert capacity / search.precision <= knee.rate <= capacity * allowed * 1.001


@given(CAPACITIES, LATENCIES, st.integers(1, 12))
def test_no_more_loads_are_tried_than_allowed(capacity: float, lone_ms: float, most: int) -> None:
    assert len(search_through(Search(points_max=most), capacity, lone_ms)) <= most


def test_one_bad_moment_is_not_the_knee() -> None:
    search = Search(points_max=60)
    points = [ask(50, 1000, 1.0), LoadPoint(100, 300, 300, 100, 1.0, 500.0)]
    assert next_rate(points, search) == 100
    points.append(ask(100, 1000, 1.0))
    while (rate := next_rate(points, search)) is not None:
        points.append(ask(rate, 1000, 1.0))
    assert find_knee(points, search).rate > 800


def test_a_busy_generator_ends_the_search_and_is_told() -> None:
    search = Search()
    points = search_through(search, 1e9, 1.0, generator_max=10_000)
    knee = find_knee(points, search)
    assert (knee.found, knee.generator_bound) == (False, True)
    assert knee.rate >= 9_000


def test_a_goal_that_a_lone_request_misses_leaves_no_knee_and_no_number_of_workers_helps() -> None:
    search = Search(limit_ms=5.0)
    points = search_through(search, 100.0, 20.0)
    knee = find_knee(points, search)
    assert knee.rate == 0.0
    assert recommend(knee, points, target=10, workers=1, cores=8).workers == 0


def test_refusals_are_no_answers() -> None:
    assert carries(LoadPoint(100, 300, 300, 100, 1, 2), 5.0)
    assert not carries(LoadPoint(100, 300, 250, 83, 1, 2, refused=50), 5.0)
    nothing = LoadPoint(100, 300, 0, 0, math.nan, math.nan, failed=300)
    assert not carries(nothing, 5.0)
    assert math.isnan(limit_of([nothing], Search()))
    assert find_knee([nothing], Search()).rate == 0.0


@given(st.floats(1, 1e5), st.floats(1, 1e6), st.integers(1, 16), st.integers(1, 64))
def test_recommended_workers_carry_the_target_and_one_fewer_does_not(
    rate: float, target: float, workers: int, cores: int
) -> None:
    knee = Knee(rate, 20.0, found=True)
    advice = recommend(knee, [ask(1, 1e9, 1.0)], target=target, workers=workers, cores=cores)
    filled = UTILISATION * advice.each
    assert advice.each == pytest.approx(rate / workers)
    assert advice.workers * filled >= target * (1 - 1e-9)
    assert advice.workers == 1 or (advice.workers - 1) * filled < target * (1 + 1e-9)
    assert advice.fits == (advice.workers <= cores)
