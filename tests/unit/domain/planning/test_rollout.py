"""When a table counts as prepared, and what follows."""

from __future__ import annotations

import pytest

from modelport.domain.planning.rollout import (
    WORKERS_WAIT_S,
    Abandon,
    Activate,
    PrepareFailure,
    Publish,
    Rollout,
    RolloutState,
    WorkerView,
    broken_models,
    decide,
    enough_workers,
    is_lagging,
    judge,
)
from modelport.domain.routes import EndpointRoute, RouteTable, VariantRoute

GOOD, BAD = "a" * 64, "b" * 64
ROUTE = EndpointRoute("air", (VariantRoute("v1", "m:1", GOOD),))
ROLLOUT = Rollout(5, {"air": ROUTE})
READY = WorkerView(0, 100, 4, 5)
LATE = WorkerView(1, 101, 4, 4)


def state(*workers: WorkerView, enough: bool = True, waited_s: float = 0.0, rollout: Rollout = ROLLOUT):
    judged = judge(rollout, workers, enough=enough, waited_s=waited_s, timeout_s=60.0)
    return judged.state, judged.digest, judged.reason


def test_prepared_when_all_have_and_all_are_there() -> None:
    assert state(READY)[0] is RolloutState.PREPARED
    assert state(READY, LATE)[0] is RolloutState.PREPARING
    assert state(READY, enough=False)[0] is RolloutState.PREPARING
    assert state(enough=False)[0] is RolloutState.PREPARING


def test_one_failure_fails_it_and_an_older_one_does_not() -> None:
    failed = WorkerView(1, 101, 4, 4, PrepareFailure(5, BAD, "why"))
    assert state(READY, failed) == (RolloutState.FAILED, BAD, "why")
    older = WorkerView(1, 101, 4, 5, PrepareFailure(4, BAD, "why"))
    assert state(READY, older)[0] is RolloutState.PREPARED


def test_prepared_without_a_model_it_was_published_for_is_failed() -> None:
    without = WorkerView(1, 101, 4, 5, None, {GOOD: "crashed"})
    assert state(READY, without) == (RolloutState.FAILED, GOOD, "crashed")
    elsewhere = WorkerView(1, 101, 4, 5, None, {BAD: "crashed"})
    assert state(READY, elsewhere)[0] is RolloutState.PREPARED


def test_worker_that_takes_too_long_fails_it() -> None:
    found, digest, reason = state(READY, LATE, waited_s=60.0)
    assert (found, digest) == (RolloutState.FAILED, None)
    assert reason == "inference worker 1 did not load it within 60 s"


def test_no_worker_at_all_fails_it_unless_nothing_is_to_be_loaded() -> None:
    assert state(enough=False, waited_s=WORKERS_WAIT_S)[0] is RolloutState.FAILED
    light = Rollout(5, {"air": None}, adds=False)
    assert state(enough=False, rollout=light)[0] is RolloutState.PREPARING
    assert state(enough=False, waited_s=WORKERS_WAIT_S, rollout=light)[0] is RolloutState.PREPARED


@pytest.mark.parametrize(
    ("count", "expected", "short_s", "enough"),
    [
        (2, 2, 0.0, True),
        (1, 2, 0.0, False),
        (1, 2, WORKERS_WAIT_S, True),
        (0, 2, 99.0, False),
        (0, 0, 99.0, False),
        (3, 2, 0.0, True),
    ],
)
def test_missing_workers_are_waited_for_but_not_for_ever(count, expected, short_s, enough) -> None:
    assert enough_workers([READY] * count, expected=expected, short_s=short_s) is enough


def test_next_step() -> None:
    changes = {"air": ROUTE}
    assert decide(None, {}) is None
    assert decide(None, changes) == Publish(changes)
    assert decide(ROLLOUT, changes) is None
    prepared = Rollout(5, changes, state=RolloutState.PREPARED)
    assert decide(prepared, changes) == Activate(5)
    assert decide(prepared, {**changes, "sea": None}) == Activate(5), "the other one waits for the next table"
    assert decide(prepared, {}) == Abandon(5)
    assert decide(prepared, {"air": None}) == Abandon(5)
    assert decide(Rollout(5, changes, state=RolloutState.FAILED), changes) == Abandon(5)
    removal = Rollout(5, {"air": None}, state=RolloutState.PREPARED)
    assert decide(removal, {}) == Abandon(5), "None and not wanted are two things"
    assert decide(removal, {"air": None}) == Activate(5)


def test_lag_and_breaks_are_seen_in_any_worker() -> None:
    table = RouteTable(4, (ROUTE,))
    assert not is_lagging(4, [READY, LATE])
    assert is_lagging(5, [WorkerView(0, 1, 5, 5), LATE])
    assert not is_lagging(5, [])
    lost = WorkerView(1, 101, 4, 4, None, {GOOD: "crashed", BAD: "not of this table"})
    assert broken_models(table, [READY, lost]) == {GOOD: "crashed"}
