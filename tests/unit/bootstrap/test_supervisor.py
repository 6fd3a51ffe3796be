"""What the supervisor starts."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from modelport.bootstrap.supervisor import make_hooks, process_table
from modelport.settings import Settings
from modelport.supervisor.inboxes import Inboxes


def test_table_holds_the_workers_and_one_control_process(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, workers=2, database_url="postgresql://u:secret@h/d")
    with socket.socket() as control, socket.socket() as inference:
        inboxes = Inboxes.make(2, tmp_path)
        table = process_table(settings, control, inference, inboxes)
        assert [spec.name for spec in table] == ["inference-0", "inference-1", "control"]
        shared = set(table[0].fds) & set(table[1].fds)
        assert inference.fileno() in shared
        assert len(set(table[0].fds) - shared) == 1  # its own inbox
        assert table[2].fds == (control.fileno(),)
        assert [spec.overlaps for spec in table] == [True, True, False]  # control alone has the database
        inboxes.close()
    assert "secret" not in " ".join(word for spec in table for word in spec.argv)


def test_a_table_that_cannot_be_written_is_told_and_survived(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = Settings(home=tmp_path / "absent").layout
    make_hooks(nowhere, {}, "json", detached=False).publish([], None)
    assert "cannot write" in capsys.readouterr().err


def test_workers_follow_the_cores_unless_told() -> None:
    assert Settings(workers=7).worker_count == 7
    assert 1 <= Settings().worker_count <= min(os.cpu_count() or 1, 4)
