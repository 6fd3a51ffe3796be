"""The planners of endpoints and tables, run in a small world where anything may happen at any moment."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from modelport.domain.endpoint import (
    EndpointConfigSpec,
    EndpointNotes,
    EndpointSpec,
    EndpointState,
    EndpointStatus,
    ProductionVariant,
)
from modelport.domain.planning.endpoint import (
    Before,
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
from modelport.domain.planning.hosting import blamed, coming_to
from modelport.domain.planning.replicas import names_in
from modelport.domain.planning.rollout import (
    WORKERS_WAIT_S,
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
from modelport.domain.planning.routes import change_table, digests_of, places_in
from modelport.domain.registry import Code, ContainerDefinition, ModelNotes, ModelSpec
from modelport.domain.resource import Kind, Nothing, Resource
from modelport.domain.routes import HostedRoute, RouteTable

NOW = datetime(2026, 1, 2, tzinfo=UTC)
NAMES = ("air", "sea")
DIGESTS = tuple(f"{number:064x}" for number in range(4))
EXPECTED = 2
QUIET_STEPS = 200


def resource(kind, name, spec, status, notes, generation=1, observed=1):
    return Resource(kind, name, None, spec, status, notes, generation, observed, NOW, NOW)


MODELS = {
    f"m{number}": resource(
        Kind.MODEL,
        f"m{number}",
        ModelSpec(f"m{number}", ContainerDefinition(f"m:{number}")),
        Nothing(),
        ModelNotes(digest, f"m:{number}"),
    )
    for number, digest in enumerate(DIGESTS)
}


CODES = ("x0", "x1")
MODELS |= {
    name: resource(
        Kind.MODEL,
        name,
        ModelSpec(name, ContainerDefinition(image="any")),
        Nothing(),
        ModelNotes("", name, Code(name[-1] * 64)),
    )
    for name in CODES
}


MANY = "many"
MODELS[MANY] = resource(
    Kind.MODEL,
    MANY,
    ModelSpec(MANY, ContainerDefinition(image="any")),
    Nothing(),
    ModelNotes("", MANY, models="s3://bucket/all/"),
)


def config(name: str, *models: int | str):
    """Return a config of numbered models, and of others by their names in two instances each."""
    variants = tuple(
        ProductionVariant(f"v{item}", f"m{item}")
        if isinstance(item, int)
        else ProductionVariant(item, item, 2)
        for item in models
    )
    return resource(Kind.ENDPOINT_CONFIG, name, EndpointConfigSpec(name, variants), Nothing(), Nothing())


CONFIGS = {
    made.name: made
    for made in (
        *(config(f"c{n}", n) for n in range(4)),
        *(config("c01", 0, 1), config("c23", 2, 3)),
        *(config("x0", "x0"), config("x0and0", "x0", 0), config("x01", "x0", "x1")),
        *(config(MANY, MANY), config("manyand0", MANY, 0)),
    )
}


ALARMS = ("too slow", "too many errors")


def linear(*alarms: str):
    """Return a deployment config of four steps, watched for 100 s each."""
    size = {"Type": "CAPACITY_PERCENT", "Value": 25}
    routing = {"Type": "LINEAR", "LinearStepSize": size, "WaitIntervalInSeconds": 100}
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": 50,
            "MaximumExecutionTimeoutInSeconds": 3600,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]},
    }


class World:
    """Control's memory, the workers and the disk, all of them small."""

    def __init__(self) -> None:
        self.endpoints = {}
        self.active = RouteTable(0)
        self.tables = {0: self.active}
        self.workers = [WorkerView(index, index) for index in range(EXPECTED)]
        self.aborts_canary: set[str] = set()
        self.fails_in_workers: set[str] = set()
        self.rollout = None
        self.trials = {}
        self.replicas: dict[str, str] = {}  # those that run, and what they run
        self.fails_to_start: set[str] = set()
        self.alarming: set[str] = set()
        self.asked: set[str] = set()  # digests that variants are to host that host many
        self.now = NOW
        self.waited = 0.0

    def crash(self) -> None:
        """Control forgets all that is not on disk."""
        self.rollout = None
        self.trials = {}
        self.waited = 0.0
        self.workers = [self._caught_up(worker) for worker in self.workers]

    def step(self) -> bool:
        """Let control pass once; return whether anything happened."""
        enough = enough_workers(self.workers, expected=EXPECTED, short_s=self.waited)
        rollout = None
        if self.rollout is not None:
            rollout = judge(self.rollout, self.workers, enough=enough, waited_s=self.waited, timeout_s=120.0)
        lagging = is_lagging(self.active.revision, self.workers)
        broken = broken_models(self.active, self.workers)
        served = {route.endpoint: route for route in self.active.endpoints}
        self.asked -= {DIGESTS[int(key.name)] for key in blamed(rollout, served)}
        observed = Observed(
            self.active,
            enough and not lagging,
            lagging,
            rollout,
            dict(self.trials),
            broken,
            replicas={name: self._start_of(code) for name, code in self.replicas.items()},
            alarming=frozenset(self.alarming),
            hosted=self._hosted(rollout, broken),
        )
        wanted, beside, running = {}, {}, {}
        happened = False
        for endpoint in list(self.endpoints.values()):
            wish = CONFIGS.get(endpoint.spec.endpoint_config_name)
            before = CONFIGS.get(endpoint.status.endpoint_config_name)
            serving = None if before is None else Before(before, MODELS)
            for action in plan(endpoint, wish, MODELS, observed, self.now, serving):
                if isinstance(action, Run):
                    running |= {name: run.model.name for run in action.replicas for name in run.names}
                elif isinstance(action, Want):
                    (beside if action.beside else wanted)[action.endpoint] = action.route
                else:
                    self._act(endpoint, action)
                    happened = True
        happened |= self._advance(decide(rollout, wanted or beside), rollout)
        tables = [self.active] if self.rollout is None else [self.active, self.tables[self.rollout.revision]]
        served = names_in(route for table in tables for route in table.endpoints)
        assert served <= self.replicas.keys() | running.keys(), "a table names what does not run"
        happened |= bool(running.keys() - self.replicas.keys())
        self.replicas = {name: code for name, code in self.replicas.items() if name in served} | running
        for digest, trial in observed.trials.items():
            if trial.state is TrialState.FAILED:
                self.trials.pop(digest, None)
        return happened

    def _hosted(self, rollout, broken):
        """Return what each place that hosts many is to host."""
        asked = tuple(
            HostedRoute(str(number), digest)
            for number, digest in enumerate(DIGESTS)
            if digest in self.asked and digest not in broken
        )
        hosted = {}
        for route in self.active.endpoints:
            for place, _, _ in places_in(route):
                coming = coming_to(place, rollout)
                hosted[place] = asked if coming is None else coming
        return hosted

    def _act(self, endpoint, action) -> None:
        if isinstance(action, TryModel):
            failed = action.digest in self.aborts_canary
            self.trials[action.digest] = (
                Trial(TrialState.FAILED, "it aborted") if failed else Trial(TrialState.PASSED)
            )
        elif isinstance(action, Note):
            assert not action.endpoint.settled
            self.endpoints[endpoint.name] = action.endpoint
        elif isinstance(action, Settle):
            if action.endpoint.status.endpoint_status is EndpointStatus.FAILED:
                served = any(route.endpoint == endpoint.name for route in self.active.endpoints)
                # One that had Failed is being taken out, and goes on to be.
                fell_before = endpoint.status.endpoint_config_name is None
                assert endpoint.settled or fell_before or not served, "a failed update ended what served"
            self.endpoints[endpoint.name] = action.endpoint
        else:
            assert isinstance(action, Remove)
            del self.endpoints[endpoint.name]

    def _start_of(self, code: str) -> Trial:
        failed = code in self.fails_to_start
        return Trial(TrialState.FAILED, "no such module") if failed else Trial(TrialState.PASSED)

    def _advance(self, step, rollout) -> bool:
        if isinstance(step, Publish):
            revision = max(self.tables) + 1
            table = change_table(self.active, step.changes, revision)
            self.tables[revision] = table
            adds = bool(digests_of(step.changes.values()) - self.active.digests())
            self.rollout, self.waited = Rollout(revision, step.changes, adds=adds), 0.0
        elif isinstance(step, Activate):
            assert all(worker.prepared_revision >= step.revision for worker in self.workers), "not prepared"
            self.active, self.rollout = self.tables[step.revision], None
            self.workers = [replace(worker, active_revision=step.revision) for worker in self.workers]
        elif step is not None:
            if rollout.digest is not None:
                self.trials.pop(rollout.digest, None)
            self.rollout = None
        return step is not None

    def prepare(self, index: int) -> None:
        """Let a worker do what it was last asked for."""
        if self.rollout is not None:
            table = self.tables[self.rollout.revision]
            self.workers = [
                self.prepared(worker, table) if worker.index == index else worker for worker in self.workers
            ]

    def prepared(self, worker: WorkerView, table: RouteTable) -> WorkerView:
        """Return a worker after it was asked to prepare a table."""
        failed = dict.fromkeys(table.digests() & self.fails_in_workers, "no")
        kept = self.tables[worker.active_revision].digests()
        for digest in sorted(failed.keys() - kept):
            return replace(worker, failure=PrepareFailure(table.revision, digest, "no"), failed=failed)
        return replace(worker, prepared_revision=table.revision, failed=failed)

    def start_worker(self) -> None:
        """Let a missing worker come: it serves by the active table, without what it cannot load."""
        index = min(set(range(EXPECTED)) - {worker.index for worker in self.workers})
        failed = dict.fromkeys(self.active.digests() & self.fails_in_workers, "no")
        fresh = WorkerView(index, 9, self.active.revision, self.active.revision, None, failed)
        self.workers = sorted([*self.workers, fresh], key=lambda worker: worker.index)

    def _caught_up(self, worker: WorkerView) -> WorkerView:
        return replace(worker, active_revision=self.active.revision, prepared_revision=self.active.revision)


class Anything(RuleBasedStateMachine):
    """Wishes, deaths and harm in any order; then peace, and everything settles."""

    @initialize()
    def begin(self) -> None:
        self.world = World()

    @rule(name=st.sampled_from(NAMES), wish=st.sampled_from(sorted(CONFIGS)))
    def wish(self, name, wish) -> None:
        known = self.world.endpoints.get(name)
        if known is None:
            self.world.endpoints[name] = resource(
                Kind.ENDPOINT,
                name,
                EndpointSpec(name, wish),
                EndpointState(EndpointStatus.CREATING),
                EndpointNotes(),
                observed=0,
            )
        elif known.settled and not known.modelport.deleting:
            self._change(known, wish, {})

    @rule(
        name=st.sampled_from(NAMES),
        wish=st.sampled_from(sorted(CONFIGS)),
        alarms=st.sets(st.sampled_from(ALARMS)),
    )
    def wish_under_guard(self, name, wish, alarms) -> None:
        known = self.world.endpoints.get(name)
        if known is not None and known.settled and not known.modelport.deleting:
            self._change(known, wish, {}, linear(*sorted(alarms)))

    @rule(alarm=st.sampled_from(ALARMS))
    def alarm(self, alarm) -> None:
        self.world.alarming.symmetric_difference_update({alarm})

    @rule(name=st.sampled_from(NAMES), weight=st.floats(0, 10))
    def reweigh(self, name, weight) -> None:
        known = self.world.endpoints.get(name)
        if known is not None and known.settled and known.status.endpoint_config_name == "c01":
            self._change(known, "c01", {"v0": 1.0, "v1": weight})

    @rule(name=st.sampled_from(NAMES))
    def delete(self, name) -> None:
        known = self.world.endpoints.get(name)
        if known is not None and not known.modelport.deleting:
            self.world.endpoints[name] = replace(
                known,
                status=replace(known.status, endpoint_status=EndpointStatus.DELETING),
                modelport=replace(known.modelport, deleting=True),
                generation=known.generation + 1,
            )

    def _change(self, known, wish, weights, deployment=None) -> None:
        self.world.endpoints[known.name] = replace(
            known,
            spec=replace(known.spec, endpoint_config_name=wish, deployment_config=deployment or {}),
            status=replace(known.status, endpoint_status=EndpointStatus.UPDATING, failure_reason=None),
            modelport=replace(known.modelport, weights=weights),
            generation=known.generation + 1,
        )

    @rule(steps=st.integers(1, 5))
    def pass_some(self, steps) -> None:
        for _ in range(steps):
            self.world.step()
            self.check()

    @rule()
    def nothing_happens_for_long(self) -> None:
        self._come_to_rest()

    @rule()
    def control_dies(self) -> None:
        self.world.crash()

    @precondition(lambda self: self.world.workers)
    @rule(index=st.integers(0, EXPECTED - 1))
    def worker_dies(self, index) -> None:
        self.world.workers = [worker for worker in self.world.workers if worker.index != index]

    @precondition(lambda self: len(self.world.workers) < EXPECTED)
    @rule()
    def worker_starts(self) -> None:
        self.world.start_worker()

    @rule(index=st.integers(0, EXPECTED - 1))
    def worker_prepares(self, index) -> None:
        self.world.prepare(index)

    @rule(digest=st.sampled_from(DIGESTS), in_workers=st.booleans())
    def harm(self, digest, in_workers) -> None:
        harmed = self.world.fails_in_workers if in_workers else self.world.aborts_canary
        harmed.symmetric_difference_update({digest})

    @rule(digest=st.sampled_from(DIGESTS))
    def ask_or_leave(self, digest) -> None:
        self.world.asked.symmetric_difference_update({digest})

    @rule(code=st.sampled_from(CODES))
    def harm_code(self, code) -> None:
        self.world.fails_to_start.symmetric_difference_update({code})

    @rule()
    def time_passes(self) -> None:
        self.world.waited += WORKERS_WAIT_S
        self.world.now += timedelta(seconds=60)

    @invariant()
    def check(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        routed = {route.endpoint: route for route in world.active.endpoints}
        for route in routed.values():
            assert sum(variant.weight for variant in route.variants) > 0, "a route that answers nobody"
        for endpoint in world.endpoints.values():
            status = endpoint.status
            if endpoint.spec.endpoint_config_name == status.endpoint_config_name == MANY:
                assert status.endpoint_status is not EndpointStatus.FAILED, "for a model that it hosts"
            if endpoint.status.endpoint_status is EndpointStatus.IN_SERVICE:
                assert endpoint.name in routed, "InService, and nothing is routed"
                assert endpoint.modelport.stage is None
                names = [variant.variant for variant in routed[endpoint.name].variants]
                assert len(names) == len(set(names)), "InService, and two configs are mixed"
        assert names_in(world.active.endpoints) <= world.replicas.keys(), "what serves does not run"
        for worker in world.workers:
            assert worker.prepared_revision >= worker.active_revision

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self._settle()

    def _settle(self) -> None:
        """Let all workers come, and end the harm: every wish settles, and nothing is left over."""
        world = self.world
        while len(world.workers) < EXPECTED:
            world.start_worker()
        self._come_to_rest()  # also while some models do harm
        world.fails_in_workers.clear()
        world.fails_to_start.clear()
        world.workers = [replace(world._caught_up(worker), failed={}) for worker in world.workers]
        world.rollout = None
        self._come_to_rest()
        routed = {route.endpoint: route for route in world.active.endpoints}
        for endpoint in world.endpoints.values():
            status = endpoint.status
            assert endpoint.settled
            assert not endpoint.modelport.deleting
            if status.endpoint_status is EndpointStatus.FAILED:
                assert status.failure_reason
                assert endpoint.name not in routed
            else:
                assert status.endpoint_status is EndpointStatus.IN_SERVICE
                assert status.endpoint_config_name == endpoint.spec.endpoint_config_name
                variants = {variant.variant: variant.weight for variant in routed[endpoint.name].variants}
                assert variants == {
                    item.variant_name: item.current_weight for item in status.production_variants
                }
        for route in routed.values():
            for _, variant, _ in places_in(route):
                assert variant.digests() == world.asked, "it hosts what is asked for, and nothing else"
        assert set(routed) <= set(world.endpoints)
        assert world.replicas.keys() == names_in(world.active.endpoints), "replicas that nobody asks"

    def _come_to_rest(self) -> None:
        for _ in range(QUIET_STEPS):
            self.world.now += timedelta(seconds=60)
            for index in range(EXPECTED):
                self.world.prepare(index)
            moving = any(
                item.modelport.stage and not item.modelport.deleting for item in self.world.endpoints.values()
            )
            if not self.world.step() and not moving:
                return
            self.check()
        # Going back does not give up, while what served before does not load any more.
        tries = [item.status.endpoint_status for item in self.world.endpoints.values()]
        assert EndpointStatus.ROLLING_BACK in tries, "it does not come to rest"


Anything.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestAnything = Anything.TestCase


def _created(name: str = "air", wish: str = "c0"):
    world = World()
    world.endpoints[name] = resource(
        Kind.ENDPOINT,
        name,
        EndpointSpec(name, wish),
        EndpointState(EndpointStatus.CREATING),
        EndpointNotes(),
        observed=0,
    )
    return world


def _rest(world: World) -> None:
    for _ in range(QUIET_STEPS):
        for index in range(EXPECTED):
            world.prepare(index)
        if not world.step():
            return
    raise AssertionError("it does not come to rest")


def test_config_that_is_gone_fails_a_create_and_says_so() -> None:
    world = _created(wish="absent")
    _rest(world)
    status = world.endpoints["air"].status
    assert status.endpoint_status is EndpointStatus.FAILED
    assert status.failure_reason == "endpoint config 'absent' does not exist"


def test_record_of_a_served_config_may_be_lost_and_it_goes_on_serving() -> None:
    world = _created()
    _rest(world)
    endpoint = world.endpoints["air"]
    world.endpoints["air"] = replace(endpoint, spec=replace(endpoint.spec, endpoint_config_name="absent"))
    _rest(world)
    assert world.endpoints["air"].status.endpoint_status is EndpointStatus.IN_SERVICE
    assert [route.endpoint for route in world.active.endpoints] == ["air"]


def test_what_served_before_is_remembered_for_a_rollback() -> None:
    world = _created(wish="c01")
    _rest(world)
    first = world.endpoints["air"]
    assert first.modelport.previous_config is None
    world.endpoints["air"] = replace(first, spec=replace(first.spec, endpoint_config_name="c2"), generation=2)
    _rest(world)
    notes = world.endpoints["air"].modelport
    assert (notes.previous_config, notes.previous_weights) == ("c01", {"v0": 1.0, "v1": 1.0})
    assert notes.served == {"v0": "m0", "v1": "m1", "v2": "m2"}


def test_long_reason_is_cut() -> None:
    world = _created()
    world.aborts_canary.add(DIGESTS[0])
    endpoint = world.endpoints["air"]
    observed = Observed(
        world.active, True, False, None, {DIGESTS[0]: Trial(TrialState.FAILED, "x" * 5000)}, {}
    )
    (action,) = plan(endpoint, CONFIGS["c0"], MODELS, observed, NOW)
    assert isinstance(action, Settle)
    assert len(action.endpoint.status.failure_reason or "") == 1024


def test_table_that_fails_for_no_routes_fault_fails_every_wish_it_carried() -> None:
    world = _created()
    endpoint = world.endpoints["air"]
    trials = {DIGESTS[0]: Trial(TrialState.PASSED)}
    observed = Observed(world.active, True, False, None, trials, {})
    (want,) = plan(endpoint, CONFIGS["c0"], MODELS, observed, NOW)
    assert isinstance(want, Want)
    for guilty, expected in ((DIGESTS[0], "m:0 cannot serve: why"), (DIGESTS[3], "why"), (None, "why")):
        rollout = Rollout(1, {"air": want.route}, True, RolloutState.FAILED, guilty, "why")
        (action,) = plan(endpoint, CONFIGS["c0"], MODELS, replace(observed, rollout=rollout), NOW)
        assert isinstance(action, Settle)
        assert action.endpoint.status.failure_reason == expected
