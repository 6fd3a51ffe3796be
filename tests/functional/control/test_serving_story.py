"""Versions come, share traffic, go back and go: the control plane with fakes for every other process."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.house import ME, House
from modelport.domain.endpoint import EndpointStatus
from modelport.domain.errors import Conflict, InvalidInput, NotFound, Refused
from modelport.domain.names import parse_version
from modelport.domain.registry import ApprovalStatus


@pytest.fixture
def house(tmp_path: Path):
    with House(tmp_path / "home") as built:
        yield built


def _serves(endpoint) -> bool:
    return (
        endpoint.settled
        and endpoint.status.endpoint_status is EndpointStatus.IN_SERVICE
        and endpoint.status.failure_reason is None
    )


def test_first_deploy_serves_all_traffic(house: House) -> None:
    house.register("flights", 1)
    wished = house.endpoints.deploy("air", parse_version("flights:1"), principal=ME)
    assert wished.status.endpoint_status is EndpointStatus.CREATING
    assert not wished.settled
    endpoint = house.settle("air")
    assert _serves(endpoint)
    assert house.routed("air") == {"v1": 1.0}
    assert {view.active_revision for view in house.workers.views} == {house.files.active().revision}
    assert endpoint.modelport.revision == house.files.active().revision
    assert house.endpoints.model("flights-1").modelport.model_version == "flights:1"
    assert house.endpoints.config(endpoint.spec.endpoint_config_name).spec.production_variants


def test_traffic_share_promote_and_rollback(house: House) -> None:
    for number in (1, 2):
        house.register("flights", number)
    house.deploy("air", "flights:1", capture_percent=100.0)
    house.deploy("air", "flights:2", traffic_percent=10.0)
    assert house.routed("air") == pytest.approx({"v1": 90.0, "v2": 10.0})
    assert house.files.active().endpoints[0].capture is not None, "capture stays on until it is turned off"

    house.endpoints.promote("air", "v2", principal=ME)
    assert _serves(house.settle("air"))
    assert house.routed("air") == {"v2": 1.0}

    house.endpoints.rollback("air", principal=ME)
    endpoint = house.settle("air")
    assert _serves(endpoint)
    assert house.routed("air") == pytest.approx({"v1": 90.0, "v2": 10.0})

    house.endpoints.rollback("air", principal=ME)
    house.settle("air")
    assert house.routed("air") == {"v2": 1.0}, "going back twice is where one was"


def test_weights_change_and_go_back_without_a_new_first_load(house: House) -> None:
    for number in (1, 2):
        house.register("flights", number)
    house.deploy("air", "flights:1")
    house.deploy("air", "flights:2", traffic_percent=50.0)
    tried = list(house.engine.tried)
    wished = house.endpoints.set_weights("air", {"v2": 150.0}, principal=ME)
    assert {item.variant_name: item.desired_weight for item in wished.status.production_variants} == {
        "v1": 50.0,
        "v2": 150.0,
    }
    endpoint = house.settle("air")
    assert house.routed("air") == {"v1": 50.0, "v2": 150.0}
    assert {item.current_weight for item in endpoint.status.production_variants} == {50.0, 150.0}
    house.endpoints.rollback("air", principal=ME)
    house.settle("air")
    assert house.routed("air") == {"v1": 50.0, "v2": 50.0}
    assert house.engine.tried == tried


def test_shadow_gets_copies_and_can_be_promoted(house: House) -> None:
    for number in (1, 2):
        house.register("flights", number)
    house.deploy("air", "flights:1")
    house.deploy("air", "flights:2", shadow=True)
    variants = house.files.active().endpoints[0].variants
    assert [(item.variant, item.shadow) for item in variants] == [("v1", False), ("v2", True)]
    house.endpoints.promote("air", "v2", principal=ME)
    house.settle("air")
    variants = house.files.active().endpoints[0].variants
    assert [(item.variant, item.shadow) for item in variants] == [("v2", False)]


def test_model_that_fails_its_first_load_changes_nothing_of_what_serves(house: House) -> None:
    house.register("flights", 1)
    bad = house.register("flights", 666)
    house.engine.harmful[house.store_model(666)] = "it aborted the process that loaded it"
    house.deploy("air", "flights:1")
    before = house.files.active()

    endpoint = house.deploy("air", bad, traffic_percent=10.0)
    assert endpoint.settled
    assert endpoint.status.endpoint_status is EndpointStatus.IN_SERVICE
    assert "flights:2 cannot serve: it aborted" in endpoint.status.failure_reason
    assert house.files.active() == before
    assert house.routed("air") == {"v1": 1.0}

    fresh = house.deploy("other", bad)
    assert fresh.status.endpoint_status is EndpointStatus.FAILED
    assert "it aborted" in fresh.status.failure_reason
    assert house.routed("other") == {}
    assert house.routed("air") == {"v1": 1.0}

    house.engine.harmful.clear()
    assert _serves(house.deploy("other", bad)), "a Failed endpoint can be mended"


def test_model_that_only_a_worker_cannot_load_is_activated_nowhere(house: House) -> None:
    house.register("flights", 1)
    house.register("flights", 2)
    house.deploy("air", "flights:1")
    revision = house.files.active().revision
    house.workers.harmful[house.store_model(2)] = "crashed its process while loading"
    endpoint = house.deploy("air", "flights:2")
    assert "crashed its process while loading" in endpoint.status.failure_reason
    assert house.files.active().revision == revision
    assert {view.active_revision for view in house.workers.views} == {revision}
    tried = len(house.engine.tried)
    house.workers.harmful.clear()
    house.clock.turn(1.0)  # the same table is not tried again before
    assert _serves(house.deploy("air", "flights:2"))
    assert len(house.engine.tried) == tried + 1, "a new first load is asked for before it is trusted again"


def test_one_bad_model_does_not_hold_up_the_other_endpoints(house: House) -> None:
    for number in (1, 2):
        house.register("flights", number)
    house.workers.harmful[house.store_model(2)] = "crashed its process while loading"
    for name, version in (("good", "flights:1"), ("bad", "flights:2")):
        house.endpoints.deploy(name, parse_version(version), principal=ME)
    assert _serves(house.settle("good"))
    assert house.endpoints.describe("bad").status.endpoint_status is EndpointStatus.FAILED


def test_model_that_breaks_while_it_serves_is_mended_or_removed(house: House) -> None:
    for number in (1, 2):
        house.register("flights", number)
    house.deploy("air", "flights:1")
    house.deploy("sea", "flights:2")
    digest = house.store_model(1)
    revision = house.files.active().revision
    house.workers.restart_without(0, digest)
    house.settle("air")
    assert house.files.active().revision > revision, "loaded anew"
    assert not house.workers.views[0].failed
    assert _serves(house.endpoints.describe("air"))

    house.workers.restart_without(0, digest)
    house.engine.harmful[digest] = "it aborted the process that loaded it"
    endpoint = house.settle("air")
    assert endpoint.status.endpoint_status is EndpointStatus.FAILED
    assert house.routed("air") == {}
    assert house.routed("sea") == {"v2": 1.0}


def test_model_that_keeps_killing_workers_is_failed_in_the_end(house: House) -> None:
    house.register("flights", 1)
    house.deploy("air", "flights:1")
    for _ in range(10):
        house.workers.restart_without(0, house.store_model(1))
        if house.settle("air").status.endpoint_status is EndpointStatus.FAILED:
            break
    endpoint = house.endpoints.describe("air")
    assert endpoint.status.endpoint_status is EndpointStatus.FAILED
    assert "crashed its process while loading, 3 times" in endpoint.status.failure_reason
    assert house.files.active().endpoints == ()
    house.workers.views[0] = house.workers.born(0)
    assert _serves(house.deploy("air", "flights:1")), "a new wish is a new chance"


def test_worker_that_does_not_activate_no_longer_counts(house: House) -> None:
    house.register("flights", 1)
    house.workers.deaf.add(1)
    assert not house.deploy("air", "flights:1").settled
    house.clock.turn(11.0)
    house.settle("air")
    assert [view.index for view in house.workers.views] == [0]
    house.clock.turn(11.0)
    assert _serves(house.settle("air"))


def test_undeploy_takes_the_route_away_before_the_record(house: House) -> None:
    house.register("flights", 1)
    house.deploy("air", "flights:1")
    wished = house.endpoints.delete("air", principal=ME)
    assert wished.status.endpoint_status is EndpointStatus.DELETING
    with pytest.raises(Conflict, match="being deleted"):
        house.endpoints.deploy("air", parse_version("flights:1"), principal=ME)
    house.run()
    with pytest.raises(NotFound):
        house.endpoints.describe("air")
    assert house.files.active().endpoints == ()
    assert _serves(house.deploy("air", "flights:1")), "the name is free again"


def test_wish_while_another_is_under_way_is_a_conflict_and_rollback_cancels_it(house: House) -> None:
    for number in (1, 2):
        house.register("flights", number)
    house.deploy("air", "flights:1")
    house.workers.slow.add(house.store_model(2))
    house.endpoints.deploy("air", parse_version("flights:2"), principal=ME)
    assert not house.settle("air").settled
    with pytest.raises(Conflict, match="under way"):
        house.endpoints.set_weights("air", {"v1": 2.0}, principal=ME)
    assert house.endpoints.rollback("air", principal=ME).status.endpoint_status is EndpointStatus.ROLLING_BACK
    endpoint = house.settle("air")
    assert _serves(endpoint)
    assert house.routed("air") == {"v1": 1.0}


def test_deploy_waits_for_workers_with_a_bound(house: House) -> None:
    house.register("flights", 1)
    house.workers.views.clear()
    assert not house.deploy("air", "flights:1").settled
    house.clock.turn(11.0)
    endpoint = house.settle("air")
    assert endpoint.status.endpoint_status is EndpointStatus.FAILED
    assert "no inference worker" in endpoint.status.failure_reason


def test_deploy_right_after_a_start_waits_for_all_workers(house: House) -> None:
    house.register("flights", 1)
    late = house.workers.views.pop()
    assert not house.deploy("air", "flights:1").settled
    house.workers.views.append(late)
    house.workers.prepare(house.files.newest_revision())
    assert _serves(house.settle("air"))


def test_worker_that_stays_away_is_not_waited_for_for_ever(house: House) -> None:
    house.register("flights", 1)
    house.workers.views.pop()
    assert not house.deploy("air", "flights:1").settled
    house.clock.turn(11.0)
    assert _serves(house.settle("air"))


def test_only_approved_versions_are_deployed(house: House) -> None:
    house.register("flights", 1, approval=ApprovalStatus.PENDING)
    with pytest.raises(Refused, match="PendingManualApproval"):
        house.endpoints.deploy("air", parse_version("flights:1"), principal=ME)
    with pytest.raises(NotFound):
        house.endpoints.describe("air")
    house.registry.set_approval(parse_version("flights:1"), ApprovalStatus.APPROVED, "fine", principal=ME)
    assert _serves(house.deploy("air", "flights:1"))
    house.registry.set_approval(parse_version("flights:1"), ApprovalStatus.REJECTED, "aged", principal=ME)
    assert _serves(house.settle("air")), "what serves goes on serving"


def test_version_that_serves_cannot_be_deleted(house: House) -> None:
    for number in (1, 2):
        house.register("flights", number)
    house.deploy("air", "flights:1")
    with pytest.raises(Conflict, match="used by endpoint 'air'"):
        house.registry.delete_version(parse_version("flights:1"), principal=ME)
    house.deploy("air", "flights:2")
    house.registry.delete_version(parse_version("flights:1"), principal=ME)
    with pytest.raises(NotFound, match="flights-1"):
        house.endpoints.rollback("air", principal=ME)
    assert house.register("flights", 3) == "flights:3", "numbers are never given twice"


def test_share_of_nothing_is_refused(house: House) -> None:
    house.register("flights", 1)
    with pytest.raises(InvalidInput, match="remaining 90 %"):
        house.endpoints.deploy("air", parse_version("flights:1"), traffic_percent=10.0, principal=ME)
    with pytest.raises(NotFound):
        house.endpoints.describe("air")


def test_restart_serves_the_same_without_new_first_loads(house: House, tmp_path: Path) -> None:
    house.register("flights", 1)
    before = house.deploy("air", "flights:1")
    house.records.close()
    with House(tmp_path / "home", workers=house.workers, engine=house.engine, clock=house.clock) as again:
        revision = again.files.active().revision
        assert again.settle("air") == before
        assert again.files.active().revision == revision
        assert len(again.engine.tried) == 1


def test_lost_run_folder_is_published_anew(house: House, tmp_path: Path) -> None:
    house.register("flights", 1)
    house.deploy("air", "flights:1")
    old = house.files.active().revision
    for path in house.layout.routes.iterdir():
        path.unlink()
    house.records.close()
    with House(tmp_path / "home", engine=house.engine, clock=house.clock) as again:
        again.settle("air")
        assert again.routed("air") == {"v1": 1.0}
        assert again.files.active().revision > old, "revisions are never given twice"


def test_events_tell_who_did_what(house: House) -> None:
    house.register("flights", 1)
    house.deploy("air", "flights:1")
    told = [
        (event.principal, event.verb, event.kind.value, event.name) for event in house.events.list().items
    ]
    assert told == [
        (ME, "create", "ModelPackageGroup", "flights"),
        (ME, "register", "ModelPackage", "flights:1"),
        (ME, "create", "Model", "flights-1"),
        (ME, "create", "EndpointConfig", "air-config-1"),
        (ME, "create", "Endpoint", "air"),
        ("modelport", "status", "Endpoint", "air"),
    ]
