"""A control plane without processes: real records and files, and fakes for everything that would be one."""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Self

import msgspec

from modelport.control.endpoint_reconciler import EndpointReconciler
from modelport.control.hosting import HostedModels
from modelport.control.job_reconciler import JobReconciler
from modelport.control.ownership import Ownership
from modelport.control.retention import Retention
from modelport.control.routes import RouteFiles
from modelport.control.services.endpoints import Endpoints
from modelport.control.services.events import Events
from modelport.control.services.jobs import Jobs
from modelport.control.services.labels import Labels
from modelport.control.services.registry import Registry
from modelport.domain.deployment import Tally
from modelport.domain.errors import NotFound
from modelport.domain.names import parse_version
from modelport.domain.planning.endpoint import ArchiveKey, Trial, TrialState, archive_key
from modelport.domain.planning.replicas import VariantReplicas
from modelport.domain.planning.rollout import PrepareFailure, WorkerView
from modelport.domain.registry import MULTI_MODEL, Code, ContainerDefinition, Model, ModelSpec, Step
from modelport.domain.resource import Kind
from modelport.domain.routes import RouteTable
from modelport.settings import HomeLayout
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.stores.records.records import Records, sqlite_url
from modelport.wire import manifest as bundle
from modelport.wire.feed import HostedName
from modelport.wire.jobs import PROGRESS_FILE, RESULT_FILE, JobResult, Progress

ME = "tester"


def model_of(name: str, version: str) -> ModelSpec:
    """Return the wish for a Model of a registered version."""
    return ModelSpec(name, ContainerDefinition(version))


class HandClock:
    """A clock whose hands the test turns."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        self.seconds = 1000.0

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.turn(seconds)

    def turn(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.seconds += seconds


class Crash(BaseException):
    """The process died here."""


class Saboteur:
    """Crashes the process at its k-th effect."""

    def __init__(self) -> None:
        self.at: int | None = None
        self.effects = 0

    def arm(self, at: int | None) -> None:
        """Count effects from here and crash at that one; None: at none."""
        self.at = at
        self.effects = 0

    def tick(self) -> None:
        self.effects += 1
        if self.effects == self.at:
            raise Crash

    def around(self, target: Any, *names: str) -> Any:
        """Return `target` with a chance to crash before and after each call of these methods."""
        return _Fragile(target, self, names)


class _Fragile:
    def __init__(self, target: Any, saboteur: Saboteur, names: tuple[str, ...]) -> None:
        self._target, self._saboteur, self._names = target, saboteur, names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if name not in self._names:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._saboteur.tick()
            result = found(*args, **kwargs)
            self._saboteur.tick()
            return result

        return call


class _FragileRecords:
    """Records that crash before, at the end of, and after a transaction."""

    def __init__(self, records: Records, saboteur: Saboteur) -> None:
        self._records, self._saboteur = records, saboteur
        self.reading = records.reading
        self.look_until = records.look_until

    @contextmanager
    def transaction(self, *, principal: str = "modelport") -> Iterator[Any]:
        self._saboteur.tick()
        with self._records.transaction(principal=principal) as tx:
            yield tx
            self._saboteur.tick()
        self._saboteur.tick()


class FakeWorkers:
    """Inference workers that load in no time, from the same files as the real ones.

    Args:
        files: The route files.
        count: How many there are.
    """

    def __init__(self, files: RouteFiles, count: int = 2) -> None:
        self.files = files
        self.harmful: dict[str, str] = {}  # digest → why it does not load
        self.slow: set[str] = set()  # digests whose load never ends
        self.keeps_draining = False  # requests of tables before the active one are still open
        self.deaf: set[int] = set()  # workers that do not do what they are told to activate
        self.views = [self.born(index) for index in range(count)]
        self.activations: list[tuple[int, ...]] = []
        self.wake: Callable[[], None] = lambda: None
        self.asked: set[HostedName] = set()
        self.used: set[HostedName] = set()
        self.refused: list[tuple[str, str, bool]] = []  # name, reason, whether it is known

    def ask(self, endpoint: str, name: str = "", variant: str = "A") -> None:
        """Say that requests wait for a hosted model of the table that serves."""
        self.asked.add(self.hosted(endpoint, name, variant))
        self.wake()

    def use(self, endpoint: str, name: str = "", variant: str = "A") -> None:
        """Say that a hosted model was asked."""
        self.used.add(self.hosted(endpoint, name, variant))

    def hosted(self, endpoint: str, name: str, variant: str) -> HostedName:
        """Return the full name of a hosted model."""
        for route in self.files.active().endpoints:
            for one in route.variants:
                if (route.endpoint, one.variant) == (endpoint, variant) and one.hosting is not None:
                    return HostedName(endpoint, variant, one.hosting.source, name)
        raise AssertionError(f"no variant {variant} of {endpoint} hosts models")

    def take_news(self) -> tuple[set[HostedName], set[HostedName]]:
        asked, used, self.asked, self.used = self.asked, self.used, set(), set()
        return asked, used

    def refuse(self, model: HostedName, reason: str, *, known: bool) -> None:
        self.refused.append((model.name, reason, known))

    def born(self, index: int) -> WorkerView:
        """Return a worker that just started: it serves by the last activated table."""
        active = self.files.active().revision
        return WorkerView(index, 100 + index, active, active)

    def restart_without(self, index: int, digest: str) -> None:
        """Let a worker start anew, find a mark on a model, and not load it."""
        self.views[index] = replace(self.born(index), failed={digest: "crashed its process while loading"})

    def reconnect(self) -> None:
        """Come to a control process that just started; one that is behind is told what it missed."""
        active = self.files.active().revision
        self.views = [
            view if view.active_revision >= active else replace(view, active_revision=active)
            for view in self.views
        ]

    def workers(self) -> tuple[WorkerView, ...]:
        return tuple(self.views)

    def prepare(self, revision: int) -> None:
        table = _table(self.files, revision)
        self.views = [self._prepared(view, table) for view in self.views]
        self.wake()

    def activate(self, revision: int) -> None:
        assert all(view.prepared_revision >= revision for view in self.views), "activated before prepared"
        self.views = [
            view if view.index in self.deaf else self._activated(view, revision) for view in self.views
        ]
        self.activations.append(tuple(view.active_revision for view in self.views))
        self.wake()

    def drain(self) -> None:
        """Answer what is open of older tables."""
        self.keeps_draining = False
        self.views = [replace(view, draining=frozenset()) for view in self.views]
        self.wake()

    def _activated(self, view: WorkerView, revision: int) -> WorkerView:
        left = {view.active_revision} if self.keeps_draining else set()
        return replace(view, active_revision=revision, draining=view.draining | left)

    def abandon(self, revision: int) -> None:
        pass

    def drop(self, index: int) -> None:
        self.views = [view for view in self.views if view.index != index]

    def _prepared(self, view: WorkerView, table: RouteTable) -> WorkerView:
        if table.digests() & self.slow:
            return view
        failed = {digest: self.harmful[digest] for digest in table.digests() if digest in self.harmful}
        kept = _places(_table(self.files, view.active_revision)) if view.active_revision else set()
        for _, _, digest in sorted(_places(table) - kept):
            if digest in failed:
                failure = PrepareFailure(table.revision, digest, failed[digest])
                return replace(view, failure=failure, failed=failed)
        return replace(view, prepared_revision=table.revision, failed=failed)


class FakeEngine:
    """Runs nothing, and remembers what it was asked for. Lives on when control dies, as jobs do."""

    def __init__(self) -> None:
        self.harmful: dict[str, str] = {}
        self.tried: list[str] = []
        self.running: set[str] = set()
        self.started: list[str] = []
        self.asked_to_stop: list[str] = []
        self.refuses: OSError | None = None

    def start(self, folder: Path, on_exit: Callable[[], None]) -> None:
        if self.refuses is not None:
            raise self.refuses
        if folder.name not in self.running:
            assert (folder / "job.json").is_file(), "started before it was told what to do"
            self.started.append(folder.name)
            self.running.add(folder.name)

    def alive(self, folder: Path) -> bool:
        return folder.name in self.running

    def stop(self, folder: Path) -> None:
        self.asked_to_stop.append(folder.name)

    def interrupt(self, folders: Iterable[Path]) -> None:
        self.running -= {folder.name for folder in folders}

    def try_model(self, digest: str) -> str | None:
        self.tried.append(digest)
        return self.harmful.get(digest)

    def finish(self, folder: Path, result: JobResult) -> None:
        """Let a job end with a result."""
        (folder / RESULT_FILE).write_bytes(msgspec.json.encode(result))
        self.running.discard(folder.name)

    def advance(self, folder: Path, shards: int) -> None:
        """Let a job report progress."""
        (folder / PROGRESS_FILE).write_bytes(msgspec.json.encode(Progress(shards_done=shards)))


class InlineCanaries:
    """First loads that end at once, in the caller's thread."""

    def __init__(self, engine: FakeEngine, wake: Callable[[], None]) -> None:
        self._engine = engine
        self._wake = wake
        self._trials: dict[str, Trial] = {}

    def start(self, digest: str) -> None:
        if digest not in self._trials:
            reason = self._engine.try_model(digest)
            state = TrialState.PASSED if reason is None else TrialState.FAILED
            self._trials[digest] = Trial(state, reason)
            self._wake()

    def trials(self) -> dict[str, Trial]:
        return dict(self._trials)

    def forget(self, digest: str) -> None:
        self._trials.pop(digest, None)


class InlineArchives:
    """Looks that end at once: an archive holds what `holds` says by its URL, or cannot be read.

    Args:
        records: Where Models are kept.
        wake: Called when a look has ended.
    """

    def __init__(self, records: Any, wake: Callable[[], None]) -> None:
        self._records = records
        self._wake = wake
        self._looks: dict[ArchiveKey, Trial] = {}
        self._found: dict[ArchiveKey, Step] = {}
        self.holds: dict[str, str] = {}
        self.codes: set[str] = set()

    def found(self) -> dict[ArchiveKey, Step]:
        return dict(self._found)

    def start(self, model: Model) -> None:
        self._wake()
        url = str(model.spec.primary_container.model_data_url)
        if model.spec.primary_container.mode == MULTI_MODEL:
            with self._records.transaction() as tx:
                tx.put(replace(model, modelport=replace(model.modelport, models=url)))
            return
        digest, code = self.holds.get(url, ""), Code("c" * 64) if url in self.codes else None
        if not digest and code is None:
            self._looks[archive_key(model)] = Trial(TrialState.FAILED, "its archive cannot be read")
            return
        with self._records.transaction() as tx:
            if tx.find(Kind.MODEL, model.name) is None:
                self._found[archive_key(model)] = Step(digest, code)
                return
            tx.put(replace(model, modelport=replace(model.modelport, digest=digest, code=code)))

    def looks(self) -> dict[ArchiveKey, Trial]:
        return dict(self._looks)

    def forget(self, key: ArchiveKey) -> None:
        self._looks.pop(key, None)
        self._found.pop(key, None)


class InlineObjects:
    """Objects of buckets: each is there that an archive is said to lie in."""

    def __init__(self, archives: InlineArchives) -> None:
        self._archives = archives

    def find(self, bucket: str, key: str) -> str | None:
        return self.digest_of(bucket, key)

    def digest_of(self, bucket: str, key: str) -> str:
        url = f"s3://{bucket}/{key}"
        if url not in self._archives.holds and url not in self._archives.codes:
            raise NotFound(f"there is no object {url}")
        return hashlib.sha256(url.encode()).hexdigest()


class InlineReplicas:
    """Replicas that are ready as soon as they are wanted, but for those whose Model is said to fail.

    Args:
        slow: They start, and are not ready yet.
    """

    def __init__(self) -> None:
        self.wanted: dict[str, VariantReplicas | None] = {}
        self.failing: dict[str, str] = {}
        self.slow = False
        self.never: set[str] = set()  # Models whose replicas never get ready
        self.wake: Callable[[], None] = lambda: None

    def names(self) -> frozenset[str]:
        return frozenset(self.wanted)

    def observe(self) -> dict[str, Trial]:
        return {name: self._judge(run) for name, run in self.wanted.items()}

    def want(self, runs: Sequence[VariantReplicas], serving: Iterable[str]) -> None:
        before, kept = self.wanted, {name: self.wanted.get(name) for name in serving}
        self.wanted = kept | {name: run for run in runs for name in run.names}
        if before.keys() != self.wanted.keys():
            self.wake()

    def _judge(self, run: VariantReplicas | None) -> Trial:
        if run is not None and run.model.name in self.failing:
            return Trial(TrialState.FAILED, self.failing[run.model.name])
        waits = self.slow or (run is not None and run.model.name in self.never)
        return Trial(TrialState.RUNNING if waits else TrialState.PASSED)


class House:
    """One control process on a home. Build another on the same home after it crashed.

    Args:
        home: The home.
        engine: What outlives control.
        workers: What outlives control; None: two fresh ones.
        replicas: What outlives control.
        saboteur: May crash it.
        expected: How many workers there should be.
        hosted_replicas_max: Processes that may run because somebody asked.
    """

    def __init__(
        self,
        home: Path,
        *,
        engine: FakeEngine | None = None,
        workers: FakeWorkers | None = None,
        replicas: InlineReplicas | None = None,
        clock: HandClock | None = None,
        saboteur: Saboteur | None = None,
        expected: int = 2,
        database_url: str = "",
        hosted_replicas_max: int = 16,
    ) -> None:
        self.layout = HomeLayout(home)
        self.clock = clock or HandClock()
        saboteur = saboteur or Saboteur()
        home.mkdir(parents=True, exist_ok=True)
        self.layout.jobs.mkdir(exist_ok=True)
        if not database_url and not self.layout.database.exists():
            shutil.copy(_fresh_database(), self.layout.database)
        self.records = Records(database_url or sqlite_url(self.layout.database), self.clock)
        records: Any = _FragileRecords(self.records, saboteur)
        self.artifacts = LocalArtifacts(self.layout.artifacts)
        self.files = RouteFiles(self.layout.routes)
        self.engine = engine or FakeEngine()
        self.workers = workers or FakeWorkers(self.files)
        self.wake = wake = threading.Event()
        canaries = InlineCanaries(self.engine, wake.set)
        self.tallies: dict[str, dict[str, Tally]] = {}
        self.archives = InlineArchives(records, wake.set)
        self.replicas = replicas or InlineReplicas()
        self.workers.wake = self.replicas.wake = wake.set
        ownership = Ownership(records, self.clock, str(home))
        self.endpoint_reconciler = EndpointReconciler(
            records,
            ownership,
            saboteur.around(self.files, "publish", "activate", "prune"),
            saboteur.around(self.workers, "prepare", "activate"),
            canaries,  # type: ignore[arg-type]
            self.archives,  # type: ignore[arg-type]
            self.replicas,  # type: ignore[arg-type]
            HostedModels(
                self.workers,
                InlineObjects(self.archives),  # type: ignore[arg-type]
                self.archives,  # type: ignore[arg-type]
                canaries,  # type: ignore[arg-type]
                ownership,
                clock=self.clock,
                replicas_max=hosted_replicas_max,
                idle_s=300.0,
            ),
            clock=self.clock,
            workers_expected=expected,
            prepare_timeout_s=120.0,
            read_tallies=lambda: self.tallies,
        )
        self.job_reconciler = JobReconciler(
            records,
            ownership,
            saboteur.around(self.engine, "start", "stop"),
            folder=self.layout.jobs,
            captures=self.layout.captures,
            clock=self.clock,
            wake=wake.set,
        )
        self.retention = Retention(
            self.records,
            self.artifacts,
            self.files,
            self.layout,
            label_age_days=30.0,
            clock=self.clock,
        )
        self.registry = Registry(records, self.artifacts)
        self.endpoints = Endpoints(records, wake.set)
        self.jobs = Jobs(records, folder=self.layout.jobs, captures=self.layout.captures, wake=wake.set)
        self.labels = Labels(
            records, folder=self.layout.labels, captures=self.layout.captures, clock=self.clock
        )
        self.events = Events(records)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.records.close()

    def store_model(self, number: int) -> str:
        """Upload the files of a model that is not one; return its digest."""
        files = {
            bundle.SERVING_GRAPH: f"graph {number}".encode(),
            bundle.SIGNATURE: b"{}",
            bundle.PROOF: b'{"rows": 100, "max_absolute": 0.0}',
        }
        digests = {name: self.artifacts.put([content]) for name, content in files.items()}
        return self.artifacts.put([bundle.encode_manifest(bundle.Manifest(digests))])

    def register(self, group: str, number: int, **facts: Any) -> str:
        """Register model `number` as the next version; return `group:version`."""
        return self.registry.register_version(group, self.store_model(number), principal=ME, **facts).name

    def deploy(self, endpoint: str, version: str, **how: Any) -> Any:
        """Wish for a version and let it come true, or fail; return the endpoint."""
        self.endpoints.deploy(endpoint, parse_version(version), principal=ME, **how)
        return self.settle(endpoint)

    def settle(self, endpoint: str) -> Any:
        """Pass until there is nothing to do; return the endpoint."""
        self.run()
        return self.endpoints.describe(endpoint)

    def run(self) -> None:
        """Pass until nothing is left to do and nobody has news."""
        for _ in range(100):
            self.wake.clear()
            rest = min(reconciler.step() for reconciler in (self.endpoint_reconciler, self.job_reconciler))
            if rest > 0 and not self.wake.is_set():
                return
        raise AssertionError("the loop does not come to rest")

    def routed(self, endpoint: str) -> dict[str, float]:
        """Return variant to weight as the active table has it; shadows are left out."""
        return {
            variant.variant: variant.weight
            for route in self.files.active().endpoints
            if route.endpoint == endpoint
            for variant in route.variants
            if not variant.shadow
        }


def _table(files: RouteFiles, revision: int) -> RouteTable:
    from modelport.wire.feed import decode_routes, route_file

    return decode_routes(route_file(files._folder, revision).read_bytes())


def _places(table: RouteTable) -> set[tuple[str, str, str]]:
    return {
        (route.endpoint, variant.variant, variant.digest)
        for route in table.endpoints
        for variant in route.variants
    }


@cache
def _fresh_database() -> Path:
    """Return a database with all migrations: applying them takes longer than most tests."""
    folder = Path(tempfile.mkdtemp(prefix="modelport-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "fresh.db"
    Records(sqlite_url(path), HandClock()).close()
    return path
