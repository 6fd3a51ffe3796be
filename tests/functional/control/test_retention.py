"""What nothing points at goes, after a while; nothing else does."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.house import ME, House
from modelport.control.retention import GRACE, LOGS_KEPT
from modelport.domain.names import parse_version
from modelport.domain.resource import Kind
from modelport.wire.replicas import ReplicaSpec, encode_replicas

LONG = GRACE.total_seconds() + 60


@pytest.fixture
def house(tmp_path: Path):
    with House(tmp_path / "home") as built:
        yield built


def stored(house: House) -> set[str]:
    """Return what is stored, as if it had been stored by the house's clock."""
    for digest in house.artifacts.digests():
        path = house.artifacts.path(digest)
        if path.stat().st_mtime > house.clock.now().timestamp() + 1:
            os.utime(path, (house.clock.now().timestamp(),) * 2)
    return set(house.artifacts.digests())


def sweep(house: House, after_s: float) -> set[str]:
    stored(house)
    house.clock.turn(after_s)
    house.retention.sweep()
    return stored(house)


def test_files_of_a_deleted_version_go_after_the_grace(house: House) -> None:
    house.register("flights", 1)
    house.register("flights", 2)
    everything = stored(house)
    house.registry.delete_version(parse_version("flights:1"), principal=ME)
    assert sweep(house, 60) == everything
    left = sweep(house, LONG)
    assert house.store_model(1) not in left
    version = house.registry.version(parse_version("flights:2")).modelport
    assert left == {version.digest, *version.files.values()}


def test_upload_that_is_not_registered_yet_has_time(house: House) -> None:
    digest = house.store_model(1)
    assert digest in sweep(house, LONG / 2)
    house.registry.register_version("flights", digest, principal=ME)
    assert digest in sweep(house, 10 * LONG)


def test_model_that_serves_stays_even_when_its_version_is_lost(house: House) -> None:
    house.register("flights", 1)
    house.deploy("air", "flights:1")
    with house.records.transaction() as tx:
        tx.remove(Kind.MODEL_PACKAGE, "flights:1")
        tx.remove(Kind.MODEL, "flights-1")
    before = stored(house)
    assert sweep(house, LONG) == before


def test_uploads_that_were_cut_off_go(house: House) -> None:
    staged = house.layout.artifacts / "incoming" / "1-ab"
    house.store_model(1)
    staged.write_bytes(b"half")
    os.utime(staged, (house.clock.now().timestamp(),) * 2)
    sweep(house, 60)
    assert staged.exists()
    sweep(house, LONG)
    assert not staged.exists()


def test_configs_that_deploys_left_go_and_those_of_users_stay(house: House) -> None:
    for number in range(1, 5):
        house.register("flights", number)
        house.deploy("air", f"flights:{number}")
    mine = house.endpoints.config("air-config-1").spec
    house.endpoints.create_config(replace(mine, endpoint_config_name="mine", tags=()), principal=ME)
    sweep(house, LONG)
    assert {item.name for item in house.endpoints.configs().items} == {"air-config-3", "air-config-4", "mine"}
    house.endpoints.rollback("air", principal=ME)
    house.settle("air")
    assert house.routed("air") == {"v3": 1.0}


def test_old_labels_go_by_the_hour(house: House) -> None:
    house.register("flights", 1)
    house.deploy("air", "flights:1", capture_percent=100.0)
    house.labels.accept("air", [("q#0", 1)], principal=ME)
    house.clock.turn(20 * 86_400)
    house.labels.accept("air", [("q#1", 1)], principal=ME)
    sweep(house, 11 * 86_400)
    assert [path.name for path in (house.layout.labels / "air").rglob("*")][:3] == ["2026", "01", "22"]


def test_files_and_logs_of_code_that_nobody_needs_go_after_a_while(house: House) -> None:
    unpacked, logs = house.layout.unpacked, house.layout.logs
    kept, waste = "a" * 64, "b" * 64
    for folder in (unpacked / kept, unpacked / waste, unpacked / ".fresh-x", logs):
        folder.mkdir(parents=True)
    for name in ("air-0123456789abcdef-0", "gone-0123456789abcdef-0"):
        (logs / f"replica-{name}.log").write_text("x")
    spec = ReplicaSpec("air-0123456789abcdef-0", "air", "a", "m", "image", archive=kept)
    house.layout.replicas_file.parent.mkdir(exist_ok=True)
    house.layout.replicas_file.write_bytes(encode_replicas([spec]))
    now = house.clock.now().timestamp()
    for path in (*unpacked.iterdir(), *logs.iterdir()):
        os.utime(path, (now, now))
    sweep(house, 60)
    assert len(list(unpacked.iterdir())) == 3
    sweep(house, LOGS_KEPT.total_seconds() + LONG)
    assert [folder.name for folder in unpacked.iterdir()] == [kept]
    assert [log.name for log in logs.iterdir()] == ["replica-air-0123456789abcdef-0.log"]
