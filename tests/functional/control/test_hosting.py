"""Models that variants host: they come when workers ask, leave when others are asked, and harm nobody."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.house import ME, House
from modelport.control.asked_models import COMING_MAX
from modelport.control.services.inference_components import InferenceComponents
from modelport.domain.endpoint import (
    AsyncInference,
    AsyncOutput,
    EndpointConfigSpec,
    EndpointSpec,
    EndpointStatus,
    ProductionVariant,
    Serverless,
)
from modelport.domain.errors import InvalidInput
from modelport.domain.inference_component import (
    ComponentChange,
    ComponentNotes,
    ComponentSpec,
    ComponentState,
    ComponentStatus,
)
from modelport.domain.names import parse_version
from modelport.domain.planning.guardrails import turn_back
from modelport.domain.registry import MULTI_MODEL, ContainerDefinition, ModelSpec
from modelport.domain.resource import Kind, Nothing, Resource

FOLDER = "s3://models/all/"
CODE_URL = "s3://models/code.tar.gz"


@pytest.fixture
def house(tmp_path: Path):
    with House(tmp_path / "home", hosted_replicas_max=2) as built:
        for number in range(3):
            built.archives.holds[f"{FOLDER}m{number}"] = built.store_model(number)
        built.archives.codes |= {CODE_URL, *(f"{FOLDER}c{number}" for number in range(3))}
        yield built


def serve(house: House, name: str, container: ContainerDefinition, **variant) -> None:
    house.endpoints.create_model(ModelSpec(name, container), principal=ME)
    item = ProductionVariant("A", name, **variant)
    house.endpoints.create_config(EndpointConfigSpec(name, (item,)), principal=ME)
    house.endpoints.create(EndpointSpec(name, name), principal=ME)
    assert house.settle(name).status.endpoint_status is EndpointStatus.IN_SERVICE


@pytest.fixture
def many(house: House) -> House:
    serve(house, "many", ContainerDefinition(image="any", model_data_url=FOLDER, mode=MULTI_MODEL))
    return house


@pytest.fixture
def dozing(house: House) -> House:
    serve(house, "dozes", ContainerDefinition(model_data_url=CODE_URL), serverless_config=Serverless(9))
    return house


def hosted(house: House, endpoint: str = "many") -> dict[str, str]:
    """Return the names of what an endpoint hosts, and `code` or the digest of each."""
    return {
        model.name: "code" if model.replicas else model.digest
        for route in house.files.active().endpoints
        if route.endpoint == endpoint
        for variant in route.variants
        if variant.hosting is not None
        for model in variant.hosting.models
    }


def ask(house: House, *names: str, endpoint: str = "many") -> None:
    for name in names:
        house.clock.turn(1)
        house.workers.ask(endpoint, name)
        house.run()


def test_what_is_asked_for_is_hosted(many: House) -> None:
    assert hosted(many) == {}
    ask(many, "m1", "c0")
    assert hosted(many) == {"m1": many.archives.holds[f"{FOLDER}m1"], "c0": "code"}
    assert many.endpoints.describe("many").status.endpoint_status is EndpointStatus.IN_SERVICE


def test_what_comes_and_what_leaves_is_told(many: House) -> None:
    ask(many, "c0", "c1", "m1", "c2")
    told = [event.message for event in many.events.list(kind=Kind.ENDPOINT, name="many").items]
    assert {"hosts c0", "hosts m1"} <= set(told)
    assert "hosts c2; hosts c0 no more" in told or {"hosts c2", "hosts c0 no more"} <= set(told)


def test_what_is_not_there_is_refused_and_so_is_what_does_not_work(many: House) -> None:
    ask(many, "none")
    many.engine.harmful[many.archives.holds[f"{FOLDER}m0"]] = "it hurts"
    ask(many, "m0")
    many.replicas.failing[f"many/c1@{_digest('c1')}"] = "no licence"
    ask(many, "c1")
    (none, m0, c1) = many.workers.refused
    assert (none[0], none[2]) == ("none", False)
    assert "key: all/none" in none[1]
    assert (m0[0], m0[2]) == ("m0", True)
    assert "it hurts" in m0[1]
    assert "no licence" in c1[1]
    assert hosted(many) == {}
    assert many.replicas.wanted == {}, "nothing runs for what does not work"


def _digest(name: str) -> str:
    return hashlib.sha256(f"{FOLDER}{name}".encode()).hexdigest()


def test_what_is_uploaded_after_it_was_refused_is_there_at_once(many: House) -> None:
    ask(many, "late")
    assert many.workers.refused[0][0] == "late"
    many.archives.holds[f"{FOLDER}late"] = many.store_model(7)
    many.workers.ask("many", "late")
    many.run()
    assert hosted(many).keys() == {"late"}


def test_only_some_start_at_one_time_and_the_others_have_their_turn(many: House) -> None:
    names = [f"s{number}" for number in range(12)]
    many.archives.codes |= {f"{FOLDER}{name}" for name in names}
    many.replicas.slow = True
    for name in names:
        many.workers.ask("many", name)
    many.run()
    assert len(many.replicas.wanted) == COMING_MAX
    many.replicas.slow = False
    for _ in range(len(names)):
        for name in names:
            many.workers.ask("many", name)
        many.run()
        many.clock.turn(1)
    assert not many.workers.refused
    assert len(hosted(many)) == 2, "those asked last"


def test_a_model_that_no_worker_loads_is_refused_and_the_endpoint_serves_on(many: House) -> None:
    ask(many, "m1")
    many.workers.harmful[many.archives.holds[f"{FOLDER}m2"]] = "it does not load here"
    ask(many, "m2")
    assert [(name, reason) for name, reason, _ in many.workers.refused] == [("m2", "it does not load here")]
    assert hosted(many).keys() == {"m1"}
    assert many.endpoints.describe("many").status.endpoint_status is EndpointStatus.IN_SERVICE


def test_a_model_that_a_worker_lost_leaves_and_comes_again_when_asked(many: House) -> None:
    ask(many, "m1", "m2")
    many.workers.restart_without(0, many.archives.holds[f"{FOLDER}m1"])
    many.run()
    assert hosted(many).keys() == {"m2"}
    assert many.endpoints.describe("many").status.endpoint_status is EndpointStatus.IN_SERVICE
    many.workers.views = [replace(view, failed={}) for view in many.workers.views]
    ask(many, "m1")
    assert hosted(many).keys() == {"m1", "m2"}


def test_processes_are_bounded_and_the_one_asked_longest_ago_leaves(many: House) -> None:
    ask(many, "c0", "c1")
    many.clock.turn(1)
    many.workers.use("many", "c0")
    ask(many, "c2", "m1")
    assert hosted(many).keys() == {"c0", "c2", "m1"}
    many.workers.drain()
    many.run()
    assert len(many.replicas.wanted) == 2


def test_a_control_process_that_starts_anew_keeps_what_is_hosted(many: House) -> None:
    ask(many, "m1", "c0")
    before = hosted(many)
    again = House(
        many.layout.home,
        engine=many.engine,
        workers=many.workers,
        replicas=many.replicas,
        clock=many.clock,
    )
    with again:
        again.archives.holds, again.archives.codes = many.archives.holds, many.archives.codes
        again.run()
        assert hosted(again) == before
        ask(again, "m2")
        assert hosted(again).keys() == {*before, "m2"}


def test_models_of_a_model_that_was_deleted_serve_on_and_no_other_comes(many: House) -> None:
    ask(many, "m1")
    many.endpoints.delete_model("many", in_use=True, principal=ME)
    ask(many, "m2")
    assert hosted(many).keys() == {"m1"}
    assert "was deleted" in many.workers.refused[0][1]


def test_a_serverless_variant_proves_its_code_and_sleeps_when_nobody_asks(dozing: House) -> None:
    assert hosted(dozing, "dozes") == {"": "code"}
    dozing.clock.turn(299)
    dozing.run()
    dozing.workers.use("dozes")
    dozing.clock.turn(200)
    dozing.run()
    assert hosted(dozing, "dozes") == {"": "code"}
    dozing.clock.turn(301)
    dozing.run()
    assert hosted(dozing, "dozes") == {}
    dozing.clock.turn(100)
    dozing.run()
    assert dozing.replicas.wanted == {}
    ask(dozing, "", endpoint="dozes")
    assert hosted(dozing, "dozes") == {"": "code"}
    assert len(dozing.replicas.wanted) == 2


def test_a_sleeping_endpoint_can_be_updated_and_deleted(dozing: House) -> None:
    dozing.clock.turn(301)
    dozing.run()
    dozing.endpoints.set_weights("dozes", {"A": 2.0}, principal=ME)
    assert dozing.settle("dozes").status.endpoint_status is EndpointStatus.IN_SERVICE
    assert hosted(dozing, "dozes") == {"": "code"}, "each wish is proven"
    dozing.endpoints.delete("dozes", principal=ME)
    dozing.run()
    assert dozing.replicas.wanted == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"async_inference_config": AsyncInference(AsyncOutput("s3://b/out"))}, "asked asynchronously"),
        ({"shadow_production_variants": (ProductionVariant("B", "many"),)}, "'B' is a shadow"),
        (
            {
                "production_variants": (ProductionVariant("A", "many"),),
                "shadow_production_variants": (ProductionVariant("B", "one"),),
            },
            "'A' is a shadow, or has one",
        ),
        (
            {"production_variants": (ProductionVariant("A", "many", serverless_config=Serverless(1)),)},
            "is serverless, and its model 'many' stands for many",
        ),
    ],
)
def test_what_many_models_cannot_be_is_refused(many: House, change, words) -> None:
    many.endpoints.create_model(ModelSpec("one", ContainerDefinition(model_data_url=CODE_URL)), principal=ME)
    spec = EndpointConfigSpec("wrong", (ProductionVariant("A", "one"),))
    if "async_inference_config" in change:
        change = change | {"production_variants": (ProductionVariant("A", "many"),)}
    with pytest.raises(InvalidInput, match=words):
        many.endpoints.create_config(replace(spec, **change), principal=ME)


def test_many_models_are_alone_in_their_model(house: House) -> None:
    folder = ContainerDefinition(image="any", model_data_url=FOLDER, mode=MULTI_MODEL)
    with pytest.raises(InvalidInput, match="is one of several"):
        house.endpoints.create_model(ModelSpec("m", folder, (folder,)), principal=ME)
    with pytest.raises(InvalidInput, match="expected s3://BUCKET/PREFIX/"):
        house.endpoints.create_model(ModelSpec("m", replace(folder, model_data_url=None)), principal=ME)


# ── Components ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def shared(house: House) -> House:
    config = EndpointConfigSpec("shared", (ProductionVariant("A"),))
    with house.records.transaction() as tx:
        tx.create(
            Resource(Kind.ENDPOINT_CONFIG, "shared", None, config, Nothing(), Nothing(), 1, 1, tx.now, tx.now)
        )
    house.endpoints.create(EndpointSpec("shared", "shared"), principal=ME)
    assert house.settle("shared").status.endpoint_status is EndpointStatus.IN_SERVICE
    return house


def wish(house: House, name: str, url: str, copies: int = 1, *, new: bool = True, deleting: bool = False):
    """Wish for a component, or for another one of its name; return what became of it."""
    container = ContainerDefinition(model_data_url=url)
    spec = ComponentSpec(name, "shared", "A", container=container, copy_count=copies)
    with house.records.transaction() as tx:
        if new:
            state = ComponentState(ComponentStatus.CREATING)
            notes = ComponentNotes()
            tx.create(
                Resource(Kind.INFERENCE_COMPONENT, name, None, spec, state, notes, 1, 0, tx.now, tx.now)
            )
        else:
            known = tx.get(Kind.INFERENCE_COMPONENT, name)
            notes = ComponentNotes(deleting=deleting)
            tx.put(replace(known, spec=spec, modelport=notes, generation=known.generation + 1))
    house.run()
    return component(house, name)


def component(house: House, name: str):
    """Return a component; None where it is gone."""
    with house.records.reading() as tx:
        return tx.find(Kind.INFERENCE_COMPONENT, name)


def test_components_come_change_and_go(shared: House) -> None:
    one = wish(shared, "one", f"{FOLDER}m0")
    assert one.status == ComponentState(ComponentStatus.IN_SERVICE, 1)
    two = wish(shared, "two", CODE_URL, copies=3)
    assert two.status == ComponentState(ComponentStatus.IN_SERVICE, 3)
    assert hosted(shared, "shared") == {"one": shared.archives.holds[f"{FOLDER}m0"], "two": "code"}
    assert len(shared.replicas.wanted) == 3
    assert wish(shared, "two", CODE_URL, copies=1, new=False).status.current_copy_count == 1
    assert len(shared.replicas.wanted) == 1
    assert wish(shared, "two", CODE_URL, copies=0, new=False).status.current_copy_count == 0
    assert wish(shared, "one", f"{FOLDER}m1", new=False).status.inference_component_status == "InService"
    assert hosted(shared, "shared")["one"] == shared.archives.holds[f"{FOLDER}m1"]
    assert wish(shared, "one", f"{FOLDER}m1", new=False, deleting=True) is None
    assert hosted(shared, "shared").keys() == {"two"}


def test_a_component_that_cannot_serve_says_why_and_harms_nobody(shared: House) -> None:
    wish(shared, "one", f"{FOLDER}m0")
    torn = wish(shared, "torn", "s3://models/none")
    assert torn.status == ComponentState(ComponentStatus.FAILED, 0, "its archive cannot be read")
    shared.workers.harmful[shared.archives.holds[f"{FOLDER}m2"]] = "it does not load here"
    heavy = wish(shared, "heavy", f"{FOLDER}m2")
    assert heavy.status.failure_reason == "it does not load here"
    assert hosted(shared, "shared").keys() == {"one"}
    assert shared.endpoints.describe("shared").status.endpoint_status is EndpointStatus.IN_SERVICE
    assert wish(shared, "heavy", f"{FOLDER}m1", new=False).status.inference_component_status == "InService"


def test_a_component_that_a_worker_loses_for_good_says_so(shared: House) -> None:
    wish(shared, "one", f"{FOLDER}m0")
    wish(shared, "two", f"{FOLDER}m1")
    lost = shared.archives.holds[f"{FOLDER}m0"]
    shared.workers.harmful[lost] = "it does not load here any more"
    shared.workers.restart_without(0, lost)
    for _ in range(5):
        shared.run()
        shared.clock.turn(2)
    one = component(shared, "one")
    assert one.status.inference_component_status is ComponentStatus.FAILED
    assert one.status.failure_reason == "it does not load here any more"
    assert hosted(shared, "shared").keys() == {"two"}
    assert shared.endpoints.describe("shared").status.endpoint_status is EndpointStatus.IN_SERVICE


def test_a_change_that_cannot_come_true_leaves_what_serves(shared: House) -> None:
    wish(shared, "one", f"{FOLDER}m0")
    failed = wish(shared, "one", "s3://models/none", new=False)
    assert failed.status.inference_component_status is ComponentStatus.FAILED
    assert failed.status.current_copy_count == 1
    assert hosted(shared, "shared") == {"one": shared.archives.holds[f"{FOLDER}m0"]}
    shared.clock.turn(60)
    shared.run()
    assert hosted(shared, "shared") == {"one": shared.archives.holds[f"{FOLDER}m0"]}


def wish_for(house: House, name: str, change: ComponentChange | None = None, **spec):
    """Wish for a component as programs do, or for a change of one; return what became of it."""
    wishes = InferenceComponents(house.records, house.wake.set)
    if change is None:
        wishes.create(ComponentSpec(name, "shared", "A", **spec), principal=ME)
    else:
        wishes.update(name, change, principal=ME)
    house.run()
    return component(house, name)


def test_a_component_goes_on_with_its_model_though_another_one_takes_the_name(shared: House) -> None:
    churn = ModelSpec("churn", ContainerDefinition(model_data_url=f"{FOLDER}m0"))
    shared.endpoints.create_model(churn, principal=ME)
    assert wish_for(shared, "one", model_name="churn").status.failure_reason is None
    before = hosted(shared, "shared")
    shared.endpoints.delete_model("churn", in_use=True, principal=ME)
    shared.clock.turn(5)
    other = ContainerDefinition(model_data_url=f"{FOLDER}m1")
    shared.endpoints.create_model(replace(churn, primary_container=other), principal=ME)
    for _ in range(3):
        shared.run()
        shared.clock.turn(2)
    assert hosted(shared, "shared") == before
    wish_for(shared, "one", ComponentChange(model_name="churn"))
    assert hosted(shared, "shared") == {"one": shared.archives.holds[f"{FOLDER}m1"]}


def test_a_component_whose_model_was_deleted_and_lost_says_so(shared: House) -> None:
    shared.endpoints.create_model(
        ModelSpec("churn", ContainerDefinition(model_data_url=f"{FOLDER}m0")), principal=ME
    )
    wish_for(shared, "one", model_name="churn")
    shared.endpoints.delete_model("churn", in_use=True, principal=ME)
    shared.run()
    assert component(shared, "one").status.failure_reason is None, "it serves on"
    shared.workers.restart_without(0, shared.archives.holds[f"{FOLDER}m0"])
    shared.run()
    assert "does not exist any more" in str(component(shared, "one").status.failure_reason)


def test_a_component_that_loads_nowhere_any_more_is_not_tried_for_ever(shared: House) -> None:
    wish(shared, "one", f"{FOLDER}m0")
    lost = shared.archives.holds[f"{FOLDER}m0"]
    shared.engine.harmful[lost] = "it hurts"
    shared.workers.restart_without(0, lost)
    tried = len(shared.engine.tried)
    for _ in range(10):
        shared.run()
        shared.clock.turn(1)
    assert component(shared, "one").status == ComponentState(ComponentStatus.FAILED, 0, "it hurts")
    assert len(shared.engine.tried) <= tried + 2


def test_a_component_that_kills_workers_again_and_again_is_given_up(shared: House) -> None:
    wish(shared, "one", f"{FOLDER}m0")
    back = 0
    for _ in range(10):
        shared.workers.restart_without(0, shared.archives.holds[f"{FOLDER}m0"])
        shared.run()
        shared.workers.views = [replace(view, failed={}) for view in shared.workers.views]
        shared.clock.turn(2)
        shared.run()
        back += bool(hosted(shared, "shared"))
    assert back < 3
    assert "3 times" in str(component(shared, "one").status.failure_reason)


def test_an_archive_that_was_uploaded_anew_serves_once_it_is_named_again(shared: House) -> None:
    wish(shared, "one", f"{FOLDER}m0")
    shared.archives.holds[f"{FOLDER}m0"] = shared.store_model(99)
    again = ContainerDefinition(model_data_url=f"{FOLDER}m0")
    wish_for(shared, "one", ComponentChange(container=again))
    assert hosted(shared, "shared")["one"] == shared.archives.holds[f"{FOLDER}m0"]
    assert not shared.archives.found(), "what stands in notes is not kept in memory, too"


def test_a_component_has_no_more_copies_than_a_machine_runs(shared: House) -> None:
    many = wish(shared, "many", CODE_URL, copies=1_000)
    assert "1000 copies" in str(many.status.failure_reason)
    assert shared.replicas.wanted == {}


def test_a_component_whose_variant_went_with_the_update_says_so(shared: House) -> None:
    two = EndpointConfigSpec("two", (ProductionVariant("A"), ProductionVariant("B")))
    shared.endpoints.create_config(two, principal=ME)
    canary = {"Type": "CANARY", "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10}}
    slowly = {"TrafficRoutingConfiguration": canary | {"WaitIntervalInSeconds": 300}}
    shared.endpoints.update(
        "shared", "two", deployment_config={"BlueGreenUpdatePolicy": slowly}, principal=ME
    )
    shared.run()
    shared.replicas.slow = True
    wishes = InferenceComponents(shared.records, shared.wake.set)
    container = ContainerDefinition(model_data_url=CODE_URL)
    wishes.create(ComponentSpec("b", "shared", "B", container=container), principal=ME)
    shared.run()
    with shared.records.transaction() as tx:
        tx.put(turn_back(tx.get(Kind.ENDPOINT, "shared"), "shared", "the alarm", tx.now).endpoint)
    shared.run()
    shared.clock.turn(60)
    shared.run()
    assert shared.endpoints.describe("shared").status.endpoint_config_name == "shared"
    assert "serves no variant 'B'" in str(component(shared, "b").status.failure_reason)


def test_a_damaged_record_takes_nothing_out_of_service(shared: House) -> None:
    wish(shared, "one", f"{FOLDER}m0")
    before = hosted(shared, "shared")
    with closing(sqlite3.connect(shared.layout.database)) as database, database:
        changed = database.execute(
            "update resources set spec = '{broken', digest = '00' where kind = 'InferenceComponent'"
        )
        assert changed.rowcount == 1
    shared.run()
    assert hosted(shared, "shared") == before


# ── Beside wishes ───────────────────────────────────────────────────────────────────────────────


def pass_time(house: House, seconds: int, *names: str, endpoint: str = "many") -> None:
    """Let seconds pass in which workers speak of requests that wait."""
    for _ in range(seconds):
        house.clock.turn(1)
        for name in names:
            house.workers.ask(endpoint, name)
        for _ in range(3):
            house.endpoint_reconciler.step()


def test_a_model_that_hangs_in_a_worker_fails_nobody_else(many: House) -> None:
    good = many.register("good", 50)
    many.workers.slow.add(many.archives.holds[f"{FOLDER}m2"])
    pass_time(many, 2, "m2")
    many.endpoints.deploy("innocent", parse_version(good), principal=ME)
    pass_time(many, 3, "m2")
    assert many.endpoints.describe("innocent").status.endpoint_status is EndpointStatus.IN_SERVICE
    pass_time(many, 130, "m2")
    assert many.endpoints.describe("many").status.endpoint_status is EndpointStatus.IN_SERVICE
    refused = len(many.workers.refused)
    assert many.workers.refused[0][0] == "m2"
    pass_time(many, 4, "m1")
    assert hosted(many).keys() == {"m1"}
    assert len(many.workers.refused) == refused


def test_what_is_asked_for_comes_while_an_update_takes_its_time(many: House) -> None:
    many.archives.codes.add("s3://models/slow.tar.gz")
    serve_later(many, "slow", "s3://models/slow.tar.gz")
    many.endpoints.update("many", "slow", principal=ME)
    pass_time(many, 5, "m2")
    assert many.endpoints.describe("many").status.endpoint_status is EndpointStatus.UPDATING
    assert hosted(many).keys() == {"m2"}


def test_a_sleeping_endpoint_wakes_while_an_update_takes_its_time(dozing: House) -> None:
    dozing.clock.turn(301)
    dozing.run()
    assert hosted(dozing, "dozes") == {}
    dozing.archives.codes.add("s3://models/slow.tar.gz")
    serve_later(dozing, "slow", "s3://models/slow.tar.gz", serverless_config=Serverless(2))
    dozing.endpoints.update("dozes", "slow", principal=ME)
    pass_time(dozing, 5, "", endpoint="dozes")
    assert dozing.endpoints.describe("dozes").status.endpoint_status is EndpointStatus.UPDATING
    assert hosted(dozing, "dozes") == {"": "code"}


def serve_later(house: House, name: str, url: str, **variant) -> None:
    """Make a config whose Model never gets ready."""
    house.endpoints.create_model(ModelSpec(name, ContainerDefinition(model_data_url=url)), principal=ME)
    item = ProductionVariant("A", name, **variant)
    house.endpoints.create_config(EndpointConfigSpec(name, (item,)), principal=ME)
    house.replicas.never.add(name)


def test_a_wish_comes_true_however_many_models_come_meanwhile(many: House) -> None:
    for number in range(40):
        many.archives.holds[f"{FOLDER}x{number}"] = many.store_model(number)
    many.endpoints.set_weights("many", {"A": 2.0}, principal=ME)
    for number in range(40):
        many.workers.ask("many", f"x{number}")
        many.endpoint_reconciler.step()
    assert many.endpoints.describe("many").settled


def test_a_serverless_endpoint_that_could_not_wake_does_not_sleep(dozing: House) -> None:
    dozing.endpoints.delete_model("dozes", in_use=True, principal=ME)
    dozing.clock.turn(301)
    dozing.run()
    assert hosted(dozing, "dozes") == {"": "code"}
