"""Deployment guardrails: how traffic moves to a new config, step by step, and when it goes back.

Source: SageMaker, "Deployment guardrails": all at once, canary, linear and rolling updates, baking, automatic
rollback by alarms; CreateEndpoint and UpdateEndpoint, DeploymentConfig.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modelport.domain.errors import InvalidInput

WHOLE = 100
CANARY_PERCENT_MAX = 50
STEP_PERCENT = range(10, 51)
BATCH_PERCENT = range(5, 51)
ALARMS_MAX = 10
WAIT_S = range(3601)
REQUESTS_MIN = 20
"""Requests before the built-in alarms over errors and over NaN say anything."""

FAILED_MORE = 0.05
"""Share of requests that may fail, or be answered with NaN, beyond what was so before."""

ANSWERS_MIN = 50
SLOWER_TIMES = 3.0
SLOWER_S = 0.05
"""The built-in alarm over latency: so many times slower, and so much besides."""

TIMEOUT_S = range(600, 28_801)


@dataclass(frozen=True, slots=True)
class Shift:
    """How traffic moves to a new config.

    Args:
        shares: Of the traffic that the new config gets at each step, above 0, growing, the last one 1.
        wait_s: Seconds it is watched after each step.
        termination_wait_s: Seconds the old one is kept after the last.
        timeout_s: Seconds all of it may take; None: as long as it takes.
        alarms: Names of alarms; one in ALARM takes everything back.
    """

    shares: tuple[float, ...]
    wait_s: float = 0.0
    termination_wait_s: float = 0.0
    timeout_s: float | None = None
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of the requests of one model version.

    Args:
        requests: How many came, but for those that were shed or whose client left.
        failed: How many of them were refused or ended with an error.
        answered: How many got an answer.
        seconds: What those took together, from the last byte of the request to the answer.
        nonfinite: How many of them had a NaN or an infinity among their numbers.
    """

    requests: float = 0.0
    failed: float = 0.0
    answered: float = 0.0
    seconds: float = 0.0
    nonfinite: float = 0.0

    def plus(self, other: Tally) -> Tally:
        """Return both together."""
        return Tally(
            self.requests + other.requests,
            self.failed + other.failed,
            self.answered + other.answered,
            self.seconds + other.seconds,
            self.nonfinite + other.nonfinite,
        )

    def since(self, earlier: Tally) -> Tally:
        """Return what came after an earlier look; counters that went back began anew."""
        if self.requests < earlier.requests or self.answered < earlier.answered:
            return self
        return Tally(
            self.requests - earlier.requests,
            self.failed - earlier.failed,
            self.answered - earlier.answered,
            self.seconds - earlier.seconds,
            self.nonfinite - earlier.nonfinite,
        )


@dataclass(frozen=True, slots=True)
class Stage:
    """How far an update has come.

    Args:
        began: When the first step was asked for, UTC.
        step: Which of the shares, from 0.
        since: When that share was reached, UTC; None: not yet.
        tallies: Model version to its tally at that time.
    """

    began: datetime
    step: int = 0
    since: datetime | None = None
    tallies: dict[str, Tally] = field(default_factory=dict)


def compare(new: Tally, old: Tally) -> str | None:
    """Return what speaks against a new version, as the built-in alarms see it; None: nothing.

    Args:
        new: Of the new version, since it got its share.
        old: Of the version that served before.
    """
    if new.requests >= REQUESTS_MIN:
        failed, usual = new.failed / new.requests, old.failed / old.requests if old.requests else 0.0
        if failed > usual + FAILED_MORE:
            told = f"{new.failed:.0f} of {new.requests:.0f} requests of the new version failed"
            return f"{told} ({failed:.0%}; {usual:.0%} of the version before)"
    if new.answered >= REQUESTS_MIN:
        odd, usual = new.nonfinite / new.answered, old.nonfinite / old.answered if old.answered else 0.0
        if odd > usual + FAILED_MORE:
            told = f"{new.nonfinite:.0f} of {new.answered:.0f} answers of the new version have NaN"
            return f"{told} ({odd:.0%}; {usual:.0%} of the version before)"
    if min(new.answered, old.answered) >= ANSWERS_MIN:
        mean_s, usual_s = new.seconds / new.answered, old.seconds / old.answered
        if mean_s > SLOWER_TIMES * usual_s + SLOWER_S:
            told = f"the new version answers in {mean_s * 1000:.0f} ms on average"
            return f"{told}, the version before in {usual_s * 1000:.0f} ms"
    return None


def read_shift(config: Mapping[str, Any], instances: int) -> Shift:
    """Return how traffic moves by a DeploymentConfig.

    Args:
        config: In SageMaker's spelling.
        instances: How many the new config has, at least 1: what a size in instances is a part of.

    Raises:
        InvalidInput: It is none, contradicts itself, or a size or a time is out of range.
    """
    try:
        return _read(config, instances)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise InvalidInput(
            f"not a DeploymentConfig: {type(error).__name__} {error}",
            hint="see CreateEndpoint in SageMaker's API reference for its members",
        ) from error


def _read(config: Mapping[str, Any], instances: int) -> Shift:
    blue_green, rolling = config.get("BlueGreenUpdatePolicy"), config.get("RollingUpdatePolicy")
    if blue_green is not None and rolling is not None:
        raise InvalidInput("DeploymentConfig has both BlueGreenUpdatePolicy and RollingUpdatePolicy")
    alarms = tuple(
        item["AlarmName"] for item in config.get("AutoRollbackConfiguration", {}).get("Alarms", ())
    )
    if len(alarms) > ALARMS_MAX:
        raise InvalidInput(
            f"AutoRollbackConfiguration has {len(alarms)} alarms, expected at most {ALARMS_MAX}"
        )
    if rolling is not None:
        batch = _share(rolling["MaximumBatchSize"], instances, BATCH_PERCENT, "MaximumBatchSize")
        return Shift(
            _steps(batch), _seconds(rolling, "WaitIntervalInSeconds", WAIT_S), 0.0, _timeout(rolling), alarms
        )
    if blue_green is None:
        return Shift((1.0,), alarms=alarms)
    routing = blue_green["TrafficRoutingConfiguration"]
    return Shift(
        _blue_green_shares(routing, instances),
        _seconds(routing, "WaitIntervalInSeconds", WAIT_S),
        _seconds({"TerminationWaitInSeconds": 0, **blue_green}, "TerminationWaitInSeconds", WAIT_S),
        _timeout(blue_green),
        alarms,
    )


def _blue_green_shares(routing: Mapping[str, Any], instances: int) -> tuple[float, ...]:
    kind = routing["Type"]
    if kind not in ("ALL_AT_ONCE", "CANARY", "LINEAR"):
        raise InvalidInput(f"TrafficRoutingConfiguration has Type {kind!r}")
    wanted = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}.get(kind)
    for name in ("CanarySize", "LinearStepSize"):
        if name == wanted and name not in routing:
            raise InvalidInput(f"TrafficRoutingConfiguration of Type {kind} needs {name}")
        if name != wanted and name in routing:
            raise InvalidInput(f"TrafficRoutingConfiguration of Type {kind} has {name}")
    if kind == "CANARY":
        share = _share(routing["CanarySize"], instances, range(1, CANARY_PERCENT_MAX + 1), "CanarySize")
        return (share, 1.0) if share < 1 else (1.0,)  # the one instance of a small fleet is all of it
    if kind == "LINEAR":
        return _steps(_share(routing["LinearStepSize"], instances, STEP_PERCENT, "LinearStepSize"))
    return (1.0,)


def _share(size: Mapping[str, Any], instances: int, allowed: range, name: str) -> float:
    """Return a capacity size as a share."""
    value, kind = size["Value"], size["Type"]
    if kind == "CAPACITY_PERCENT":
        if value not in allowed:
            raise InvalidInput(f"{name} is {value!r} %, expected {allowed.start} to {allowed.stop - 1} %")
        return float(value / WHOLE)
    if kind != "INSTANCE_COUNT" or value not in range(1, instances + 1):
        raise InvalidInput(f"{name} is {value!r} in {kind!r}, expected 1 to {instances} in INSTANCE_COUNT")
    return float(value / instances)


def _steps(share: float) -> tuple[float, ...]:
    count = math.ceil(1 / share - 1e-9)
    return (*(share * number for number in range(1, count)), 1.0)


def _timeout(policy: Mapping[str, Any]) -> float | None:
    name = "MaximumExecutionTimeoutInSeconds"
    return _seconds(policy, name, TIMEOUT_S) if name in policy else None


def _seconds(policy: Mapping[str, Any], name: str, allowed: range) -> float:
    value = policy[name]
    if value not in allowed:
        raise InvalidInput(f"{name} is {value!r}, expected {allowed.start} to {allowed.stop - 1}")
    return float(value)
