"""Route tables on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelport.control.routes import KEPT, RouteFiles
from modelport.domain.routes import EndpointRoute, RouteTable, VariantRoute
from modelport.wire.feed import active_file, route_file

TABLE = RouteTable(3, (EndpointRoute("air", (VariantRoute("v1", "m:1", "a" * 64),)),))


def test_published_table_serves_once_it_is_activated(tmp_path: Path) -> None:
    files = RouteFiles(tmp_path / "run" / "routes")
    assert files.active() == RouteTable(0)
    files.publish(TABLE)
    assert (files.active().revision, files.newest_revision()) == (0, 3)
    files.activate(3)
    assert RouteFiles(tmp_path / "run" / "routes").active() == TABLE
    assert active_file(tmp_path / "run" / "routes").read_text() == "3"


@pytest.mark.parametrize("content", [b"", b"x", b"99", b"\xff", b"-1"])
def test_damaged_pointer_means_nothing_serves(tmp_path: Path, content: bytes) -> None:
    files = RouteFiles(tmp_path)
    files.publish(TABLE)
    active_file(tmp_path).write_bytes(content)
    assert files.active() == RouteTable(0)
    assert files.newest_revision() == 3


def test_damaged_table_means_nothing_serves(tmp_path: Path) -> None:
    files = RouteFiles(tmp_path)
    files.publish(TABLE)
    files.activate(3)
    route_file(tmp_path, 3).write_bytes(b"{")
    assert files.active() == RouteTable(0)


def test_old_tables_go_and_the_active_and_newer_ones_stay(tmp_path: Path) -> None:
    files = RouteFiles(tmp_path)
    (tmp_path / "notes.txt").touch()
    for revision in range(1, KEPT + 10):
        files.publish(RouteTable(revision))
    active = KEPT + 5
    files.activate(active)
    files.prune(active)
    kept = sorted(path.name for path in tmp_path.glob("0*.json"))
    assert kept == [f"{revision:012d}.json" for revision in range(active - KEPT, KEPT + 10)]
    assert (tmp_path / "notes.txt").exists()
    assert files.active() == RouteTable(active)
