"""Numbers of instances follow what the data plane counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes import components
from fakes.house import ME, House, model_of
from modelport.control.autoscaler import PERIOD_S, Autoscaler
from modelport.control.services.inference_components import InferenceComponents
from modelport.control.services.metrics import MetricStore
from modelport.control.services.scaling import Scaling
from modelport.domain.endpoint import EndpointConfigSpec, EndpointSpec, ProductionVariant
from modelport.domain.errors import NotFound
from modelport.domain.inference_component import ComponentSpec, ComponentStatus
from modelport.domain.metrics import Sample, SeriesKey
from modelport.domain.planning.replicas import REPLICAS_MAX
from modelport.domain.resource import Kind
from modelport.domain.scaling import (
    ComponentCopies,
    MetricDimension,
    ScalingPolicy,
    TrackedMetric,
    VariantInstances,
)

OF_AIR = (("EndpointName", "air"), ("VariantName", "A"))
AIR = VariantInstances("air", "A")
INVOCATIONS = SeriesKey("AWS/SageMaker", "Invocations", OF_AIR)


@pytest.fixture
def house(tmp_path: Path):
    with House(tmp_path / "home") as built:
        version = built.register("flights", 1)
        built.endpoints.create_model(model_of("m", version), principal=ME)
        variant = ProductionVariant("A", "m", initial_instance_count=2)
        built.endpoints.create_config(EndpointConfigSpec("c", (variant,)), principal=ME)
        built.endpoints.create(EndpointSpec("air", "c"), principal=ME)
        built.run()
        yield built


def autoscaler_of(house: House) -> Autoscaler:
    wishes = InferenceComponents(house.records, lambda: None)
    return Autoscaler(house.records, house.endpoints, wishes, house.clock)


def instances(house: House) -> int:
    """Return how many the endpoint has, once its wish came true."""
    house.run()
    (variant,) = house.endpoints.describe("air").status.production_variants
    return variant.current_instance_count


def test_instances_follow_requests_and_forget_an_endpoint_that_is_gone(house: House) -> None:
    scaling = Scaling(house.records)
    scaling.register(AIR, least=1, most=5, principal=ME)
    metric = TrackedMetric(
        "AWS/SageMaker",
        "Invocations",
        "Sum",
        tuple(MetricDimension(name, value) for name, value in OF_AIR),
        per_instance=True,
    )
    scaling.put_policy(AIR, ScalingPolicy("p", metric, 10.0, house.clock.now()), principal=ME)
    autoscaler = autoscaler_of(house)
    for _ in range(3):
        at = house.clock.now().timestamp()
        MetricStore(house.records).put([(INVOCATIONS, at, Sample(38.0, 38.0, 1.0, 1.0))])
        house.clock.turn(60)
    autoscaler.look()
    assert instances(house) == 4, "38 requests a minute are 19 for each of two"
    house.clock.turn(PERIOD_S)
    autoscaler.look()
    assert instances(house) == 4
    house.clock.turn(20 * 60)
    autoscaler.look()
    assert instances(house) == 1, "nobody asked for a long time"
    (target,) = scaling.targets()
    assert [(one.before, one.after) for one in target.status.activities] == [(2, 4), (4, 1)]
    told = house.events.list(kind=Kind.SCALABLE_TARGET.value).items
    assert any("2 to 4 instances" in event.message for event in told)

    house.endpoints.delete("air", principal=ME)
    house.run()
    house.clock.turn(PERIOD_S)
    autoscaler.look()
    assert not scaling.targets()


def test_a_variant_outside_of_its_bounds_is_brought_back(house: House) -> None:
    Scaling(house.records).register(AIR, least=3, most=5, principal=ME)
    autoscaler_of(house).look()
    assert instances(house) == 3


def test_copies_of_a_component_follow_its_requests(house: House) -> None:
    wishes, scaling, copies = component(house), Scaling(house.records), ComponentCopies("c")
    scaling.register(copies, least=0, most=100, principal=ME)
    dimensions = (("InferenceComponentName", "c"),)
    metric = TrackedMetric(
        "AWS/SageMaker",
        "Invocations",
        "Sum",
        tuple(MetricDimension(name, value) for name, value in dimensions),
        per_instance=True,
    )
    scaling.put_policy(copies, ScalingPolicy("p", metric, 10.0, house.clock.now()), principal=ME)
    autoscaler, key = autoscaler_of(house), SeriesKey("AWS/SageMaker", "Invocations", dimensions)

    def ask(number: float) -> None:
        for _ in range(3):
            at = house.clock.now().timestamp()
            MetricStore(house.records).put([(key, at, Sample(number, number, 1.0, 1.0))])
            house.clock.turn(60)
        autoscaler.look()

    ask(38)
    wished = wishes.describe("c")
    assert wished.spec.copy_count == 4, "38 requests a minute are 19 for each of two"
    assert wished.status.inference_component_status is ComponentStatus.UPDATING
    ask(1000)
    assert wishes.describe("c").spec.copy_count == 4, "nothing is decided while copies start"
    components.settle(house.records, "c")
    house.clock.turn(10 * 60)
    ask(10_000)
    assert wishes.describe("c").spec.copy_count == REPLICAS_MAX, "as many as one machine runs"
    components.settle(house.records, "c")
    house.clock.turn(20 * 60)
    autoscaler.look()
    assert wishes.describe("c").spec.copy_count == 1, "never none: nothing would start one again"
    (target,) = scaling.targets()
    assert [(one.before, one.after, one.problem) for one in target.status.activities] == [
        (2, 4, None),
        (4, REPLICAS_MAX, None),
        (REPLICAS_MAX, 1, None),
    ]
    told = house.events.list(kind=Kind.SCALABLE_TARGET.value).items
    assert any("2 to 4 copies" in event.message for event in told)

    wishes.delete("c", principal=ME)
    components.remove(house.records, "c")
    house.clock.turn(PERIOD_S)
    autoscaler.look()
    assert not scaling.targets()


@pytest.mark.parametrize("status", [ComponentStatus.FAILED, ComponentStatus.DELETING])
def test_a_component_that_does_not_serve_is_not_scaled(house: House, status: ComponentStatus) -> None:
    wishes = component(house)
    Scaling(house.records).register(ComponentCopies("c"), least=5, most=9, principal=ME)
    components.settle(house.records, "c", status)
    autoscaler_of(house).look()
    assert wishes.describe("c").spec.copy_count == 2


def test_a_component_that_is_not_there_is_no_target(house: House) -> None:
    with pytest.raises(NotFound, match="no inference component 'none'"):
        Scaling(house.records).register(ComponentCopies("none"), least=1, most=2, principal=ME)


def component(house: House) -> InferenceComponents:
    """Let an endpoint have a component `c` of two copies; return the service."""
    house.endpoints.create_config(EndpointConfigSpec("shared", (ProductionVariant("A"),)), principal=ME)
    house.endpoints.create(EndpointSpec("shared", "shared"), principal=ME)
    wishes = InferenceComponents(house.records, lambda: None)
    wishes.create(ComponentSpec("c", "shared", "A", "m", copy_count=2), principal=ME)
    components.settle(house.records, "c")
    return wishes
