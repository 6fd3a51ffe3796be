"""Traffic moves to a new config step by step, is watched, and goes back when something is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakes.house import ME, House
from modelport.control.services.alarms import Alarms
from modelport.control.tallies import tally
from modelport.domain.alarm import AlarmSpec, AlarmState, Comparison
from modelport.domain.deployment import Tally
from modelport.domain.endpoint import EndpointConfigSpec, EndpointSpec, EndpointStatus, ProductionVariant
from modelport.domain.errors import Conflict, NotFound
from modelport.domain.registry import ContainerDefinition, ModelSpec
from modelport.telemetry import metrics

ALARM = "too many errors"
WATCHED_S = 60


def guarded(
    kind: str = "CANARY", percent: int = 10, *, alarm: str | None = None, **more: Any
) -> dict[str, Any]:
    name = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}[kind]
    routing = {"Type": kind, "WaitIntervalInSeconds": WATCHED_S}
    routing[name] = {"Type": "CAPACITY_PERCENT", "Value": percent}
    return {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, **more},
        **({"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]}} if alarm else {}),
    }


@pytest.fixture
def house(tmp_path: Path):
    with House(tmp_path / "home") as built:
        wish = AlarmSpec(ALARM, "n", "m", Comparison.GREATER, 1.0, 1, 60, "Sum")
        Alarms(built.records).put(wish, principal=ME)
        for number in (1, 2):
            version = built.register("flights", number)
            model = f"m{number}"
            built.endpoints.create_model(ModelSpec(model, ContainerDefinition(version)), principal=ME)
            variants = (
                ProductionVariant("a", model),
                ProductionVariant("b", model, initial_variant_weight=3.0),
            )
            built.endpoints.create_config(EndpointConfigSpec(f"c{number}", variants), principal=ME)
        built.endpoints.create(EndpointSpec("air", "c1"), principal=ME)
        built.run()
        yield built


def shares(house: House) -> dict[str, float]:
    """Return the share of each model version in the table that serves."""
    (route,) = house.files.active().endpoints
    found: dict[str, float] = {}
    total = sum(variant.weight for variant in route.variants)
    for variant in route.variants:
        found[variant.model_version] = found.get(variant.model_version, 0.0) + variant.weight / total
    return {version: round(share, 6) for version, share in found.items()}


def status(house: House) -> tuple[EndpointStatus, str | None]:
    found = house.endpoints.describe("air").status
    return found.endpoint_status, found.endpoint_config_name


def pass_time(house: House, seconds: float = WATCHED_S) -> None:
    house.clock.turn(seconds)
    house.run()


def test_a_canary_gets_its_share_is_watched_and_then_gets_all(house: House) -> None:
    house.endpoints.update("air", "c2", deployment_config=guarded(), principal=ME)
    house.run()
    assert shares(house) == {"flights:1": 0.9, "flights:2": 0.1}
    assert status(house) == (EndpointStatus.UPDATING, "c1")
    pass_time(house, WATCHED_S - 1)
    assert shares(house) == {"flights:1": 0.9, "flights:2": 0.1}
    pass_time(house, 1)
    assert shares(house) == {"flights:2": 1.0}
    assert status(house) == (EndpointStatus.UPDATING, "c1"), "it is watched once more"
    pass_time(house)
    assert status(house) == (EndpointStatus.IN_SERVICE, "c2")
    found = house.endpoints.describe("air")
    assert (found.modelport.stage, found.modelport.last_deployment_config) == (None, guarded())
    told = [event.message for event in house.events.list(name="air").items]
    assert any("10% of the traffic goes to config c2" in line for line in told)


def test_a_linear_update_takes_its_steps(house: House) -> None:
    house.endpoints.update("air", "c2", deployment_config=guarded("LINEAR", 25), principal=ME)
    house.run()
    seen = [shares(house).get("flights:2")]
    for _ in range(3):
        pass_time(house)
        seen.append(shares(house).get("flights:2"))
    assert seen == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("steps", [0, 1])
def test_an_alarm_takes_everything_back(house: House, steps: int) -> None:
    house.endpoints.update("air", "c2", deployment_config=guarded(alarm=ALARM), principal=ME)
    house.run()
    for _ in range(steps):
        pass_time(house)
    Alarms(house.records).set_state(ALARM, AlarmState.ALARM, "it fires", principal=ME)
    house.run()
    assert shares(house) == {"flights:1": 1.0}
    assert status(house) == (EndpointStatus.IN_SERVICE, "c1")
    found = house.endpoints.describe("air")
    assert found.status.failure_reason == f"the alarm {ALARM!r} is in ALARM"
    assert found.spec.endpoint_config_name == "c1"
    pass_time(house, 1_000)
    assert shares(house) == {"flights:1": 1.0}


def test_an_alarm_that_fires_already_lets_nothing_move(house: House) -> None:
    Alarms(house.records).set_state(ALARM, AlarmState.ALARM, "before", principal=ME)
    house.endpoints.update("air", "c2", deployment_config=guarded(alarm=ALARM), principal=ME)
    house.run()
    assert shares(house) == {"flights:1": 1.0}
    assert status(house) == (EndpointStatus.IN_SERVICE, "c1")


def test_an_alarm_nobody_named_stops_nothing(house: House) -> None:
    Alarms(house.records).set_state(ALARM, AlarmState.ALARM, "of another endpoint", principal=ME)
    house.endpoints.update("air", "c2", deployment_config=guarded(), principal=ME)
    house.run()
    pass_time(house)
    pass_time(house)
    assert status(house) == (EndpointStatus.IN_SERVICE, "c2")


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (
            Tally(100, 20, 80, 0.8),
            "20 of 100 requests of the new version failed (20%; 2% of the version before)",
        ),
        (
            Tally(100, 0, 100, 50.0),
            "the new version answers in 500 ms on average, the version before in 10 ms",
        ),
        (
            Tally(100, 0, 100, 1.0, 6),
            "6 of 100 answers of the new version have NaN (6%; 0% of the version before)",
        ),
    ],
)
def test_without_any_alarm_errors_and_slowness_take_everything_back(
    house: House, new: Tally, told: str
) -> None:
    house.tallies["air"] = {"flights:1": Tally(1_000, 20, 980, 9.8)}
    house.endpoints.update("air", "c2", deployment_config=guarded(), principal=ME)
    house.run()
    house.tallies["air"] = {"flights:1": Tally(1_900, 38, 1_862, 18.62), "flights:2": new}
    house.run()
    assert (shares(house), status(house)) == ({"flights:1": 1.0}, (EndpointStatus.IN_SERVICE, "c1"))
    assert house.endpoints.describe("air").status.failure_reason == told


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (Tally(2_000, 20, 1_980, 20.0), Tally(15, 15, 0, 0.0)),
        (Tally(2_000, 400, 1_600, 20.0), Tally(100, 22, 78, 1.0)),
        (Tally(2_000, 20, 1_980, 20.0), Tally(100, 3, 97, 4.0)),
        (Tally(2_000, 20, 1_980, 20.0), Tally()),
        (Tally(2_000, 20, 1_980, 20.0, 198), Tally(100, 0, 100, 1.0, 14)),
    ],
)
def test_a_little_of_either_speaks_against_nothing(house: House, old: Tally, new: Tally) -> None:
    house.tallies["air"] = {"flights:1": Tally(1_000, 20, 980, 9.8)}
    house.endpoints.update("air", "c2", deployment_config=guarded(), principal=ME)
    house.run()
    house.tallies["air"] = {"flights:1": old, "flights:2": new}
    pass_time(house)
    assert shares(house) == {"flights:2": 1.0}


def test_what_it_did_before_it_got_its_share_counts_for_nothing(house: House) -> None:
    house.tallies["air"] = {"flights:1": Tally(1_000, 0, 1_000, 10.0), "flights:2": Tally(500, 500, 0, 0.0)}
    house.endpoints.update("air", "c2", deployment_config=guarded(), principal=ME)
    house.run()
    house.tallies["air"]["flights:2"] = Tally(600, 500, 100, 1.0)
    pass_time(house)
    assert shares(house) == {"flights:2": 1.0}


def test_counts_are_told_apart_by_version_and_by_what_they_say() -> None:
    totals = {
        (metrics.REQUESTS, ("air", "a", "m:1", "invocations", "200")): [90],
        (metrics.REQUESTS, ("air", "b", "m:1", "invocations", "200")): [9],
        (metrics.REQUESTS, ("air", "a", "m:1", "invocations", "424")): [1],
        (metrics.REQUESTS, ("air", "a", "m:1", "invocations", "503")): [7],
        (metrics.REQUESTS, ("air", "a", "m:2", "invocations", "400")): [2],
        (metrics.REQUEST_DURATION, ("air", "a", "m:1")): [40, 50, 3_000_000_000],
        (metrics.RSS, ("0",)): [1],
    }
    assert tally(totals) == {"air": {"m:1": Tally(100, 1, 90, 3.0), "m:2": Tally(2, 2)}}


def test_an_update_that_takes_too_long_goes_back(house: House) -> None:
    wish = guarded("LINEAR", 10, MaximumExecutionTimeoutInSeconds=600)
    wish["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["WaitIntervalInSeconds"] = 100
    house.endpoints.update("air", "c2", deployment_config=wish, principal=ME)
    house.run()
    for _ in range(7):
        pass_time(house, 100)
    assert status(house) == (EndpointStatus.IN_SERVICE, "c1")
    assert "longer than 600 s" in str(house.endpoints.describe("air").status.failure_reason)


def test_a_model_that_does_not_load_is_found_before_anything_moves(house: House) -> None:
    house.engine.harmful[house.store_model(2)] = "it aborted"
    house.endpoints.update("air", "c2", deployment_config=guarded(), principal=ME)
    house.run()
    assert status(house) == (EndpointStatus.IN_SERVICE, "c1")
    assert "it aborted" in str(house.endpoints.describe("air").status.failure_reason)
    assert shares(house) == {"flights:1": 1.0}


def test_a_rollback_by_hand_ends_an_update_under_way(house: House) -> None:
    house.endpoints.update("air", "c2", deployment_config=guarded(), principal=ME)
    house.run()
    house.endpoints.rollback("air", principal=ME)
    house.run()
    assert (shares(house), status(house)) == ({"flights:1": 1.0}, (EndpointStatus.IN_SERVICE, "c1"))


def test_the_last_way_of_moving_can_be_taken_again(house: House) -> None:
    house.endpoints.update("air", "c2", deployment_config=guarded(), principal=ME)
    house.run()
    pass_time(house)
    pass_time(house)
    house.endpoints.update("air", "c1", retain_deployment=True, principal=ME)
    house.run()
    assert shares(house) == {"flights:2": 0.9, "flights:1": 0.1}


def test_an_alarm_that_is_not_there_is_refused(house: House) -> None:
    with pytest.raises(NotFound, match="there is no alarm 'none'"):
        house.endpoints.update("air", "c2", deployment_config=guarded(alarm="none"), principal=ME)
    assert status(house) == (EndpointStatus.IN_SERVICE, "c1")


def test_what_traffic_could_go_back_to_is_kept(house: House) -> None:
    house.endpoints.update("air", "c2", deployment_config=guarded(), principal=ME)
    house.run()
    for name in ("m1", "m2"):
        with pytest.raises(Conflict):
            house.endpoints.delete_model(name, in_use=True, principal=ME)
    pass_time(house)
    pass_time(house)
    house.endpoints.delete_config("c2", in_use=True, principal=ME)
    with pytest.raises(Conflict, match="could not go back"):
        house.endpoints.update("air", "c1", deployment_config=guarded(), principal=ME)
    house.endpoints.update("air", "c1", principal=ME)
    house.run()
    assert status(house) == (EndpointStatus.IN_SERVICE, "c1")


def test_it_goes_on_where_it_was_when_control_starts_anew(house: House, tmp_path: Path) -> None:
    house.endpoints.update("air", "c2", deployment_config=guarded(), principal=ME)
    house.run()
    house.records.close()
    with House(tmp_path / "home", workers=house.workers, clock=house.clock) as again:
        again.run()
        assert shares(again) == {"flights:1": 0.9, "flights:2": 0.1}
        pass_time(again)
        pass_time(again)
        assert status(again) == (EndpointStatus.IN_SERVICE, "c2")
