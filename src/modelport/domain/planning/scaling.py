"""How many instances a variant, or copies an inference component, should have.

Source: Application Auto Scaling, "How target tracking scaling works": out after 3 minutes above the target,
in after 15 minutes clearly below it, in proportion to the metric, never against a cooldown; with several
policies the largest number wins, and instances go only when all policies agree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from modelport.domain.planning.replicas import REPLICAS_MAX
from modelport.domain.scaling import ScalableTargetSpec, ScalingActivity, ScalingPolicy, ScalingState

OUT_MINUTES = 3
IN_MINUTES = 15
IN_SHARE = 0.9
"""Of the target: what is below it counts as too many instances."""

Minutes = Sequence[float | None]
"""Values of a metric in the last minutes that are over, the newest last; None: nothing was observed."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The number of instances to wish for, and why."""

    instances: int
    cause: str


def plan_instances(
    spec: ScalableTargetSpec,
    state: ScalingState,
    current: int,
    observed: Mapping[str, Minutes],
    now: datetime,
    wait_scale: float = 1.0,
) -> Scale | None:
    """Return what to change about a variant's number of instances; None: nothing now.

    Args:
        spec: Its bounds.
        state: Its policies, and what was changed before.
        current: Instances it has.
        observed: Policy name to its metric.
        now: The time, aware, UTC.
        wait_scale: What cooldowns are multiplied by.
    """
    # Never none: nothing could be observed that would start one again.
    most = max(1, min(spec.max_capacity, REPLICAS_MAX))
    least = max(1, min(spec.min_capacity, most))
    if not least <= current <= most:
        within = min(max(current, least), most)
        return Scale(within, f"{current} is outside of {least} to {most}")
    wanted = [_wanted(policy, current, observed[policy.policy_name]) for policy in state.policies]
    up = max((found for found in wanted if found.instances > current), key=_size, default=None)
    if up is not None:
        return _out(spec, state, current, Scale(min(up.instances, most), up.cause), now, wait_scale)
    if wanted and all(found.instances < current for found in wanted):
        down = max(wanted, key=_size)
        return _in(spec, state, current, Scale(max(down.instances, least), down.cause), now, wait_scale)
    return None


def _wanted(policy: ScalingPolicy, current: int, minutes: Minutes) -> Scale:
    """Return what one policy would have; the present number where it has no opinion."""
    values = [value or 0.0 for value in minutes] if policy.metric.per_instance else list(minutes)
    target, name = policy.target_value, policy.metric.metric_name
    latest = values[-OUT_MINUTES:]
    known = [value for value in latest if value is not None]
    if len(known) == OUT_MINUTES and min(known) > target:
        instances = math.ceil(current * known[-1] / target)
        told = ", ".join(f"{value:g}" for value in known)
        return Scale(instances, f"{policy.policy_name}: {name} was {told}, against a target of {target:g}")
    earlier = [value for value in values[-IN_MINUTES:] if value is not None]
    if not policy.disable_scale_in and len(earlier) == IN_MINUTES and max(earlier) < IN_SHARE * target:
        instances = math.ceil(current * max(earlier) / target)
        told = f"at most {max(earlier):g} for {IN_MINUTES} minutes"
        return Scale(instances, f"{policy.policy_name}: {name} was {told}, against a target of {target:g}")
    return Scale(current, "")


def _out(
    spec: ScalableTargetSpec,
    state: ScalingState,
    current: int,
    wish: Scale,
    now: datetime,
    wait_scale: float,
) -> Scale | None:
    cooldown_s = max(policy.scale_out_cooldown for policy in state.policies) * wait_scale
    upwards = [activity for activity in state.activities if activity.after > activity.before]
    rests = _since(upwards, now) < cooldown_s
    suspended = spec.suspended_state.dynamic_scaling_out_suspended
    return None if rests or suspended or wish.instances == current else wish


def _in(
    spec: ScalableTargetSpec,
    state: ScalingState,
    current: int,
    wish: Scale,
    now: datetime,
    wait_scale: float,
) -> Scale | None:
    cooldown_s = max(policy.scale_in_cooldown for policy in state.policies) * wait_scale
    rests = _since(state.activities, now) < cooldown_s
    suspended = spec.suspended_state.dynamic_scaling_in_suspended
    return None if rests or suspended or wish.instances == current else wish


def _since(activities: Sequence[ScalingActivity], now: datetime) -> float:
    return (now - activities[-1].at).total_seconds() if activities else math.inf


def _size(wish: Scale) -> int:
    return wish.instances
