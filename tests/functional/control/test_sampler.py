"""What the data plane counted becomes metrics: nothing twice, nothing never, whoever dies in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.house import ME, House, model_of
from modelport.control.sampler import PERIOD_S, Sampler
from modelport.control.services.inference_components import InferenceComponents
from modelport.control.services.metrics import MetricStore
from modelport.domain.endpoint import EndpointConfigSpec, EndpointSpec, ProductionVariant
from modelport.domain.inference_component import ComponentSpec
from modelport.domain.metrics import SeriesKey
from modelport.telemetry import metrics
from modelport.telemetry.slots import MetricSlot, read_totals, retire_dead

DAY = 86_400


@pytest.fixture
def house(tmp_path: Path):
    with House(tmp_path / "home") as built:
        built.layout.metrics.mkdir(parents=True)
        yield built


def sampler(house: House) -> Sampler:
    return Sampler(house.records, house.layout.metrics, read_totals, house.clock)


def pass_on(house: House, of: Sampler) -> None:
    house.clock.turn(PERIOD_S)
    of.look()


def told(house: House, name: str, statistic: str = "Sum", variant: str = "a") -> float:
    return told_of(house, name, (("EndpointName", "air"), ("VariantName", variant)), statistic)


def told_of(house: House, name: str, of: tuple[tuple[str, str], ...], statistic: str = "Sum") -> float:
    key = SeriesKey("AWS/SageMaker", name, of)
    now = house.clock.now().timestamp()
    found = MetricStore(house.records).statistics(key, now - DAY, now + DAY, 2 * DAY)
    return sum(sample.statistic(statistic) for sample in found.values())


def count(slot: MetricSlot, code: str, number: int, variant: str = "a", version: str = "m:1") -> None:
    slot.series(metrics.REQUESTS, "air", variant, version, "invocations", code).add(number)
    slot.flush()


def test_requests_errors_and_latency_are_told_under_sagemakers_names(house: House) -> None:
    slot, of = MetricSlot(house.layout.metrics, "w"), sampler(house)
    count(slot, "200", 6)
    count(slot, "400", 3)
    count(slot, "503", 1)
    count(slot, "200", 5, variant="b")
    slot.series(metrics.INFERENCE_DURATION, "air", "a", "m:1").observe(0.002, times=4)
    slot.flush()
    pass_on(house, of)
    assert told(house, "Invocations") == 10
    assert told(house, "Invocations", variant="b") == 5
    assert told(house, "Invocation4XXErrors") == 3
    assert told(house, "Invocation4XXErrors", "Average") == pytest.approx(0.3)
    assert told(house, "Invocation5XXErrors") == 1
    assert told(house, "ModelLatency", "Average") == pytest.approx(2000)
    slot.close()


def test_a_component_has_metrics_of_its_own_and_counts_for_its_variant(house: House) -> None:
    house.register("m", 1)
    house.endpoints.create_model(model_of("m", "m:1"), principal=ME)
    house.endpoints.create_config(EndpointConfigSpec("c", (ProductionVariant("a"),)), principal=ME)
    house.endpoints.create(EndpointSpec("air", "c"), principal=ME)
    for name in ("one", "two"):
        spec = ComponentSpec(name, "air", "a", "m")
        InferenceComponents(house.records, lambda: None).create(spec, principal=ME)
    slot, of = MetricSlot(house.layout.metrics, "w"), sampler(house)
    count(slot, "200", 6, version="one")
    count(slot, "400", 2, version="one")
    count(slot, "500", 1, version="two")
    count(slot, "200", 5, version="neither")
    slot.series(metrics.INFERENCE_DURATION, "air", "a", "one").observe(0.002, times=4)
    slot.flush()
    pass_on(house, of)
    one, two, neither = ((("InferenceComponentName", name),) for name in ("one", "two", "neither"))
    assert told_of(house, "Invocations", one) == 8
    assert told_of(house, "Invocation4XXErrors", one) == 2
    assert told_of(house, "ModelLatency", one, "Average") == pytest.approx(2000)
    assert told_of(house, "Invocations", two) == told_of(house, "Invocation5XXErrors", two) == 1
    assert told_of(house, "Invocations", neither) == 0, "it is the version of a variant"
    assert told(house, "Invocations") == 14
    slot.close()


def test_a_control_process_that_comes_later_counts_on(house: House) -> None:
    slot = MetricSlot(house.layout.metrics, "w")
    count(slot, "200", 4)
    pass_on(house, sampler(house))
    count(slot, "200", 3)  # while nobody looked
    pass_on(house, sampler(house))
    pass_on(house, sampler(house))
    assert told(house, "Invocations") == 7
    slot.close()
    retire_dead(house.layout.metrics)
    again, of = MetricSlot(house.layout.metrics, "w"), sampler(house)
    count(again, "200", 2)
    pass_on(house, of)
    assert told(house, "Invocations") == 9
    again.close()


def test_counters_that_began_anew_are_counted_from_there(house: House) -> None:
    slot, of = MetricSlot(house.layout.metrics, "w"), sampler(house)
    count(slot, "200", 4)
    pass_on(house, of)
    slot.close()
    for file in house.layout.metrics.iterdir():
        file.unlink()
    fresh = MetricSlot(house.layout.metrics, "w")
    count(fresh, "200", 3)
    pass_on(house, of)
    assert told(house, "Invocations") == 7
    fresh.close()


def test_a_quiet_platform_writes_nothing(house: House) -> None:
    slot, of = MetricSlot(house.layout.metrics, "w"), sampler(house)
    count(slot, "200", 1)
    pass_on(house, of)
    before = house.records._edition
    pass_on(house, of)
    assert house.records._edition == before
    slot.close()


def test_old_samples_go(house: House) -> None:
    slot, of = MetricSlot(house.layout.metrics, "w"), sampler(house)
    count(slot, "200", 4)
    pass_on(house, of)
    house.clock.turn(16 * DAY)
    count(slot, "200", 1)
    pass_on(house, of)
    key = SeriesKey("AWS/SageMaker", "Invocations", (("EndpointName", "air"), ("VariantName", "a")))
    now = house.clock.now().timestamp()
    found = MetricStore(house.records).statistics(key, now - 30 * DAY, now + DAY, 31 * DAY)
    assert sum(sample.total for sample in found.values()) == 1
    slot.close()
