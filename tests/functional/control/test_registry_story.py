"""Versions come, are approved, named and deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.house import ME, House, model_of
from modelport.domain.errors import Conflict, Corrupted, InvalidInput, NotFound, Refused
from modelport.domain.names import parse_version
from modelport.domain.registry import ApprovalStatus
from modelport.domain.resource import Tag
from modelport.wire.manifest import Manifest, encode_manifest


@pytest.fixture
def house(tmp_path: Path):
    with House(tmp_path / "home") as built:
        yield built


def test_version_keeps_what_was_said_of_it(house: House) -> None:
    name = house.register(
        "flights",
        1,
        framework="scikit-learn 1.9.1",
        estimator="HistGradientBoostingClassifier",
        metrics={"auc": 0.75},
        metadata={"Trained-On": "Q1"},
        tags=[Tag("team", "ops")],
        description="first",
    )
    assert name == "flights:1"
    package = house.registry.version(parse_version("flights:1"))
    assert package.spec.customer_metadata_properties == {"Trained-On": "Q1"}
    assert package.spec.tags == (Tag("team", "ops"),)
    notes = package.modelport
    assert (notes.framework, notes.metrics) == ("scikit-learn 1.9.1", {"auc": 0.75})
    assert notes.proof == {"rows": 100, "max_absolute": 0.0}
    assert set(notes.files) == {"serving.onnx", "signature.json", "proof.json"}
    assert notes.digest == house.store_model(1)


def test_references_are_resolved_when_they_are_used(house: House) -> None:
    for number in (1, 2, 3):
        house.register("flights", number)
    house.registry.set_alias("flights", "champion", 2, principal=ME)
    found = [
        house.registry.version(parse_version(text)).name
        for text in ("flights", "flights:1", "flights@champion")
    ]
    assert found == ["flights:3", "flights:1", "flights:2"]
    house.registry.set_alias("flights", "champion", 3, principal=ME)
    assert house.registry.version(parse_version("flights@champion")).name == "flights:3"
    house.registry.remove_alias("flights", "champion", principal=ME)
    with pytest.raises(NotFound, match="no alias 'champion'"):
        house.registry.version(parse_version("flights@champion"))
    with pytest.raises(NotFound, match="no alias"):
        house.registry.remove_alias("flights", "champion", principal=ME)
    with pytest.raises(NotFound, match="flights:9"):
        house.registry.set_alias("flights", "champion", 9, principal=ME)


def test_versions_are_listed_newest_first_in_pages(house: House) -> None:
    for number in range(12):
        house.register("flights", number)
    first = house.registry.versions("flights", limit=5)
    assert [item.status.model_package_version for item in first.items] == [12, 11, 10, 9, 8]
    second = house.registry.versions("flights", after=first.next, limit=5)
    third = house.registry.versions("flights", after=second.next, limit=5)
    assert [item.status.model_package_version for item in third.items] == [2, 1]
    assert third.next is None
    with pytest.raises(InvalidInput, match="page mark"):
        house.registry.versions("flights", after="x")


def test_groups_are_listed_in_pages(house: House) -> None:
    for name in "cab":
        house.registry.create_group(name, principal=ME)
    first = house.registry.groups(limit=2)
    assert [item.name for item in first.items] == ["a", "b"]
    assert [item.name for item in house.registry.groups(after=first.next).items] == ["c"]


def test_numbers_are_never_given_twice(house: House) -> None:
    house.register("flights", 1)
    house.register("flights", 2)
    house.registry.delete_version(parse_version("flights:2"), principal=ME)
    assert house.register("flights", 3) == "flights:3"
    with pytest.raises(NotFound):
        house.registry.version(parse_version("flights:2"))


def test_delete_is_refused_while_something_points_there(house: House) -> None:
    house.register("flights", 1)
    house.registry.set_alias("flights", "champion", 1, principal=ME)
    for dry_run in (True, False):
        with pytest.raises(Conflict, match="alias flights@champion"):
            house.registry.delete_version(parse_version("flights:1"), dry_run=dry_run, principal=ME)
    with pytest.raises(Conflict, match="has 1 version"):
        house.registry.delete_group("flights", principal=ME)
    house.registry.remove_alias("flights", "champion", principal=ME)
    house.registry.delete_version(parse_version("flights:1"), dry_run=True, principal=ME)
    assert house.registry.version(parse_version("flights:1"))
    house.registry.delete_version(parse_version("flights:1"), principal=ME)
    house.registry.delete_group("flights", principal=ME)
    with pytest.raises(NotFound):
        house.registry.group("flights")
    assert house.register("flights", 1) == "flights:1", "another group of the same name begins anew"


def test_upload_that_is_not_whole_is_no_version(house: House) -> None:
    with pytest.raises(NotFound, match="no artifact"):
        house.registry.register_version("flights", "a" * 64, principal=ME)
    graph = house.artifacts.put([b"graph"])
    with pytest.raises(InvalidInput, match="not a model manifest"):
        house.registry.register_version("flights", graph, principal=ME)
    manifest = Manifest({"serving.onnx": graph, "signature.json": "b" * 64})
    digest = house.artifacts.put([encode_manifest(manifest)])
    with pytest.raises(NotFound, match=r"names signature\.json"):
        house.registry.register_version("flights", digest, principal=ME)
    proof = house.artifacts.put([b"not json"])
    manifest = Manifest({"serving.onnx": graph, "signature.json": graph, "proof.json": proof})
    digest = house.artifacts.put([encode_manifest(manifest)])
    with pytest.raises(Corrupted, match=r"proof\.json is not JSON"):
        house.registry.register_version("flights", digest, principal=ME)
    assert house.registry.groups().items == (), "a group is not made for a version that was refused"


def test_parent_must_be_a_version_of_the_group(house: House) -> None:
    house.register("flights", 1)
    assert house.register("flights", 2, parent_version=1) == "flights:2"
    with pytest.raises(NotFound, match="flights:9"):
        house.register("flights", 3, parent_version=9)


def test_approval_is_told_with_its_reason(house: House) -> None:
    house.register("flights", 1, approval=ApprovalStatus.PENDING)
    with pytest.raises(Refused):
        house.endpoints.create_model(model_of("m", "flights"), principal=ME)
    package = house.registry.set_approval(
        parse_version("flights:1"), ApprovalStatus.APPROVED, "looked at it", principal="ada"
    )
    assert package.status.approval_description == "looked at it"
    event = house.events.list(kind="ModelPackage").items[-1]
    assert (event.principal, event.message) == ("ada", "PendingManualApproval → Approved: looked at it")


@pytest.mark.parametrize("name", ["my_model", "", "-a", "a" * 64, "a/../b", "ä"])
def test_names_follow_the_pattern(house: House, name: str) -> None:
    with pytest.raises(InvalidInput, match="not allowed"):
        house.registry.create_group(name, principal=ME)
    with pytest.raises(InvalidInput, match="not allowed"):
        house.registry.register_version(name, house.store_model(1), principal=ME)
    house.register("flights", 1)
    with pytest.raises(InvalidInput, match="not allowed"):
        house.registry.set_alias("flights", name, 1, principal=ME)


def test_taken_group_is_a_conflict(house: House) -> None:
    house.registry.create_group("flights", description="late ones", principal=ME)
    with pytest.raises(Conflict, match="exists already"):
        house.registry.create_group("flights", principal=ME)
