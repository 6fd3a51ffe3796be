"""Models, configs and endpoints by name, as AWS programs make them; and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from fakes.house import ME, House, model_of
from modelport.control.services.wishes import MADE_BY
from modelport.domain.endpoint import (
    AsyncInference,
    AsyncOutput,
    DataCaptureConfig,
    EndpointConfigSpec,
    EndpointSpec,
    EndpointStatus,
    ProductionVariant,
)
from modelport.domain.errors import Conflict, Corrupted, InvalidInput, NotFound, Refused
from modelport.domain.names import parse_version
from modelport.domain.registry import ApprovalStatus
from modelport.domain.resource import Kind
from modelport.stores.records import leases

CONFIG = EndpointConfigSpec(
    "half",
    (
        ProductionVariant("a", "one", initial_instance_count=2),
        ProductionVariant("b", "two", instance_type="ml.m5.large"),
    ),
    data_capture_config=DataCaptureConfig(10.0),
)


@pytest.fixture
def house(tmp_path: Path):
    with House(tmp_path / "home") as built:
        for number, name in enumerate(("one", "two", "three"), start=1):
            built.register("flights", number)
            built.endpoints.create_model(model_of(name, f"flights:{number}"), principal=ME)
        yield built


@pytest.fixture
def serving(house: House) -> House:
    house.endpoints.create_config(CONFIG, principal=ME)
    house.endpoints.create(EndpointSpec("air", "half"), principal=ME)
    house.run()
    return house


def test_endpoint_is_made_of_parts(serving: House) -> None:
    endpoint = serving.endpoints.describe("air")
    assert endpoint.status.endpoint_status is EndpointStatus.IN_SERVICE
    assert [
        (item.variant_name, item.current_instance_count) for item in endpoint.status.production_variants
    ] == [("a", 2), ("b", 1)]
    assert serving.routed("air") == {"a": 1.0, "b": 1.0}
    serving.endpoints.create_config(replace(CONFIG, endpoint_config_name="other"), principal=ME)
    serving.endpoints.set_weights("air", {"a": 9.0}, principal=ME)
    serving.run()
    serving.endpoints.update("air", "other", principal=ME)
    serving.run()
    assert serving.routed("air") == {"a": 1.0, "b": 1.0}, "weights set by hand are forgotten"
    assert serving.endpoints.describe("air").modelport.previous_weights == {"a": 9.0, "b": 1.0}


def test_lists_come_in_pages(serving: House) -> None:
    services = serving.endpoints
    first = services.models(limit=2)
    assert [item.name for item in first.items] == ["one", "three"]
    assert [item.name for item in services.models(after=first.next).items] == ["two"]
    assert [item.name for item in services.configs().items] == ["half"]
    assert [item.name for item in services.list().items] == ["air"]
    events = serving.events.list(limit=3)
    rest = serving.events.list(after=events.next)
    assert [item.sequence for item in (*events.items, *rest.items)] == list(range(1, 4 + len(rest.items)))
    with pytest.raises(InvalidInput, match="no kind 'Cat'"):
        serving.events.list(kind="Cat")
    with pytest.raises(InvalidInput, match="not a number"):
        serving.events.list(after="x")


def test_what_is_used_is_not_deleted(serving: House) -> None:
    services = serving.endpoints
    with pytest.raises(Conflict, match="used by endpoint 'air'"):
        services.delete_model("one", principal=ME)
    with pytest.raises(Conflict, match="used by endpoint 'air'"):
        services.delete_config("half", principal=ME)
    services.delete_model("three", principal=ME)
    services.delete("air", principal=ME)
    serving.run()
    services.delete_config("half", principal=ME)
    services.delete_model("one", principal=ME)
    for look in (lambda: services.config("half"), lambda: services.model("one")):
        with pytest.raises(NotFound):
            look()


def test_config_is_checked_as_a_whole(house: House) -> None:
    bad = replace(CONFIG, production_variants=(ProductionVariant("my_variant", "one"),))
    with pytest.raises(InvalidInput, match="variant name 'my_variant'"):
        house.endpoints.create_config(bad, principal=ME)
    with pytest.raises(NotFound, match="no model 'absent'"):
        house.endpoints.create_config(
            replace(CONFIG, production_variants=(ProductionVariant("a", "absent"),)), principal=ME
        )
    house.endpoints.create_config(CONFIG, principal=ME)
    with pytest.raises(Conflict, match="exists already"):
        house.endpoints.create_config(CONFIG, principal=ME)


def test_taken_and_absent_names(serving: House) -> None:
    services = serving.endpoints
    with pytest.raises(Conflict, match="endpoint 'air' exists already"):
        services.create(EndpointSpec("air", "half"), principal=ME)
    with pytest.raises(NotFound, match="'none'"):
        services.create(EndpointSpec("sea", "none"), principal=ME)
    with pytest.raises(InvalidInput, match="'my_air'"):
        services.create(EndpointSpec("my_air", "half"), principal=ME)
    with pytest.raises(Conflict, match="model 'one' exists"):
        services.create_model(model_of("one", "flights:1"), principal=ME)
    with pytest.raises(NotFound):
        services.update("none", "half", principal=ME)


def test_new_wish_may_not_bring_in_a_version_that_was_rejected(serving: House) -> None:
    serving.registry.set_approval(parse_version("flights:2"), ApprovalStatus.REJECTED, principal=ME)
    with pytest.raises(Refused, match="flights:2 is Rejected"):
        serving.endpoints.create(EndpointSpec("sea", "half"), principal=ME)
    same = replace(CONFIG, endpoint_config_name="same")
    serving.endpoints.create_config(same, principal=ME)
    serving.endpoints.update("air", "same", principal=ME)
    serving.run()
    with pytest.raises(Refused, match="flights:2 is Rejected"):
        serving.endpoints.promote("air", "b", principal=ME)
    serving.endpoints.set_weights("air", {"b": 0.0}, principal=ME)
    serving.run()
    serving.endpoints.promote("air", "a", principal=ME)
    serving.run()
    assert serving.routed("air") == {"a": 1.0}
    with pytest.raises(Refused, match="flights:2 is Rejected"):
        serving.endpoints.rollback("air", principal=ME)


def test_model_of_a_deleted_version_serves_nothing_new(house: House) -> None:
    house.endpoints.create_config(CONFIG, principal=ME)
    with house.records.transaction() as tx:
        tx.remove(Kind.MODEL_PACKAGE, "flights:1")
    with pytest.raises(NotFound, match="flights:1, which was deleted"):
        house.endpoints.create(EndpointSpec("air", "half"), principal=ME)


def test_rollback_needs_something_before(serving: House) -> None:
    with pytest.raises(Conflict, match="served nothing before"):
        serving.endpoints.rollback("air", principal=ME)
    with pytest.raises(NotFound):
        serving.endpoints.rollback("none", principal=ME)


def test_promoting_the_only_variant_changes_nothing(house: House) -> None:
    house.deploy("air", "flights:1")
    before = house.endpoints.describe("air")
    assert house.endpoints.promote("air", "v1", principal=ME) == before


def test_deploy_makes_what_an_aws_program_would_see(house: House) -> None:
    endpoint = house.deploy("air", "flights:1")
    config = house.endpoints.config(endpoint.spec.endpoint_config_name)
    assert config.spec.tags == (MADE_BY,)
    assert config.spec.production_variants[0].model_name == "flights-1"
    assert house.endpoints.model("flights-1").spec.primary_container.model_package_name == "flights:1"


def test_deploy_uses_a_model_of_its_name_only_when_it_points_there(house: House) -> None:
    house.endpoints.create_model(model_of("flights-3", "flights:1"), principal=ME)
    with pytest.raises(Conflict, match="points at flights:1, not at flights:3"):
        house.endpoints.deploy("air", parse_version("flights:3"), principal=ME)


def test_longest_names_still_fit(house: House) -> None:
    group, endpoint = "g" * 63, "e" * 63
    house.register(group, 1)
    house.deploy(endpoint, f"{group}:1")
    described = house.deploy(endpoint, "flights:1", traffic_percent=50.0)
    assert described.status.endpoint_status is EndpointStatus.IN_SERVICE
    assert len(described.spec.endpoint_config_name) == 63
    assert set(house.routed(endpoint)) == {"v1", "flights-v1"}


def test_same_version_of_two_groups_can_share_an_endpoint(house: House) -> None:
    house.register("boats", 7)
    house.deploy("air", "flights:1")
    house.deploy("air", "boats:1", traffic_percent=20.0)
    assert house.routed("air") == pytest.approx({"v1": 80.0, "boats-v1": 20.0})


def test_damaged_record_is_said_and_its_endpoint_goes_on_serving(serving: House) -> None:
    serving.deploy("sea", "flights:3")
    with serving.records.transaction() as tx:
        tx.connection.execute(text("UPDATE resources SET generation = 9 WHERE name = 'air'"))
    serving.deploy("sea", "flights:2")
    assert serving.routed("air") == {"a": 1.0, "b": 1.0}
    assert serving.routed("sea") == {"v2": 1.0}
    with pytest.raises(Corrupted):
        serving.endpoints.describe("air")


def test_endpoint_that_another_process_leases_is_left_alone(house: House) -> None:
    house.endpoints.deploy("air", parse_version("flights:1"), principal=ME)
    with house.records.transaction() as tx:
        assert leases.acquire(tx, Kind.ENDPOINT, "air", owner="another") is not None
    house.run()
    assert house.files.active().revision == 0
    house.clock.turn(leases.DURATION_S)
    house.run()
    assert house.endpoints.describe("air").settled


def test_route_nobody_wished_for_is_taken_away(house: House) -> None:
    house.deploy("air", "flights:1")
    with house.records.transaction() as tx:  # as if the records were restored from an older backup
        tx.remove(Kind.ENDPOINT, "air")
    house.run()
    assert house.files.active().endpoints == ()


def test_a_failed_asynchronous_endpoint_stays_asynchronous_when_it_is_mended(house: House) -> None:
    answers = AsyncInference(AsyncOutput("s3://bucket/answers"))
    config = replace(
        CONFIG,
        production_variants=CONFIG.production_variants[:1],
        shadow_production_variants=(ProductionVariant("b", "two"),),
        async_inference_config=answers,
    )
    house.endpoints.create_config(config, principal=ME)
    house.engine.harmful[house.store_model(1)] = "it hurts"
    house.endpoints.create(EndpointSpec("air", "half"), principal=ME)
    assert house.settle("air").status.endpoint_status is EndpointStatus.FAILED
    mended = house.deploy("air", "flights:3")
    assert mended.status.endpoint_status is EndpointStatus.IN_SERVICE
    made = house.endpoints.config(mended.spec.endpoint_config_name).spec
    assert (made.async_inference_config, made.shadow_production_variants) == (answers, ())
    assert [item.model_name for item in made.production_variants] == ["flights-3"]
