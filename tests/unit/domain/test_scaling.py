"""How many instances follow from a metric: out soon, in late, in proportion, within bounds and cooldowns."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.domain.planning.scaling import IN_MINUTES, OUT_MINUTES, plan_instances
from modelport.domain.scaling import (
    ScalableTargetSpec,
    ScalingActivity,
    ScalingPolicy,
    ScalingState,
    Suspended,
    TrackedMetric,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
BOUNDS = ScalableTargetSpec("air", "A", 1, 8)
BACKLOG = TrackedMetric("AWS/SageMaker", "ApproximateBacklogSizePerInstance", "Average")
INVOCATIONS = replace(BACKLOG, metric_name="Invocations", statistic="Sum", per_instance=True)


def policy(metric: TrackedMetric = BACKLOG, name: str = "p", target: float = 10.0, **more) -> ScalingPolicy:
    return ScalingPolicy(name, metric, target, NOW, **more)


def planned(current, minutes, *policies, spec=BOUNDS, changes=(), wait_scale=1.0):
    """Return the number of instances that follows; None: nothing changes."""
    policies = policies or (policy(),)
    observed = minutes if isinstance(minutes, dict) else {one.policy_name: minutes for one in policies}
    found = plan_instances(spec, ScalingState(policies, changes), current, observed, NOW, wait_scale)
    return None if found is None else found.instances


def ago(seconds: float, before: int, after: int) -> tuple[ScalingActivity]:
    return (ScalingActivity(NOW - timedelta(seconds=seconds), before, after, ""),)


def test_out_after_three_minutes_in_proportion_to_the_newest():
    assert planned(2, [15.0, 15.0]) is None
    assert planned(2, [9.0, 11.0, 25.0]) is None
    assert planned(2, [11.0, 12.0, 25.0]) == 5
    assert planned(2, [11.0, 12.0, 90.0]) == 8, "no more than allowed"


def test_in_after_fifteen_quiet_minutes():
    assert planned(4, [1.0] * (IN_MINUTES - 1)) is None
    assert planned(4, [1.0] * IN_MINUTES) == 1
    assert planned(4, [9.5] * IN_MINUTES) is None, "close to the target is where it should be"
    assert planned(4, [1.0] * IN_MINUTES, policy(disable_scale_in=True)) is None


def test_what_nobody_observed_says_nothing_but_of_requests():
    assert planned(4, [None] * IN_MINUTES) is None
    assert planned(4, [None] * IN_MINUTES, policy(INVOCATIONS)) == 1


@pytest.mark.parametrize(("since", "scale", "expected"), [(299, 1.0, None), (301, 1.0, 4), (31, 0.1, 4)])
def test_cooldowns(since, scale, expected):
    up = [20.0] * OUT_MINUTES
    assert planned(2, up, changes=ago(since, 1, 2), wait_scale=scale) == expected
    assert planned(2, up, changes=ago(1, 3, 2)) == 4, "a change downwards holds nothing up that goes out"
    down = [1.0] * IN_MINUTES
    assert (planned(2, down, changes=ago(since, 1, 2), wait_scale=scale) is None) is (expected is None)


def test_suspended_directions():
    out = replace(BOUNDS, suspended_state=Suspended(dynamic_scaling_out_suspended=True))
    inwards = replace(BOUNDS, suspended_state=Suspended(dynamic_scaling_in_suspended=True))
    assert planned(2, [20.0] * OUT_MINUTES, spec=out) is None
    assert planned(2, [1.0] * IN_MINUTES, spec=inwards) is None
    assert planned(2, [1.0] * IN_MINUTES, spec=out) == 1


def test_of_several_policies_the_largest_wins_and_all_must_agree_to_go_in():
    both = (policy(name="a"), policy(INVOCATIONS, name="b"))
    assert planned(2, {"a": [20.0] * OUT_MINUTES, "b": [30.0] * OUT_MINUTES}, *both) == 6
    assert planned(2, {"a": [1.0] * IN_MINUTES, "b": [10.0] * IN_MINUTES}, *both) is None
    assert planned(8, {"a": [1.0] * IN_MINUTES, "b": [5.0] * IN_MINUTES}, *both) == 4


def test_without_any_policy_bounds_still_hold():
    spec = replace(BOUNDS, min_capacity=3, max_capacity=5)
    assert plan_instances(spec, ScalingState(), 4, {}, NOW) is None
    assert plan_instances(spec, ScalingState(), 1, {}, NOW).instances == 3
    assert plan_instances(spec, ScalingState(), 9, {}, NOW).instances == 5


def test_bounds_that_a_machine_cannot_keep_come_to_rest():
    quiet = {"p": [0.0] * IN_MINUTES}
    none = ScalingState((policy(),))
    assert plan_instances(replace(BOUNDS, min_capacity=40, max_capacity=50), none, 32, quiet, NOW) is None
    assert plan_instances(replace(BOUNDS, min_capacity=0), none, 1, quiet, NOW) is None, "one stays"


@given(
    current=st.integers(0, 40),
    minutes=st.lists(st.none() | st.floats(0, 1e6), min_size=IN_MINUTES, max_size=IN_MINUTES),
    metric=st.sampled_from([BACKLOG, INVOCATIONS]),
    least=st.integers(0, 40),
    more=st.integers(0, 40),
)
def test_it_stays_within_bounds_and_moves_the_way_the_metric_says(current, minutes, metric, least, more):
    spec = replace(BOUNDS, min_capacity=least, max_capacity=least + more)
    found = planned(current, minutes, policy(metric), spec=spec)
    if found is None:
        return
    assert found != current
    assert min(max(least, 1), 32) <= found <= min(max(least + more, 1), 32)
    if max(least, 1) <= current <= min(least + more, 32):
        newest = minutes[-1] or 0.0
        assert (found > current) == (newest > 10.0)
