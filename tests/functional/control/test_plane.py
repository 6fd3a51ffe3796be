"""The whole control plane with its threads and its socket; only workers and engine are fakes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes.feed import FeedTalk
from fakes.house import ME, FakeEngine
from modelport.control.plane import ControlPlane
from modelport.domain.clock import SystemClock
from modelport.domain.endpoint import Endpoint, EndpointStatus
from modelport.domain.names import parse_version
from modelport.settings import Settings
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.wire import manifest as bundle
from modelport.wire.feed import (
    Activate,
    Activated,
    Hello,
    ModelState,
    Prepare,
    Prepared,
    PrepareFailed,
    active_file,
    decode_routes,
    route_file,
)

WAIT_S = 10.0


class Worker:
    """An inference worker that loads in no time, in a thread, over the real feed."""

    def __init__(self, plane: Plane, index: int) -> None:
        self.plane = plane
        self.index = index
        self.harmful: dict[str, str] = {}
        self.mute = False
        try:
            self.revision = int(active_file(plane.settings.layout.routes).read_text())
        except FileNotFoundError:
            self.revision = 0
        self.talk = FeedTalk(plane.settings.layout.feed_socket)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        self.talk.socket.settimeout(None)
        try:
            self.talk.say(Hello(self.index, 100 + self.index, self.revision))
            while True:
                message = self.talk.hear()
                if not self.mute:
                    self._obey(message)
        except (OSError, AssertionError):
            pass  # control hung up, or the worker died

    def _obey(self, message: Prepare | Activate) -> None:
        if isinstance(message, Activate):
            self.revision = message.revision
            self.talk.say(Activated(message.revision))
            return
        folder = self.plane.settings.layout.routes
        table = decode_routes(route_file(folder, message.revision).read_bytes())
        for digest in sorted(table.digests()):
            if digest in self.harmful:
                self.talk.say(
                    ModelState(digest, "failed", self.harmful[digest]),
                    PrepareFailed(message.revision, digest, self.harmful[digest]),
                )
                return
        self.talk.say(Prepared(message.revision))

    def die(self) -> None:
        self.talk.socket.shutdown(2)
        self.thread.join()
        self.talk.socket.close()


class Plane:
    """A control plane on a home."""

    def __init__(self, home: Path, engine: FakeEngine) -> None:
        self.settings = Settings(home=home)
        self.artifacts = LocalArtifacts(self.settings.layout.artifacts)
        self.settings.layout.jobs.mkdir(parents=True, exist_ok=True)
        self.engine = engine
        self.control = ControlPlane(
            self.settings, artifacts=self.artifacts, engine=engine, clock=SystemClock(), workers_expected=2
        )
        self.control.start()
        self.endpoints = self.control.services.endpoints

    def register(self, number: int) -> str:
        files = {bundle.SERVING_GRAPH: f"graph {number}".encode(), bundle.SIGNATURE: b"{}"}
        digests = {name: self.artifacts.put([content]) for name, content in files.items()}
        digest = self.artifacts.put([bundle.encode_manifest(bundle.Manifest(digests))])
        self.control.services.registry.register_version("flights", digest, principal=ME)
        return digest

    def wait(self, name: str, *, timeout_s: float = WAIT_S) -> Endpoint:
        """Wait as clients do."""
        wait_for(lambda: self.endpoints.describe(name).settled, timeout_s)
        return self.endpoints.describe(name)

    def deploy(self, name: str, version: int) -> Endpoint:
        self.endpoints.deploy(name, parse_version(f"flights:{version}"), principal=ME)
        return self.wait(name)


def wait_for(goal: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not goal():
        assert time.monotonic() < deadline, "it did not become so in time"
        time.sleep(0.005)


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    built = Plane(tmp_path / "home", FakeEngine())
    yield built
    built.control.close()


@pytest.fixture
def workers(plane: Plane) -> Iterator[list[Worker]]:
    started = [Worker(plane, index) for index in range(2)]
    yield started
    for worker in started:
        worker.die()


def test_deploys_reach_all_workers(plane: Plane, workers: list[Worker]) -> None:
    for number in (1, 2, 3):
        plane.register(number)
        endpoint = plane.deploy("air", number)
        assert endpoint.status.endpoint_status is EndpointStatus.IN_SERVICE
        assert {worker.revision for worker in workers} == {number}
    status = plane.control.services.status.read()
    assert [worker.active_revision for worker in status.workers] == [3, 3]
    assert (status.active_revision, status.workers_expected, status.unsettled) == (3, 2, ())
    assert plane.control.not_ready() is None


def test_worker_that_fails_is_named_and_the_old_version_serves(plane: Plane, workers: list[Worker]) -> None:
    plane.register(1)
    plane.deploy("air", 1)
    workers[1].harmful[plane.register(2)] = "it needs more memory than there is"
    endpoint = plane.deploy("air", 2)
    assert endpoint.status.failure_reason == "flights:2 cannot serve: it needs more memory than there is"
    assert {worker.revision for worker in workers} == {1}
    fresh = plane.deploy("sea", 2)
    assert fresh.status.endpoint_status is EndpointStatus.FAILED
    (unsettled,) = plane.control.services.status.read().unsettled
    assert (unsettled.name, unsettled.status) == ("sea", "Failed")
    assert "needs more memory" in (unsettled.reason or "")


def test_worker_that_dies_while_it_prepares_is_waited_for_in_its_next_life(
    plane: Plane, workers: list[Worker]
) -> None:
    plane.register(1)
    workers[1].mute = True
    plane.endpoints.deploy("air", parse_version("flights:1"), principal=ME)
    wait_for(lambda: plane.control.services.status.read().workers[0].prepared_revision == 1)
    workers[1].die()
    workers[1] = Worker(plane, 1)
    assert plane.wait("air").status.endpoint_status is EndpointStatus.IN_SERVICE
    assert {worker.revision for worker in workers} == {1}


def test_control_that_comes_back_finds_all_as_it_was(
    plane: Plane, workers: list[Worker], tmp_path: Path
) -> None:
    plane.register(1)
    before = plane.deploy("air", 1)
    for worker in workers:
        worker.die()
    plane.control.close()
    again = Plane(tmp_path / "home", plane.engine)
    try:
        workers[:] = [Worker(again, index) for index in range(2)]
        assert {worker.revision for worker in workers} == {1}, "from the disk, without control"
        assert again.endpoints.describe("air") == before
        again.register(2)
        assert again.deploy("air", 2).status.endpoint_status is EndpointStatus.IN_SERVICE
        assert {worker.revision for worker in workers} == {2}
    finally:
        again.control.close()


class HangingEngine(FakeEngine):
    """An engine whose tries end when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def try_model(self, digest: str) -> str | None:
        self.go_on.wait(WAIT_S)
        return super().try_model(digest)


def test_hanging_first_load_holds_up_nobody_else(tmp_path: Path) -> None:
    engine = HangingEngine()
    plane = Plane(tmp_path / "home", engine)
    workers = [Worker(plane, index) for index in range(2)]
    try:
        plane.register(1)
        engine.go_on.set()
        plane.deploy("air", 1)
        engine.go_on.clear()
        plane.register(2)
        plane.endpoints.deploy("sea", parse_version("flights:2"), principal=ME)
        plane.endpoints.set_weights("air", {"v1": 5.0}, principal=ME)
        assert plane.wait("air").status.production_variants[0].current_weight == 5.0
        assert not plane.endpoints.describe("sea").settled
        engine.go_on.set()
        assert plane.wait("sea").status.endpoint_status is EndpointStatus.IN_SERVICE
    finally:
        engine.go_on.set()
        plane.control.close()
        for worker in workers:
            worker.die()


def test_passing_a_first_load_clears_the_marks_of_workers_that_died(
    plane: Plane, workers: list[Worker]
) -> None:
    digest = plane.register(1)
    plane.settings.layout.marks.mkdir(parents=True)
    mark = plane.settings.layout.marks / f"0-{digest}"
    other = plane.settings.layout.marks / f"0-{'c' * 64}"
    mark.touch()
    other.touch()
    plane.engine.harmful[digest] = "it aborted"
    assert plane.deploy("air", 1).status.endpoint_status is EndpointStatus.FAILED
    assert mark.exists()
    plane.engine.harmful.clear()
    assert plane.deploy("air", 1).status.endpoint_status is EndpointStatus.IN_SERVICE
    assert not mark.exists()
    assert other.exists()


def test_trial_that_cannot_be_made_fails_the_wish_and_not_the_loop(
    plane: Plane, workers: list[Worker]
) -> None:
    class Broken(dict[str, str]):
        def get(self, key: str, default: object = None) -> str:
            raise OSError(12, "Cannot allocate memory")

    plane.register(1)
    plane.engine.harmful = Broken()
    endpoint = plane.deploy("air", 1)
    assert "Cannot allocate memory" in (endpoint.status.failure_reason or "")
    plane.engine.harmful = {}
    assert plane.deploy("air", 1).status.endpoint_status is EndpointStatus.IN_SERVICE
