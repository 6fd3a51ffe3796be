"""Makes the wishes about endpoints true: observe, ask the planners, act, write back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from modelport.control.archives import Archives
from modelport.control.canary import Canaries
from modelport.control.hosting import HostedModels
from modelport.control.ownership import Ownership
from modelport.control.replicas import Replicas
from modelport.control.routes import RouteFiles
from modelport.control.snapshot import Snapshot
from modelport.domain.clock import Clock
from modelport.domain.deployment import Tally
from modelport.domain.endpoint import Endpoint
from modelport.domain.planning.endpoint import (
    Action,
    Before,
    LookInto,
    Observed,
    Remove,
    Run,
    Settle,
    Trial,
    TrialState,
    TryModel,
    Want,
    plan,
)
from modelport.domain.planning.guardrails import Note
from modelport.domain.planning.hosting import tell_changes
from modelport.domain.planning.replicas import VariantReplicas, names_in
from modelport.domain.planning.rollout import (
    Abandon,
    Activate,
    Changes,
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
from modelport.domain.planning.routes import change_table, digests_of
from modelport.domain.resource import Kind
from modelport.domain.routes import EndpointRoute, RouteTable
from modelport.durable import crash_point
from modelport.stores.records.records import Records

REVISIONS = "route_revision"
ACTIVATE_TIMEOUT_S = 10.0
RESYNC_S = 1.0
START_POLL_S = 0.05
"""While replicas start, their table is looked at as often: it is another process that writes it."""

INHERITED_S = 60.0
"""Replicas that ran when this process began run on for so long, whether a table names them or not."""

MENDS_MAX = 2
"""Times a model that a worker lost is loaded again, before its endpoint is Failed: it may kill workers."""

Wanted = dict[str, EndpointRoute | None]
"""Endpoint name to the route that it is to have."""

Tallies = Mapping[str, Mapping[str, Tally]]
"""Endpoint name to model version to its tally."""

_log = structlog.get_logger("modelport.endpoints")


class Workers(Protocol):
    """The live workers, as the feed knows them."""

    def workers(self) -> Sequence[WorkerView]:
        """Return them, by their place."""
        ...

    def prepare(self, revision: int) -> None:
        """Ask all of them to prepare a table."""
        ...

    def activate(self, revision: int) -> None:
        """Tell all of them that a table serves."""
        ...

    def abandon(self, revision: int) -> None:
        """Stop asking for a table."""
        ...

    def drop(self, index: int) -> None:
        """Close the connection of one that does not answer."""
        ...


class EndpointReconciler:
    """Endpoints and the one table all workers serve by.

    Args:
        records: Where wishes are kept.
        ownership: Which of them this process may write back.
        files: The tables on disk.
        workers: The live workers.
        canaries: First loads of models.
        archives: First looks into archives.
        replicas: Of custom code.
        hosting: Models that variants host beside each other.
        clock: Time.
        workers_expected: How many workers there should be.
        prepare_timeout_s: Seconds a worker may take to load what a table adds.
        wait_scale: What the waits of deployment configs are multiplied by.
        read_tallies: Returns what came of the requests of each endpoint's versions.
    """

    def __init__(  # noqa: PLR0913 (each is one thing it observes or acts on)
        self,
        records: Records,
        ownership: Ownership,
        files: RouteFiles,
        workers: Workers,
        canaries: Canaries,
        archives: Archives,
        replicas: Replicas,
        hosting: HostedModels,
        *,
        clock: Clock,
        workers_expected: int,
        prepare_timeout_s: float,
        wait_scale: float = 1.0,
        read_tallies: Callable[[], Tallies] = dict,
    ) -> None:
        self._records = records
        self._ownership = ownership
        self._files = files
        self._workers = workers
        self._canaries = canaries
        self._archives = archives
        self._replicas = replicas
        self._hosting = hosting
        self._clock = clock
        self._expected = workers_expected
        self._prepare_timeout_s = prepare_timeout_s
        self._wait_scale = wait_scale
        self._read_tallies = read_tallies
        self._snapshot = Snapshot(records)
        self._active = files.active()
        self._next: RouteTable | None = None
        self._rollout: Rollout | None = None
        self._broken: frozenset[str] = frozenset()
        self._breaks: Counter[str] = Counter()
        self._retired: dict[int, frozenset[str]] = {}
        started = clock.monotonic()
        self._inherited_until = started + INHERITED_S
        self._inherited = replicas.names()
        self._published_at = self._complete_at = started
        self._behind_since: dict[int, float] = {}
        self._in_vain: tuple[Changes, float] | None = None  # what a table changed that failed, and when

    @property
    def active(self) -> RouteTable:
        """Return the table that serves."""
        return self._active

    def step(self) -> float:
        """Do what can be done now; return the seconds after which to look again, 0: at once."""
        self._snapshot.refresh()
        observed = self._observe()
        look = self._hosting.look(self._snapshot, observed)
        observed = replace(observed, hosted=look.hosted)
        changed = self._hosting.settle(self._snapshot, observed, look)
        runs = look.runs
        acted, wanted = self._ask_planners(observed, runs)
        changed |= acted
        changed |= self._advance(observed, wanted)
        self._replicas.want(runs, self._asked_replicas())
        for digest, trial in observed.trials.items():
            if trial.state is TrialState.FAILED:
                self._canaries.forget(digest)  # whoever needed it has said so by now; a new wish tries anew
        for key, seen in observed.archives.items():
            if seen.state is TrialState.FAILED:
                self._archives.forget(key)  # as a failed trial
        if changed:
            return 0.0
        return START_POLL_S if runs else RESYNC_S

    def _ask_planners(self, observed: Observed, runs: list[VariantReplicas]) -> tuple[bool, Wanted]:
        """Do what the planners say about each endpoint.

        Args:
            observed: What is so.
            runs: Takes the replicas that are to run.

        Returns:
            Whether to look again at once, and what the next table is to change: what wishes need, or where
            that is nothing, what is hosted beside them.
        """
        changed, wanted, beside = False, Wanted(), Wanted()
        endpoints = self._snapshot.endpoints()
        for endpoint in endpoints:
            config = self._snapshot.config(endpoint.spec.endpoint_config_name)
            models = self._snapshot.models(config)
            before = self._before(endpoint)
            actions = plan(endpoint, config, models, observed, self._clock.now(), before)
            if actions and not self._ownership.hold(endpoint):
                changed |= self._ownership.holds(endpoint)  # it was written in between: look again
                continue
            for action in actions:
                if isinstance(action, Run):
                    runs += action.replicas
                elif isinstance(action, Want):
                    (beside if action.beside else wanted)[action.endpoint] = action.route
                else:
                    changed |= self._act(endpoint, action)
        known = {endpoint.name for endpoint in endpoints} | self._snapshot.damaged
        wanted |= {route.endpoint: None for route in self._active.endpoints if route.endpoint not in known}
        return changed, wanted or beside

    def _before(self, endpoint: Endpoint) -> Before | None:
        """Return what an endpoint serves while it moves on; None where that is nothing, or not known."""
        serving = endpoint.status.endpoint_config_name
        if endpoint.settled or serving is None or not endpoint.spec.deployment_config:
            return None
        config = self._snapshot.config(serving)
        return None if config is None else Before(config, self._snapshot.models(config))

    def _asked_replicas(self) -> frozenset[str]:
        """Return the replicas that a request may go to.

        They are those of the table that serves, of the next one, and of those before for as long as a worker
        has requests of them.
        """
        workers = self._workers.workers()
        self._retired = {
            revision: names
            for revision, names in self._retired.items()
            if any(revision >= worker.active_revision or revision in worker.draining for worker in workers)
        }
        tables = [table for table in (self._active, self._next) if table is not None]
        asked = names_in(route for table in tables for route in table.endpoints)
        if self._clock.monotonic() < self._inherited_until:
            asked |= self._inherited  # of tables whose requests a former control process knew
        return asked.union(*self._retired.values())

    def _observe(self) -> Observed:
        workers = self._workers.workers()
        now = self._clock.monotonic()
        if len(workers) >= self._expected:
            self._complete_at = now
        enough = enough_workers(workers, expected=self._expected, short_s=now - self._complete_at)
        rollout = self._rollout
        if rollout is not None:
            rollout = judge(
                rollout,
                workers,
                enough=enough,
                waited_s=now - self._published_at,
                timeout_s=self._prepare_timeout_s,
            )
        lagging = is_lagging(self._active.revision, workers)
        self._drop_silent(workers, now)
        broken = broken_models(self._active, workers)
        hopeless = self._count_breaks(broken)
        return Observed(
            active=self._active,
            everywhere=enough and not lagging,
            lagging=lagging,
            rollout=rollout,
            archives=self._archives.looks(),
            replicas=self._replicas.observe(),
            alarming=self._snapshot.alarming(),
            tallies=self._tallies(),
            wait_scale=self._wait_scale,
            trials={**self._canaries.trials(), **hopeless},
            broken=broken,
        )

    def _tallies(self) -> Tallies:
        """Return what came of requests, where some traffic moves: else nobody asks."""
        moving = any(endpoint.modelport.stage is not None for endpoint in self._snapshot.endpoints())
        return self._read_tallies() if moving else {}

    def _count_breaks(self, broken: Mapping[str, str]) -> dict[str, Trial]:
        """Let each model that newly broke be tried again; return those that broke too often for that."""
        for digest in broken.keys() - self._broken:
            self._breaks[digest] += 1
            self._canaries.forget(digest)
        self._broken = frozenset(broken)
        for digest in self._breaks.keys() - self._active.digests():
            del self._breaks[digest]
        return {
            digest: Trial(TrialState.FAILED, f"{reason}, {self._breaks[digest]} times")
            for digest, reason in broken.items()
            if self._breaks[digest] > MENDS_MAX
        }

    def _drop_silent(self, workers: Sequence[WorkerView], now: float) -> None:
        """Let go of workers that were told to activate and do not: they no longer count."""
        behind = [worker for worker in workers if worker.active_revision < self._active.revision]
        self._behind_since = {worker.pid: self._behind_since.get(worker.pid, now) for worker in behind}
        for worker in behind:
            ready = worker.prepared_revision >= self._active.revision
            patience_s = ACTIVATE_TIMEOUT_S if ready else self._prepare_timeout_s
            if now - self._behind_since[worker.pid] >= patience_s:
                _log.warning("worker.silent", index=worker.index, revision=self._active.revision)
                self._workers.drop(worker.index)

    def _act(self, endpoint: Endpoint, action: Action) -> bool:
        if isinstance(action, TryModel):
            self._canaries.start(action.digest)
            return False
        if isinstance(action, LookInto):
            self._archives.start(action.model)
            return False
        if isinstance(action, Note):
            crash_point("endpoint.before_note")
            if self._ownership.write_back(action.endpoint, action.message, release=False):
                _log.info("endpoint.moved", endpoint=endpoint.name, message=action.message)
            return True
        if isinstance(action, Settle):
            crash_point("endpoint.before_settle")
            if self._ownership.write_back(action.endpoint, action.message):
                _log.info("endpoint.settled", endpoint=endpoint.name, message=action.message)
            return True
        assert isinstance(action, Remove)  # noqa: S101 (the type checker needs to know that these are all)
        crash_point("endpoint.before_remove")
        if self._ownership.remove(action.endpoint, "gone"):
            _log.info("endpoint.gone", endpoint=endpoint.name)
        return True

    def _advance(self, observed: Observed, wanted: Wanted) -> bool:
        """Take the next step with the tables; return whether to look again at once."""
        step = decide(observed.rollout, wanted)
        if isinstance(step, Publish) and self._was_in_vain(step.changes):
            return False
        if isinstance(step, Publish):
            with self._records.transaction() as tx:
                revision = tx.next_number(REVISIONS, at_least=self._newest() + 1)
            table = change_table(self._active, step.changes, revision)
            self._files.publish(table)
            adds = bool(digests_of(step.changes.values()) - self._active.digests())
            self._next = table
            self._rollout = Rollout(revision, step.changes, adds=adds)
            self._published_at = self._clock.monotonic()
            self._workers.prepare(revision)
            _log.info("routes.published", revision=revision, endpoints=sorted(step.changes))
        elif isinstance(step, Activate) and self._next is not None:
            crash_point("routes.before_activate")
            self._files.activate(step.revision)
            told = tell_changes(self._active, self._next)
            self._retired[self._active.revision] = names_in(self._active.endpoints)
            self._active, self._next, self._rollout = self._next, None, None
            self._workers.activate(step.revision)
            self._files.prune(step.revision)
            _log.info("routes.activated", revision=step.revision)
            self._tell(told)
        elif isinstance(step, Abandon):
            failed = observed.rollout
            if failed is not None and failed.state is RolloutState.FAILED:
                self._in_vain = (failed.changes, self._clock.monotonic())
            if failed is not None and failed.digest is not None:
                self._canaries.forget(failed.digest)  # its first load proved too little
            self._workers.abandon(step.revision)
            self._next = self._rollout = None
            _log.warning(
                "routes.abandoned",
                revision=step.revision,
                reason="not wanted any more" if failed is None else failed.reason,
            )
        return step is not None

    def _tell(self, told: Mapping[str, str]) -> None:
        """Write down what came and what left of models that are hosted: nobody wished for it."""
        if not told:
            return
        with self._records.transaction() as tx:
            for endpoint, message in told.items():
                tx.event("status", Kind.ENDPOINT, endpoint, message)

    def _was_in_vain(self, changes: Changes) -> bool:
        """Return whether a table that changes just this failed a moment ago: then it is tried again later."""
        if self._in_vain is None:
            return False
        before, at = self._in_vain
        return before == changes and self._clock.monotonic() - at < RESYNC_S

    def _newest(self) -> int:
        return max(self._files.newest_revision(), self._active.revision)
