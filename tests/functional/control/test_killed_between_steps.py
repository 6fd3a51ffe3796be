"""Control dies between any two effects, comes back on the same home, and ends where it would have ended.

Each story is run once undisturbed. Then it is run again with a crash at the 1st, 2nd, 3rd … effect (a
transaction, a route file, a message to the workers, a call of the engine), until a run passes untouched.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fakes.house import ME, Crash, FakeEngine, FakeWorkers, HandClock, House, Saboteur
from modelport.control.routes import RouteFiles
from modelport.domain.endpoint import EndpointConfigSpec, EndpointSpec, ProductionVariant
from modelport.domain.errors import Conflict, NotFound
from modelport.domain.job import (
    DataSource,
    S3DataSource,
    TransformInput,
    TransformOutput,
    TransformSpec,
)
from modelport.domain.names import parse_version
from modelport.domain.registry import MULTI_MODEL, ContainerDefinition, ModelSpec
from modelport.domain.resource import Kind
from modelport.settings import HomeLayout
from modelport.wire.jobs import JobResult

EFFECTS_MAX = 200
MEMORY = Path("/dev/shm")
Step = Callable[[House], object]


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """Yield a folder in memory where there is one: what dies here is a process, not the machine."""
    where = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="modelport-test-", dir=where) as folder:
        yield Path(folder)


class Story:
    """What the user wishes, one step after the other; each is repeated after a crash unless it was kept.

    Args:
        home: An empty folder.
        before: A story that this one goes on from, as if it had happened in this home.
        harmful: Model 2 aborts whoever loads it.
    """

    def __init__(self, home: Path, *, before: Story | None = None, harmful: bool = False) -> None:
        self.home = home
        self.saboteur = Saboteur()
        self.clock = HandClock()
        self.engine = FakeEngine()
        workers = None
        if before is not None:
            before.house.records.close()
            shutil.copytree(before.home, home)
            self.engine.harmful = before.engine.harmful
            workers = FakeWorkers(RouteFiles(HomeLayout(home).routes))
        self.house = House(
            home, clock=self.clock, engine=self.engine, workers=workers, saboteur=self.saboteur
        )
        self.workers = self.house.workers
        self.archives = self.house.archives if before is None else before.archives
        self._furnish()
        if harmful:
            self.engine.harmful[self.house.store_model(2)] = "it aborted the process that loaded it"

    def live(self, steps: list[tuple[Step, Callable[[House], bool]]], *, at: int | None = None) -> None:
        """Do the steps; control dies at the effect `at`, counted from here. None: it lives."""
        self.saboteur.arm(at)
        for act, was_kept in steps:
            self._do(lambda house, act=act: act(house))
            if not was_kept(self.house):  # the crash came before the acknowledgement: ask again
                self._do(lambda house, act=act: act(house))
                assert was_kept(self.house)
            self._do(lambda house: house.run())
            self._do(lambda house: house.run())  # what a crash in the first one left
        if at is not None:  # control that starts now must find the same
            self._restart()
            self.house.run()

    def _do(self, act: Step) -> None:
        try:
            act(self.house)
        except Crash:
            self._restart()

    def _restart(self) -> None:
        self.house.records.close()
        self.house = House(
            self.home, clock=self.clock, engine=self.engine, workers=self.workers, saboteur=self.saboteur
        )
        self._furnish()
        self.workers.reconnect()

    def _furnish(self) -> None:
        """Let buckets hold what they did: they outlive control."""
        self.house.archives.holds, self.house.archives.codes = self.archives.holds, self.archives.codes

    def end(self) -> dict[str, Any]:
        """Return what a user can see of the end, without numbers that count attempts."""
        house = self.house
        with house.records.reading() as tx:
            endpoints = {
                item.name: (
                    item.settled,
                    item.status.endpoint_status.value,
                    item.status.failure_reason,
                    item.status.endpoint_config_name,
                    [
                        (v.variant_name, v.current_weight, v.desired_weight)
                        for v in item.status.production_variants
                    ],
                    item.modelport.previous_config,
                    item.modelport.previous_weights,
                    item.modelport.served,
                )
                for item in tx.all(Kind.ENDPOINT)
            }
            jobs = {item.name: item.status.transform_job_status.value for item in tx.all(Kind.TRANSFORM_JOB)}
            versions = tx.names(Kind.MODEL_PACKAGE)
            components = {item.name: (item.settled, item.status) for item in tx.all(Kind.INFERENCE_COMPONENT)}
        active = house.files.active()
        serving = {view.active_revision for view in self.workers.views}
        house.records.close()
        assert serving <= {active.revision}, "a worker serves by another table"
        routes = {
            route.endpoint: [(v.variant, v.weight) for v in route.variants] for route in active.endpoints
        }
        hosted = {
            (route.endpoint, v.variant): v.hosting.models
            for route in active.endpoints
            for v in route.variants
            if v.hosting is not None
        }
        return {
            "endpoints": endpoints,
            "routes": routes,
            "jobs": jobs,
            "versions": versions,
            "components": components,
            "hosted": hosted,
        }


def _deploy(version: str, **how: Any) -> Step:
    return lambda house: house.endpoints.deploy("air", parse_version(version), principal=ME, **how)


def _wishes(generation: int) -> Callable[[House], bool]:
    def was_kept(house: House) -> bool:
        try:
            return house.endpoints.describe("air").generation >= generation
        except NotFound:
            return False

    return was_kept


def _is_registered(version: str) -> Callable[[House], bool]:
    def was_kept(house: House) -> bool:
        try:
            return bool(house.registry.version(parse_version(version)))
        except NotFound:
            return False

    return was_kept


def _is_gone(house: House) -> bool:
    try:
        return house.endpoints.describe("air").modelport.deleting
    except NotFound:
        return True


def _delete(house: House) -> None:
    if not _is_gone(house):
        house.endpoints.delete("air", principal=ME)


SERVING = [
    (lambda house: house.register("flights", 1), _is_registered("flights:1")),
    (_deploy("flights:1"), _wishes(1)),
]
UPDATING = [
    *SERVING,
    (lambda house: house.register("flights", 2), _is_registered("flights:2")),
    (_deploy("flights:2", traffic_percent=25.0), _wishes(2)),
]
WEIGHTS = (lambda house: house.endpoints.set_weights("air", {"v2": 75.0}, principal=ME), _wishes(3))
PROMOTE = (lambda house: house.endpoints.promote("air", "v2", principal=ME), _wishes(3))
ROLLBACK = (lambda house: house.endpoints.rollback("air", principal=ME), _wishes(4))
FOLDER = "s3://models/all/"


def _is_served(name: str) -> Callable[[House], bool]:
    return lambda house: any(route.endpoint == name for route in house.files.active().endpoints)


def _is_wished_for(name: str) -> Callable[[House], bool]:
    return lambda house: any(endpoint.name == name for endpoint in house.endpoints.list().items)


def _serve_a_folder(house: House) -> None:
    """Let an endpoint of many models serve; whatever is there already stays."""
    house.archives.holds[f"{FOLDER}m1"] = house.store_model(1)
    container = ContainerDefinition(image="any", model_data_url=FOLDER, mode=MULTI_MODEL)
    config = EndpointConfigSpec("many", (ProductionVariant("A", "many"),))
    for wish in (
        lambda: house.endpoints.create_model(ModelSpec("many", container), principal=ME),
        lambda: house.endpoints.create_config(config, principal=ME),
        lambda: house.endpoints.create(EndpointSpec("many", "many"), principal=ME),
    ):
        with suppress(Conflict):
            wish()


def _ask(house: House) -> None:
    """Let a worker speak of a request that waits, as it does every second."""
    for _ in range(3):
        house.workers.ask("many", "m1")
        house.run()


STORIES = {  # what is done in peace, then what control may die in
    "create": ([], SERVING),
    "update": (UPDATING[:-1], UPDATING[-1:]),
    "update to a harmful version": (UPDATING[:-1], UPDATING[-1:]),
    "weights": (UPDATING, [WEIGHTS]),
    "promote": (UPDATING, [PROMOTE]),
    "roll back": ([*UPDATING, PROMOTE], [ROLLBACK]),
    "delete": (SERVING, [(_delete, _is_gone)]),
    "a folder of models": (
        [],
        [
            (_serve_a_folder, _is_wished_for("many")),
            (lambda house: house.run(), _is_served("many")),
        ],
    ),
    "a model is asked for": (
        [(_serve_a_folder, lambda _: True)],
        [(_ask, lambda house: bool(house.files.active().digests()))],
    ),
}


@pytest.mark.parametrize("name", STORIES)
def test_endpoint_story_ends_the_same_wherever_control_died(in_memory: Path, name: str) -> None:
    harmful = "harmful" in name
    peaceful, dangerous = STORIES[name]
    before = Story(in_memory / "before", harmful=harmful)
    before.live(peaceful)
    undisturbed = Story(in_memory / "undisturbed", before=before)
    undisturbed.live(dangerous, at=-1)
    effects = undisturbed.saboteur.effects
    expected = undisturbed.end()
    assert expected["routes"] or name == "delete"
    at = 0
    while True:
        at += 1
        story = Story(in_memory / str(at), before=before)
        story.live(dangerous, at=at)
        assert story.end() == expected, f"after a crash at effect {at}"
        if story.saboteur.effects < at:
            break
        assert at < EFFECTS_MAX
    assert at > effects


def _transform(house: House) -> None:
    spec = TransformSpec(
        "score",
        "flights:1",
        TransformInput(DataSource(S3DataSource("/data/in.parquet"))),
        TransformOutput("/data/out"),
    )
    try:
        house.jobs.create_transform(spec, principal=ME)
    except Conflict:
        assert _is_wished(house)


def _is_wished(house: House) -> bool:
    try:
        return bool(house.jobs.describe("score"))
    except NotFound:
        return False


def _let_it_end(house: House) -> None:
    house.run()
    if not (house.layout.jobs / "score" / "result.json").exists():
        house.engine.finish(house.layout.jobs / "score", JobResult("Completed"))


def test_job_story_ends_the_same_wherever_control_died(in_memory: Path) -> None:
    steps = [
        SERVING[0],
        (_transform, _is_wished),
        (_let_it_end, lambda house: (house.layout.jobs / "score" / "result.json").exists()),
    ]
    undisturbed = Story(in_memory / "undisturbed")
    undisturbed.live(steps)
    expected = undisturbed.end()
    assert expected["jobs"] == {"score": "Completed"}
    at = 0
    while True:
        at += 1
        story = Story(in_memory / str(at))
        story.live(steps, at=at)
        assert story.end() == expected, f"after a crash at effect {at}"
        assert story.engine.started == ["score"], "a job that lives is found again, not started twice"
        if story.saboteur.effects < at:
            break
        assert at < EFFECTS_MAX
