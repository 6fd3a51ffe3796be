"""Models of archives: looked into when an endpoint wants them, and deleted under what serves, as in AWS."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fakes.house import ME, House, model_of
from modelport.control.endpoint_reconciler import INHERITED_S
from modelport.control.services.reset import Reset
from modelport.control.services.tags import Tags
from modelport.domain.endpoint import EndpointConfigSpec, EndpointSpec, EndpointStatus, ProductionVariant
from modelport.domain.errors import Conflict, InvalidInput, NotFound
from modelport.domain.job import DataSource, S3DataSource, TransformInput, TransformOutput, TransformSpec
from modelport.domain.planning.replicas import REPLICAS_MAX
from modelport.domain.registry import ApprovalStatus, ContainerDefinition, ModelSpec, PackageSpec
from modelport.domain.resource import Kind, Tag

URL = "s3://models/one.tar.gz"
SCORING = TransformSpec(
    "scoring", "one", TransformInput(DataSource(S3DataSource("in.csv"))), TransformOutput("out.csv")
)


def archive(name: str, url: str = URL) -> ModelSpec:
    return ModelSpec(name, ContainerDefinition(model_data_url=url))


def config(name: str, model: str) -> EndpointConfigSpec:
    return EndpointConfigSpec(name, (ProductionVariant("a", model),))


@pytest.fixture
def house(tmp_path: Path):
    with House(tmp_path / "home") as built:
        built.archives.holds[URL] = built.store_model(1)
        yield built


@pytest.fixture
def serving(house: House) -> House:
    house.endpoints.create_model(archive("one"), principal=ME)
    house.endpoints.create_config(config("first", "one"), principal=ME)
    house.endpoints.create(EndpointSpec("air", "first"), principal=ME)
    house.run()
    return house


def test_an_archive_serves_under_the_name_of_its_model(serving: House) -> None:
    assert serving.endpoints.describe("air").status.endpoint_status is EndpointStatus.IN_SERVICE
    (route,) = serving.files.active().endpoints
    assert (route.variants[0].model_version, route.variants[0].digest) == ("one", serving.archives.holds[URL])


def test_an_archive_that_cannot_be_read_fails_the_endpoint_with_its_reason(house: House) -> None:
    house.endpoints.create_model(archive("two", "s3://models/none.tar.gz"), principal=ME)
    house.endpoints.create_config(config("second", "two"), principal=ME)
    house.endpoints.create(EndpointSpec("sea", "second"), principal=ME)
    status = house.settle("sea").status
    assert status.endpoint_status is EndpointStatus.FAILED
    assert status.failure_reason == "model 'two' cannot be served: its archive cannot be read"


def test_an_update_to_an_archive_that_cannot_be_read_goes_back(serving: House) -> None:
    serving.endpoints.create_model(archive("two", "s3://models/none.tar.gz"), principal=ME)
    serving.endpoints.create_config(config("second", "two"), principal=ME)
    serving.endpoints.update("air", "second", principal=ME)
    endpoint = serving.settle("air")
    assert endpoint.status.endpoint_status is EndpointStatus.IN_SERVICE
    assert endpoint.spec.endpoint_config_name == "first"
    assert "'two'" in str(endpoint.status.failure_reason)


CODE_URL = "s3://models/code.tar.gz"


@pytest.fixture
def coded(serving: House) -> House:
    """Return a house in which custom code can be wished for."""
    serving.archives.codes.add(CODE_URL)
    serving.endpoints.create_model(archive("code", CODE_URL), principal=ME)
    two = ProductionVariant("a", "code", initial_instance_count=2)
    serving.endpoints.create_config(EndpointConfigSpec("coded", (two,)), principal=ME)
    return serving


def replicas_of(house: House, endpoint: str) -> tuple[str, ...]:
    """Return the replicas that the active table sends an endpoint's requests to."""
    return next(
        route.variants[0].replicas for route in house.files.active().endpoints if route.endpoint == endpoint
    )


def test_code_serves_once_its_replicas_are_ready(coded: House) -> None:
    coded.replicas.slow = True
    coded.endpoints.update("air", "coded", principal=ME)
    assert coded.settle("air").status.endpoint_status is EndpointStatus.UPDATING
    assert len(coded.replicas.wanted) == 2
    assert replicas_of(coded, "air") == (), "the model before serves meanwhile"
    coded.replicas.slow = False
    coded.run()
    assert coded.endpoints.describe("air").status.endpoint_status is EndpointStatus.IN_SERVICE
    assert set(replicas_of(coded, "air")) == coded.replicas.wanted.keys()


def test_code_that_does_not_start_changes_nothing_and_is_ended(coded: House) -> None:
    coded.replicas.failing["code"] = "ModuleNotFoundError: No module named 'x'"
    coded.endpoints.update("air", "coded", principal=ME)
    status = coded.settle("air").status
    assert (status.endpoint_status, status.endpoint_config_name) == (EndpointStatus.IN_SERVICE, "first")
    assert (
        status.failure_reason == "the code of 'code' does not start: ModuleNotFoundError: No module named 'x'"
    )
    assert not coded.replicas.wanted


def test_instances_of_code_come_and_go_with_their_number(coded: House) -> None:
    coded.endpoints.update("air", "coded", principal=ME)
    coded.run()
    before = replicas_of(coded, "air")
    for count in (3, 1):
        coded.endpoints.set_weights("air", {}, {"a": count}, principal=ME)
        coded.run()
        assert len(replicas_of(coded, "air")) == len(coded.replicas.wanted) == count
        assert replicas_of(coded, "air")[0] == before[0], "those that run go on"


def test_replicas_end_when_no_worker_has_a_request_for_them(coded: House) -> None:
    coded.endpoints.update("air", "coded", principal=ME)
    coded.run()
    old = set(replicas_of(coded, "air"))
    revision = coded.files.active().revision
    coded.workers.keeps_draining = True
    coded.endpoints.update("air", "first", principal=ME)
    coded.run()
    assert replicas_of(coded, "air") == ()
    assert coded.workers.views[0].draining == {revision}
    assert coded.replicas.wanted.keys() == old, "a worker still has requests for them"
    coded.workers.drain()
    coded.run()
    assert not coded.replicas.wanted


def test_replicas_run_on_when_control_starts_anew(coded: House, tmp_path: Path) -> None:
    coded.endpoints.update("air", "coded", principal=ME)
    coded.run()
    running = dict(coded.replicas.wanted)
    coded.records.close()
    with House(tmp_path / "home", workers=coded.workers, replicas=coded.replicas) as again:
        again.run()
        assert again.replicas.wanted.keys() == running.keys()
        again.endpoints.delete("air", principal=ME)
        again.run()
        assert again.replicas.wanted.keys() == running.keys(), "requests of the process before may be open"
        again.clock.turn(INHERITED_S)
        again.run()
        assert not again.replicas.wanted


def test_more_instances_than_a_machine_runs_are_refused(coded: House) -> None:
    many = ProductionVariant("a", "code", initial_instance_count=REPLICAS_MAX + 1)
    coded.endpoints.create_config(EndpointConfigSpec("many", (many,)), principal=ME)
    coded.endpoints.update("air", "many", principal=ME)
    reason = coded.settle("air").status.failure_reason
    assert f"at most {REPLICAS_MAX}" in str(reason)
    assert not coded.replicas.wanted


def test_jobs_do_not_run_code(coded: House) -> None:
    coded.endpoints.update("air", "coded", principal=ME)
    coded.run()
    with pytest.raises(InvalidInput, match="code of its own"):
        coded.jobs.create_transform(replace(SCORING, model_name="code"), principal=ME)


def test_a_model_names_a_version_or_an_archive(house: House) -> None:
    with pytest.raises(InvalidInput, match="names nothing to serve"):
        house.endpoints.create_model(ModelSpec("m", ContainerDefinition()), principal=ME)


def test_what_serves_outlives_its_model_and_config_and_does_not_follow_a_new_one_of_its_name(
    serving: House,
) -> None:
    with pytest.raises(Conflict):
        serving.endpoints.delete_model("one", principal=ME)
    serving.endpoints.delete_config("first", in_use=True, principal=ME)
    serving.endpoints.delete_model("one", in_use=True, principal=ME)
    served = serving.files.active().endpoints
    serving.archives.holds["s3://models/two.tar.gz"] = serving.store_model(2)
    serving.endpoints.create_model(archive("one", "s3://models/two.tar.gz"), principal=ME)
    serving.endpoints.create_config(config("first", "one"), principal=ME)
    serving.run()
    assert serving.files.active().endpoints == served
    assert serving.endpoints.describe("air").status.endpoint_status is EndpointStatus.IN_SERVICE


def test_a_config_is_not_taken_from_an_endpoint_that_is_changing(house: House) -> None:
    house.endpoints.create_model(archive("one"), principal=ME)
    house.endpoints.create_config(config("first", "one"), principal=ME)
    house.endpoints.create(EndpointSpec("air", "first"), principal=ME)
    with pytest.raises(Conflict, match="'air'"):
        house.endpoints.delete_config("first", in_use=True, principal=ME)


def test_a_registered_archive_is_deployed_like_a_version(house: House) -> None:
    house.registry.create_group("flights", principal=ME)
    wish = PackageSpec("flights", container=ContainerDefinition(model_data_url=URL))
    assert house.registry.register_archive(wish, principal=ME).name == "flights:1"
    assert house.deploy("air", "flights:1").status.endpoint_status is EndpointStatus.IN_SERVICE
    model = house.endpoints.model("flights-1")
    assert model.spec.primary_container == ContainerDefinition("flights:1", model_data_url=URL)
    assert house.deploy("sea", "flights:1").status.endpoint_status is EndpointStatus.IN_SERVICE


def test_a_registered_archive_waits_for_approval(house: House) -> None:
    house.registry.create_group("flights", principal=ME)
    wish = PackageSpec(
        "flights",
        model_approval_status=ApprovalStatus.PENDING,
        container=ContainerDefinition(model_data_url=URL),
    )
    house.registry.register_archive(wish, principal=ME)
    with pytest.raises(Exception, match="expected Approved"):
        house.endpoints.create_model(model_of("m", "flights:1"), principal=ME)
    with pytest.raises(NotFound):
        house.registry.register_archive(PackageSpec("none"), principal=ME)


def test_weights_and_counts_are_kept_where_they_are_to_be_retained(serving: House) -> None:
    services = serving.endpoints
    services.set_weights("air", {"a": 3.0}, {"a": 4}, principal=ME)
    serving.run()
    services.create_config(config("other", "one"), principal=ME)
    services.update("air", "other", retain_weights=True, retain_counts=True, principal=ME)
    (summary,) = serving.settle("air").status.production_variants
    assert (summary.current_weight, summary.current_instance_count) == (3.0, 4)
    services.update("air", "first", principal=ME)
    (summary,) = serving.settle("air").status.production_variants
    assert (summary.current_weight, summary.current_instance_count) == (1.0, 1)


def test_counts_survive_an_update_that_goes_back(serving: House) -> None:
    services = serving.endpoints
    services.set_weights("air", {"a": 2.0}, {"a": 4}, principal=ME)
    serving.run()
    services.create_model(archive("bad", "s3://models/none.tar.gz"), principal=ME)
    services.create_config(config("bad", "bad"), principal=ME)
    for go_back in (serving.run, lambda: services.rollback("air", principal=ME)):
        services.update("air", "bad", principal=ME)
        go_back()
        serving.run()
        services.set_weights("air", {"a": 3.0}, principal=ME)
        (summary,) = serving.settle("air").status.production_variants
        assert (summary.current_weight, summary.current_instance_count) == (3.0, 4)


def test_tags_change_without_touching_the_wish(serving: House) -> None:
    tags = Tags(serving.records)
    before = serving.endpoints.describe("air")
    tags.add(Kind.ENDPOINT, "air", [Tag("team", "ml"), Tag("stage", "a")], principal=ME)
    tags.add(Kind.ENDPOINT, "air", [Tag("stage", "b")], principal=ME)
    tags.remove(Kind.ENDPOINT, "air", ["team", "none"], principal=ME)
    assert tags.of(Kind.ENDPOINT, "air") == (Tag("stage", "b"),)
    assert serving.endpoints.describe("air").generation == before.generation
    with pytest.raises(InvalidInput, match="at most 50"):
        tags.add(Kind.ENDPOINT, "air", [Tag(f"k{n}", "") for n in range(50)], principal=ME)
    with pytest.raises(NotFound):
        tags.of(Kind.MODEL, "none")


def test_tags_given_while_a_wish_comes_true_stay(house: House) -> None:
    house.endpoints.create_model(archive("one"), principal=ME)
    house.endpoints.create_config(config("first", "one"), principal=ME)
    house.endpoints.create(EndpointSpec("air", "first"), principal=ME)
    house.endpoint_reconciler.step()
    Tags(house.records).add(Kind.ENDPOINT, "air", [Tag("team", "ml")], principal=ME)
    assert house.settle("air").spec.tags == (Tag("team", "ml"),)


def test_a_job_needs_to_know_what_an_archive_holds(house: House) -> None:
    house.endpoints.create_model(archive("one"), principal=ME)
    with pytest.raises(Conflict, match="archive of model 'one'"):
        house.jobs.create_transform(SCORING, principal=ME)
    house.endpoints.create_config(config("first", "one"), principal=ME)
    house.endpoints.create(EndpointSpec("air", "first"), principal=ME)
    house.run()
    job = house.jobs.create_transform(SCORING, principal=ME)
    assert job.spec.model_name == "one"


def test_what_served_ends_with_a_reset_and_history_stays(coded: House) -> None:
    coded.endpoints.update("air", "coded", principal=ME)
    coded.run()
    Reset(coded.records, coded.layout, coded.wake.set).everything(principal=ME)
    coded.run()
    assert coded.files.active().endpoints == ()
    assert not coded.replicas.wanted
    assert [event.name for event in coded.events.list().items][-1] == "everything"
    coded.endpoints.create_model(archive("one"), principal=ME)
    coded.endpoints.create_config(config("first", "one"), principal=ME)
    coded.endpoints.create(EndpointSpec("air", "first"), principal=ME)
    assert coded.settle("air").status.endpoint_status is EndpointStatus.IN_SERVICE
