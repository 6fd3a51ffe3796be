"""Models that variants host: they come when workers ask, leave when others are asked, and harm nobody."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.house import ME, House
from modelport.control.hosting import COMING_MAX
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
    ComponentNotes,
    ComponentSpec,
    ComponentState,
    ComponentStatus,
)
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
        ({"shadow_production_variants": (ProductionVariant("B", "many"),)}, "is a shadow"),
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
    with shared.records.reading() as tx:
        one = tx.get(Kind.INFERENCE_COMPONENT, "one")
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
