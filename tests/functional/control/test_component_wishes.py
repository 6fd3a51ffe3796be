"""Inference components and the endpoints that hold them: what is taken, and what is refused."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from fakes import components
from fakes.house import ME, House, model_of
from modelport.control.retention import GRACE
from modelport.control.services.inference_components import InferenceComponents
from modelport.domain.endpoint import (
    AsyncInference,
    AsyncOutput,
    EndpointConfigSpec,
    EndpointSpec,
    ProductionVariant,
    Serverless,
)
from modelport.domain.errors import Conflict, InvalidInput, NotFound, Refused
from modelport.domain.inference_component import ComponentChange, ComponentSpec, ComponentStatus
from modelport.domain.names import parse_version
from modelport.domain.registry import ApprovalStatus, ContainerDefinition, ModelSpec, Step
from modelport.domain.resource import Kind
from modelport.wire.manifest import decode_manifest

CONTAINER = ContainerDefinition(image="sklearn", model_data_url="s3://models/a.tar.gz")
HOLDING = ProductionVariant("A")


@pytest.fixture
def house(tmp_path: Path):
    with House(tmp_path / "home") as built:
        built.register("flights", 1)
        built.register("flights", 2)
        built.endpoints.create_model(model_of("m", "flights:1"), principal=ME)
        config(built, "shared", HOLDING)
        config(built, "own", ProductionVariant("A", "m"))
        built.endpoints.create(EndpointSpec("air", "shared"), principal=ME)
        components.serve(built.records, "air")
        yield built


@pytest.fixture
def wishes(house: House) -> InferenceComponents:
    return InferenceComponents(house.records, lambda: None)


def config(house: House, name: str, *variants: ProductionVariant, **more) -> None:
    house.endpoints.create_config(EndpointConfigSpec(name, variants, **more), principal=ME)


def component(name: str = "c", **more) -> ComponentSpec:
    return ComponentSpec(name, "air", **{"variant_name": "A", "model_name": "m"} | more)


def test_a_component_is_made_changed_and_deleted_by_wishes(wishes: InferenceComponents, house: House) -> None:
    made = wishes.create(component(variant_name=""), principal=ME)
    assert (made.generation, made.observed_generation) == (1, 0)
    assert made.status.inference_component_status is ComponentStatus.CREATING
    assert made.spec.variant_name == "A", "its endpoint has no other"
    for status in (ComponentStatus.IN_SERVICE, ComponentStatus.FAILED):
        components.settle(house.records, "c", status, "why")
        before = wishes.describe("c")
        changed = wishes.update("c", ComponentChange(copy_count=3), principal=ME)
        assert changed.status.inference_component_status is ComponentStatus.UPDATING
        assert changed.status.failure_reason is None
        assert (changed.generation, changed.settled) == (before.generation + 1, False)
        assert (changed.spec.copy_count, changed.spec.model_name) == (3, "m")
    gone = wishes.delete("c", principal=ME)
    assert gone.status.inference_component_status is ComponentStatus.DELETING
    assert (gone.modelport.deleting, gone.generation) == (True, changed.generation + 1)
    assert wishes.delete("c", principal=ME) == gone, "it is Deleting already"
    told = [event.verb for event in house.events.list(kind=Kind.INFERENCE_COMPONENT.value).items]
    assert sorted(told) == ["create", "delete", "update", "update"]


def test_describe_waits_until_a_wish_is_settled(wishes: InferenceComponents, house: House) -> None:
    wishes.create(component(), principal=ME)
    settling = threading.Timer(0.05, components.settle, (house.records, "c"))
    settling.start()
    assert wishes.describe("c", wait_s=30).settled
    settling.join()


@pytest.mark.parametrize(
    ("wish", "error", "told"),
    [
        ({"inference_component_name": "no_name"}, InvalidInput, "is not allowed"),
        ({"endpoint_name": "none"}, NotFound, "no endpoint 'none'"),
        ({"variant_name": "B"}, NotFound, "no variant 'B'"),
        ({"model_name": "none"}, NotFound, "no model 'none'"),
        ({"model_name": None}, InvalidInput, "neither a model nor a container"),
        ({"container": CONTAINER}, InvalidInput, "both a model and a container"),
        ({"model_name": None, "container": ContainerDefinition()}, InvalidInput, "names nothing to serve"),
        ({"copy_count": -1}, InvalidInput, "-1 copies"),
        ({"model_name": "row"}, InvalidInput, "has 2 containers"),
        ({"model_name": "many"}, InvalidInput, "has Mode MultiModel"),
        ({"model_name": "rejected"}, Refused, "is Rejected"),
    ],
)
def test_what_cannot_be_a_component_is_refused(
    wishes: InferenceComponents, house: House, wish: dict, error: type[Exception], told: str
) -> None:
    row = ModelSpec("row", CONTAINER, (CONTAINER,))
    for spec in (
        row,
        ModelSpec("many", replace(CONTAINER, mode="MultiModel")),
        model_of("rejected", "flights:2"),
    ):
        house.endpoints.create_model(spec, principal=ME)
    house.registry.set_approval(parse_version("flights:2"), ApprovalStatus.REJECTED, principal=ME)
    with pytest.raises(error, match=told):
        wishes.create(replace(component(), **wish), principal=ME)
    assert not wishes.list().items


def test_a_component_needs_a_variant_that_holds_components(wishes: InferenceComponents, house: House) -> None:
    house.endpoints.create(EndpointSpec("own", "own"), principal=ME)
    with pytest.raises(InvalidInput, match="serves model 'm', so it holds no inference components"):
        wishes.create(replace(component(), endpoint_name="own"), principal=ME)
    config(house, "two", HOLDING, ProductionVariant("B"))
    house.endpoints.create(EndpointSpec("two", "two"), principal=ME)
    unnamed = replace(component(), endpoint_name="two", variant_name="")
    with pytest.raises(InvalidInput, match="2 variants") as caught:
        wishes.create(unnamed, principal=ME)
    assert caught.value.hint == "name one of: A, B"
    house.endpoints.delete("two", principal=ME)
    with pytest.raises(Conflict, match="being deleted"):
        wishes.create(replace(unnamed, variant_name="B"), principal=ME)
    house.endpoints.delete_config("shared", in_use=True, principal=ME)
    with pytest.raises(Conflict, match="config 'shared' of endpoint 'air' was deleted"):
        wishes.create(component(), principal=ME)


def test_a_name_is_taken_once(wishes: InferenceComponents) -> None:
    wishes.create(component(), principal=ME)
    with pytest.raises(Conflict, match="exists already"):
        wishes.create(component(), principal=ME)


@pytest.mark.parametrize(
    "status", [ComponentStatus.CREATING, ComponentStatus.UPDATING, ComponentStatus.DELETING]
)
def test_a_component_on_its_way_is_not_updated(
    wishes: InferenceComponents, house: House, status: ComponentStatus
) -> None:
    wishes.create(component(), principal=ME)
    components.settle(house.records, "c", status)
    with pytest.raises(Conflict, match=f"is {status.value}: an earlier change is under way"):
        wishes.update("c", ComponentChange(copy_count=2), principal=ME)


def test_an_update_keeps_what_it_does_not_name(wishes: InferenceComponents, house: House) -> None:
    wishes.create(component(startup_timeout_s=90, copy_count=2), principal=ME)
    components.settle(house.records, "c")
    with pytest.raises(InvalidInput, match="nothing is to change"):
        wishes.update("c", ComponentChange(), principal=ME)
    with pytest.raises(InvalidInput, match="both a model and a container"):
        wishes.update("c", ComponentChange(model_name="m", container=CONTAINER), principal=ME)
    spec = wishes.update("c", ComponentChange(container=CONTAINER), principal=ME).spec
    assert (spec.model_name, spec.container, spec.startup_timeout_s, spec.copy_count) == (
        None,
        CONTAINER,
        90,
        2,
    )


def test_copies_change_though_the_model_is_gone(wishes: InferenceComponents, house: House) -> None:
    wishes.create(component(), principal=ME)
    components.settle(house.records, "c")
    house.endpoints.delete_model("m", in_use=True, principal=ME)
    assert wishes.update("c", ComponentChange(copy_count=2), principal=ME).spec.copy_count == 2
    components.settle(house.records, "c")
    with pytest.raises(NotFound, match="no model 'none'"):
        wishes.update("c", ComponentChange(model_name="none"), principal=ME)


def test_what_a_container_held_is_forgotten_with_it(wishes: InferenceComponents, house: House) -> None:
    wishes.create(component(model_name=None, container=CONTAINER), principal=ME)
    components.settle(house.records, "c")
    with house.records.transaction() as tx:
        found = tx.get(Kind.INFERENCE_COMPONENT, "c")
        tx.put(replace(found, modelport=replace(found.modelport, step=Step("d" * 64))))
    assert wishes.update("c", ComponentChange(copy_count=2), principal=ME).modelport.step == Step("d" * 64)
    components.settle(house.records, "c")
    again = wishes.update("c", ComponentChange(container=CONTAINER), principal=ME)
    assert again.modelport.step is None, "the same URL may hold another archive by now"


def test_what_a_component_serves_is_not_swept(wishes: InferenceComponents, house: House) -> None:
    wishes.create(component(model_name=None, container=CONTAINER), principal=ME)
    digest = house.store_model(3)
    needed = {digest, *decode_manifest(house.artifacts.read(digest)).files.values()}
    with house.records.transaction() as tx:
        found = tx.get(Kind.INFERENCE_COMPONENT, "c")
        tx.put(replace(found, modelport=replace(found.modelport, step=Step(digest))))
    house.clock.time = house.clock.now().replace(year=2100) + GRACE  # later than any file of this test
    house.retention.sweep()
    assert needed <= set(house.artifacts.digests())


def test_a_model_of_a_component_is_not_deleted(wishes: InferenceComponents, house: House) -> None:
    wishes.create(component(), principal=ME)
    with pytest.raises(Conflict, match="used by inference component 'c'"):
        house.endpoints.delete_model("m", principal=ME)
    with pytest.raises(Conflict, match="used by inference component 'c'"):
        house.registry.delete_version(parse_version("flights:1"), principal=ME)


def test_an_endpoint_with_components_is_not_deleted(wishes: InferenceComponents, house: House) -> None:
    for name in ("c", "d"):
        wishes.create(component(name), principal=ME)
    with pytest.raises(Conflict, match="has inference components: c, d") as caught:
        house.endpoints.delete("air", principal=ME)
    assert str(caught.value.hint).endswith("--inference-component-name c")
    for name in ("c", "d"):
        wishes.delete(name, principal=ME)
    with pytest.raises(Conflict) as caught:
        house.endpoints.delete("air", principal=ME)
    assert caught.value.hint == "they are being deleted: wait until they are gone"
    for name in ("c", "d"):
        components.remove(house.records, name)
    assert house.endpoints.delete("air", principal=ME).modelport.deleting


def test_an_endpoint_keeps_the_variants_of_its_components(wishes: InferenceComponents, house: House) -> None:
    config(house, "renamed", ProductionVariant("B"))
    config(house, "two", HOLDING, ProductionVariant("B"))
    house.endpoints.update("air", "own", principal=ME)
    components.serve(house.records, "air")
    house.endpoints.update("air", "two", principal=ME)
    components.serve(house.records, "air")
    wishes.create(component(), principal=ME)
    for other in ("own", "renamed"):
        with pytest.raises(
            Conflict, match=f"'c', and config '{other}' has no variant of that name"
        ) as caught:
            house.endpoints.update("air", other, principal=ME)
        assert str(caught.value.hint).endswith("--inference-component-name c")
    with pytest.raises(Conflict, match="'c', and config 'own'"):
        house.endpoints.rollback("air", principal=ME)
    with pytest.raises(Conflict, match="holds inference component 'c'"):
        house.endpoints.promote("air", "B", principal=ME)
    assert house.endpoints.update("air", "shared", principal=ME).spec.endpoint_config_name == "shared"


def test_no_version_is_deployed_among_components(house: House) -> None:
    for how in ({}, {"traffic_percent": 10.0}, {"shadow": True}):
        with pytest.raises(Conflict, match="endpoint 'air' serves inference components") as caught:
            house.endpoints.deploy("air", parse_version("flights:1"), principal=ME, **how)
        assert "create-inference-component" in str(caught.value.hint)


def test_traffic_moves_step_by_step_between_configs_of_components(house: House) -> None:
    config(house, "two", HOLDING, ProductionVariant("B"))
    shift = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
        }
    }
    wished = house.endpoints.update("air", "two", deployment_config=shift, principal=ME)
    assert wished.spec.endpoint_config_name == "two"


@pytest.mark.parametrize(
    ("variants", "more", "told"),
    [
        ((HOLDING, ProductionVariant("B", "m")), {}, "variant 'A' has no model and others have one"),
        (
            (ProductionVariant("B", "m"),),
            {"shadow_production_variants": (HOLDING,)},
            "shadow variant 'A' has no model",
        ),
        (
            (HOLDING,),
            {"shadow_production_variants": (ProductionVariant("S", "m"),)},
            "and the config has shadow variants",
        ),
        ((replace(HOLDING, serverless_config=Serverless(1)),), {}, "and the config has a serverless config"),
        (
            (HOLDING,),
            {"async_inference_config": AsyncInference(AsyncOutput("s3://b/out"))},
            "and the config has an asynchronous inference config",
        ),
    ],
)
def test_configs_that_could_hold_no_components_are_refused(
    house: House, variants: tuple, more: dict, told: str
) -> None:
    with pytest.raises(InvalidInput, match=told):
        config(house, "bad", *variants, **more)
    with pytest.raises(NotFound):
        house.endpoints.config("bad")


def test_captures_of_components_are_turned_on_by_a_config(house: House) -> None:
    with pytest.raises(Conflict, match="captures nothing") as caught:
        house.jobs.create_monitor("air", principal=ME)
    assert "DataCaptureConfig" in str(caught.value.hint)
