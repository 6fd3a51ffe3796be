"""What to do next about an endpoint whose traffic moves to another config step by step.

each share:  start and try what is new ─► route it ─► every worker serves it ─► watch
all passed:  InService with the new config
an alarm, too long, or something that does not start:  all traffic back, and the reason
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce

from modelport.domain.deployment import REQUESTS_MIN, Shift, Stage, Tally, compare
from modelport.domain.endpoint import Endpoint, EndpointStatus
from modelport.domain.planning.routes import blend
from modelport.domain.routes import EndpointRoute


@dataclass(frozen=True, slots=True)
class Sides:
    """The two configs of an update under guard.

    Args:
        before: The route of the config that serves.
        after: The route of the one that is wished for.
        config: Name of the one that serves.
        wish: Name of the one that is wished for.
    """

    before: EndpointRoute
    after: EndpointRoute
    config: str
    wish: str


@dataclass(frozen=True, slots=True)
class Reach:
    """Serve by this route; then ask again."""

    route: EndpointRoute


@dataclass(frozen=True, slots=True)
class Note:
    """Write the endpoint back: it has come one step further, or turns back. Its wish is not settled."""

    endpoint: Endpoint
    message: str


@dataclass(frozen=True, slots=True)
class Wait:
    """There is nothing to do but to watch."""


@dataclass(frozen=True, slots=True)
class Done:
    """All traffic has moved, and nothing spoke against it."""


Next = Reach | Note | Wait | Done


def next_step(
    endpoint: Endpoint,
    sides: Sides,
    shift: Shift,
    *,
    serves: Callable[[EndpointRoute], bool],
    alarming: frozenset[str],
    tallies: Mapping[str, Tally],
    now: datetime,
) -> Next:
    """Return what comes next.

    Args:
        endpoint: Its wish, its stage.
        sides: What it moves from and to.
        shift: How.
        serves: Returns whether every worker serves by a route.
        alarming: Names of the alarms that are in ALARM.
        tallies: Model version to what came of its requests here, ever since.
        now: The time, aware, UTC.
    """
    stage = endpoint.modelport.stage
    if stage is None:  # written down before anything moves
        return _note(endpoint, Stage(now), f"config {sides.wish} takes over step by step", now)
    reason = _objection(shift, stage, alarming, now) or _complaint(sides, stage, tallies)
    if reason is not None:
        return turn_back(endpoint, sides.config, reason, now)
    share = shift.shares[stage.step]
    goal = blend(sides.before, sides.after, share)
    if not serves(goal):
        return Reach(goal)
    if stage.since is None:
        told = f"{share:.0%} of the traffic goes to config {sides.wish}; it is watched for {shift.wait_s:g} s"
        return _note(endpoint, replace(stage, since=now, tallies=dict(tallies)), told, now)
    last = stage.step == len(shift.shares) - 1
    watched_s = shift.wait_s + (shift.termination_wait_s if last else 0.0)
    if now < stage.since + timedelta(seconds=watched_s):
        return Wait()
    if last:
        return Done()
    following = shift.shares[stage.step + 1]
    told = f"nothing spoke against config {sides.wish}; {following:.0%} of the traffic comes next"
    return _note(endpoint, Stage(stage.began, stage.step + 1), told, now)


def turn_back(endpoint: Endpoint, config: str, reason: str, now: datetime) -> Note:
    """Return an endpoint whose wish is now for what served before.

    Args:
        endpoint: Under way.
        config: Name of the config that served.
        reason: Why.
        now: The time, aware, UTC.
    """
    serving = endpoint.status.production_variants
    back = replace(
        endpoint,
        spec=replace(endpoint.spec, endpoint_config_name=config, deployment_config={}),
        status=replace(
            endpoint.status,
            endpoint_status=EndpointStatus.ROLLING_BACK,
            failure_reason=reason,
            production_variants=tuple(
                replace(
                    item,
                    desired_weight=item.current_weight,
                    desired_instance_count=item.current_instance_count,
                )
                for item in serving
            ),
        ),
        modelport=replace(
            endpoint.modelport,
            weights={item.variant_name: item.current_weight for item in serving},
            instance_counts={item.variant_name: item.current_instance_count for item in serving},
            stage=None,
        ),
        modified_at=now,
    )
    return Note(back, f"all traffic goes back to config {config}: {reason}")


def _objection(shift: Shift, stage: Stage, alarming: frozenset[str], now: datetime) -> str | None:
    named = [name for name in shift.alarms if name in alarming]
    if named:
        return f"the alarm {named[0]!r} is in ALARM"
    if shift.timeout_s is not None and now > stage.began + timedelta(seconds=shift.timeout_s):
        return f"the update took longer than {shift.timeout_s:g} s"
    return None


def _complaint(sides: Sides, stage: Stage, tallies: Mapping[str, Tally]) -> str | None:
    """Return what the built-in alarms say: of versions that both configs have they cannot say anything."""
    if stage.since is None:
        return None
    before, after = (
        {variant.model_version for variant in route.variants if not variant.shadow}
        for route in (sides.before, sides.after)
    )
    nothing = Tally()

    def came(versions: set[str]) -> Tally:
        news = (
            tallies.get(name, nothing).since(stage.tallies.get(name, nothing)) for name in sorted(versions)
        )
        return reduce(Tally.plus, news, nothing)

    old = came(before)
    if old.requests < REQUESTS_MIN:  # it gets next to nothing any more: what it did before
        old = reduce(Tally.plus, (tallies.get(name, nothing) for name in sorted(before)), nothing)
    return compare(came(after - before), old)


def _note(endpoint: Endpoint, stage: Stage, told: str, now: datetime) -> Note:
    notes = replace(endpoint.modelport, stage=stage)
    return Note(replace(endpoint, modelport=notes, modified_at=now), told)
