"""Which databases are opened, and how SQLite is."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.house import HandClock
from modelport.domain.errors import InvalidInput, Unavailable
from modelport.stores.records.records import Records, sqlite_url


@pytest.mark.parametrize(
    "url", ["", "mysql://u:secret@h/d", "sqlite://", "sqlite:///:memory:", "nonsense", "postgresql"]
)
def test_other_urls_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(InvalidInput, match="not one of SQLite or PostgreSQL") as caught:
        Records(url, HandClock())
    assert "secret" not in caught.value.message


def test_database_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(Unavailable) as caught:
        Records("postgresql://modelport:secret@127.0.0.1:1/none", HandClock())
    assert "secret" not in caught.value.message


def test_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    path.write_bytes(b"this is a letter, not a database" * 100)
    with pytest.raises(Unavailable, match="not a database"):
        Records(sqlite_url(path), HandClock())
    assert path.read_bytes().startswith(b"this is a letter")


def test_sqlite_is_durable_private_and_leaves_one_file(tmp_path: Path) -> None:
    path = tmp_path / "home" / "modelport.db"
    records = Records(sqlite_url(path), HandClock())
    assert path.stat().st_mode & 0o777 == 0o600
    with records.transaction() as tx:
        ask = tx.connection.exec_driver_sql
        assert ask("PRAGMA journal_mode").scalar() == "wal"
        assert ask("PRAGMA synchronous").scalar() == 2
        assert ask("PRAGMA foreign_keys").scalar() == 1
        assert ask("PRAGMA mmap_size").scalar() in (0, None)
    with records.reading() as tx:
        ask = tx.connection.exec_driver_sql
        assert ask("PRAGMA query_only").scalar() == 1
        assert ask("PRAGMA wal_autocheckpoint").scalar() == 0, "only the writer checkpoints"
    records.close()
    records.close()
    assert [item.name for item in path.parent.iterdir()] == ["modelport.db"]
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_home_with_odd_characters_is_no_url(tmp_path: Path) -> None:
    path = tmp_path / "a b?c=d#e%20" / "modelport.db"
    records = Records(sqlite_url(path), HandClock())
    records.close()
    assert path.is_file()


def test_start_on_a_migrated_database_does_not_load_alembic(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "modelport.db")
    Records(url, HandClock()).close()
    program = (
        "import sys\n"
        "from modelport.domain.clock import SystemClock\n"
        "from modelport.stores.records.records import Records\n"
        "Records(sys.argv[1], SystemClock()).close()\n"
        "assert 'alembic' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program, url], check=True, timeout=60)
