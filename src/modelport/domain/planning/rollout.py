"""How one route table reaches all workers: what to say next, and when it counts as prepared.

One table is on its way at a time. It carries every change that was wanted when it was published; what comes
later waits for the next one, which follows within milliseconds unless a model takes long to load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from modelport.domain.planning.routes import digests_of
from modelport.domain.routes import EndpointRoute, RouteTable

WORKERS_WAIT_S = 10.0
"""How long a table waits for workers that should be there (starting, or restarting after a crash)."""

Changes = Mapping[str, EndpointRoute | None]


class RolloutState(StrEnum):
    """Where a table on its way stands."""

    PREPARING = "preparing"
    PREPARED = "prepared"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Rollout:
    """A published table that is not active yet.

    Args:
        revision: Of the table.
        changes: What it changes: endpoint name to route; None takes the endpoint out.
        adds: It needs models that the active table does not.
        state: Where it stands.
        digest: The model at fault, where it failed because of one.
        reason: Why it failed.
    """

    revision: int
    changes: Changes
    adds: bool = True
    state: RolloutState = RolloutState.PREPARING
    digest: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PrepareFailure:
    """What a worker said it could not do.

    Args:
        revision: The table.
        digest: The model at fault; None where it is no model's fault.
        reason: Why, in plain words.
    """

    revision: int
    digest: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class WorkerView:
    """What is known of one live worker.

    Args:
        index: Its place, from 0.
        pid: Its process.
        active_revision: The table it serves by; 0: none.
        prepared_revision: The newest table it can activate; 0: none.
        failure: The newest table it could not prepare, None where there was none.
        failed: Models of any table that it does not have although it should, with the reason.
        draining: Older tables that it still has requests of.
    """

    index: int
    pid: int
    active_revision: int = 0
    prepared_revision: int = 0
    failure: PrepareFailure | None = None
    failed: Mapping[str, str] = field(default_factory=dict)
    draining: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Publish:
    """Write a table with these changes and ask all workers to prepare it."""

    changes: Changes


@dataclass(frozen=True, slots=True)
class Activate:
    """Make the table on its way the active one."""

    revision: int


@dataclass(frozen=True, slots=True)
class Abandon:
    """Forget the table on its way: it failed, or is not wanted any more."""

    revision: int


Step = Publish | Activate | Abandon


def judge(
    rollout: Rollout, workers: Sequence[WorkerView], *, enough: bool, waited_s: float, timeout_s: float
) -> Rollout:
    """Return a table on its way with its present state.

    Args:
        rollout: As it was published.
        workers: All live ones; one that died does not count, but its successor is waited for.
        enough: They speak for the data plane, see `enough_workers`.
        waited_s: Seconds since it was published.
        timeout_s: Seconds after which a worker that has not answered is at fault.
    """
    asked_for = digests_of(rollout.changes.values())
    for worker in workers:
        failure = worker.failure
        if failure is not None and failure.revision == rollout.revision:
            return _state(rollout, RolloutState.FAILED, failure.digest, failure.reason)
        # A worker that did not have a model before may call a table prepared without it: nothing got worse.
        # But the table was published so that it has it.
        for digest in sorted(asked_for & worker.failed.keys()):
            if worker.prepared_revision >= rollout.revision:
                return _state(rollout, RolloutState.FAILED, digest, worker.failed[digest])
    late = [worker.index for worker in workers if worker.prepared_revision < rollout.revision]
    if late and waited_s >= timeout_s:
        reason = f"inference worker {late[0]} did not load it within {timeout_s:g} s"
        return _state(rollout, RolloutState.FAILED, reason=reason)
    if not late and enough:
        return _state(rollout, RolloutState.PREPARED)
    if not workers and waited_s >= WORKERS_WAIT_S:
        if not rollout.adds:  # workers that start later load what they know from the active table
            return _state(rollout, RolloutState.PREPARED)
        reason = f"no inference worker was there within {WORKERS_WAIT_S:g} s"
        return _state(rollout, RolloutState.FAILED, reason=reason)
    return _state(rollout, RolloutState.PREPARING)


def enough_workers(workers: Sequence[WorkerView], *, expected: int, short_s: float) -> bool:
    """Return whether the live workers speak for the data plane: all of them, or all that can be hoped for.

    Args:
        workers: All live ones.
        expected: How many there should be.
        short_s: Seconds since there were that many, or since this process started.
    """
    return len(workers) >= max(expected, 1) or (len(workers) >= 1 and short_s >= WORKERS_WAIT_S)


def is_lagging(revision: int, workers: Sequence[WorkerView]) -> bool:
    """Return whether some live worker serves by an older table than this."""
    return any(worker.active_revision < revision for worker in workers)


def broken_models(active: RouteTable, workers: Sequence[WorkerView]) -> dict[str, str]:
    """Return the models of the active table that some worker does not have, with the reason."""
    used = active.digests()
    return {
        digest: reason for worker in workers for digest, reason in worker.failed.items() if digest in used
    }


def decide(rollout: Rollout | None, wanted: Changes) -> Step | None:
    """Return the next step for the tables as a whole; None: wait.

    Args:
        rollout: What is on its way.
        wanted: Every change the endpoints want now.
    """
    if rollout is None:
        return Publish(dict(wanted)) if wanted else None
    still_wanted = all(name in wanted and wanted[name] == route for name, route in rollout.changes.items())
    if rollout.state is RolloutState.FAILED or not still_wanted:
        return Abandon(rollout.revision)
    return Activate(rollout.revision) if rollout.state is RolloutState.PREPARED else None


def _state(
    rollout: Rollout, state: RolloutState, digest: str | None = None, reason: str | None = None
) -> Rollout:
    return replace(rollout, state=state, digest=digest, reason=reason)
