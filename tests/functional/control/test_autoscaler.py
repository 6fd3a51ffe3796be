"""Numbers of instances follow what the data plane counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.house import ME, House, model_of
from modelport.control.autoscaler import PERIOD_S, Autoscaler
from modelport.control.services.metrics import MetricStore
from modelport.control.services.scaling import Scaling
from modelport.domain.endpoint import EndpointConfigSpec, EndpointSpec, ProductionVariant
from modelport.domain.metrics import Sample, SeriesKey
from modelport.domain.resource import Kind
from modelport.domain.scaling import MetricDimension, ScalingPolicy, TrackedMetric

OF_AIR = (("EndpointName", "air"), ("VariantName", "A"))
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


def instances(house: House) -> int:
    """Return how many the endpoint has, once its wish came true."""
    house.run()
    (variant,) = house.endpoints.describe("air").status.production_variants
    return variant.current_instance_count


def test_instances_follow_requests_and_forget_an_endpoint_that_is_gone(house: House) -> None:
    scaling = Scaling(house.records)
    scaling.register("air", "A", least=1, most=5, principal=ME)
    metric = TrackedMetric(
        "AWS/SageMaker",
        "Invocations",
        "Sum",
        tuple(MetricDimension(name, value) for name, value in OF_AIR),
        per_instance=True,
    )
    scaling.put_policy("air", "A", ScalingPolicy("p", metric, 10.0, house.clock.now()), principal=ME)
    autoscaler = Autoscaler(house.records, house.endpoints, components(house), house.clock)
    for _ in range(3):
        at = house.clock.now().timestamp()
        MetricStore(house.records).put([(INVOCATIONS, at, Sample(38.0, 38.0, 1.0, 1.0))])
        house.clock.turn(60)
    assert autoscaler.step() == PERIOD_S
    assert instances(house) == 4, "38 requests a minute are 19 for each of two"
    house.clock.turn(PERIOD_S)
    autoscaler.step()
    assert instances(house) == 4
    house.clock.turn(20 * 60)
    autoscaler.step()
    assert instances(house) == 1, "nobody asked for a long time"
    (target,) = scaling.targets()
    assert [(one.before, one.after) for one in target.status.activities] == [(2, 4), (4, 1)]
    told = house.events.list(kind=Kind.SCALABLE_TARGET.value).items
    assert any("2 to 4 instances" in event.message for event in told)

    house.endpoints.delete("air", principal=ME)
    house.run()
    house.clock.turn(PERIOD_S)
    autoscaler.step()
    assert not scaling.targets()


def test_a_variant_outside_of_its_bounds_is_brought_back(house: House) -> None:
    Scaling(house.records).register("air", "A", least=3, most=5, principal=ME)
    Autoscaler(house.records, house.endpoints, components(house), house.clock).step()
    assert instances(house) == 3
