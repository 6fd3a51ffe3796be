"""What the supervisor starts."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelport.bootstrap.supervisor import Held, make_hooks, process_table
from modelport.domain.clock import SystemClock
from modelport.runtime.compiled.code_file import KERNELS, code_file
from modelport.runtime.compiled.machine_code import load_code
from modelport.settings import Settings
from modelport.supervisor.inboxes import Inboxes
from modelport.supervisor.lock import HomeLock


@contextmanager
def holding(folder: Path, workers: int) -> Iterator[Held]:
    lock = HomeLock(folder / "lock", SystemClock())
    with lock, socket.socket() as control, socket.socket() as inference, socket.socket() as local:
        inboxes = Inboxes.make(workers, folder)
        yield Held(lock, control, inference, local, inboxes)
        inboxes.close()


def test_table_holds_the_workers_and_one_control_process(tmp_path: Path) -> None:
    (tmp_path / "kernels").mkdir()
    for kernel in KERNELS:
        code_file(tmp_path / "kernels", kernel).touch()  # nothing is left to compile
    settings = Settings(home=tmp_path, cache=tmp_path, workers=2, database_url="postgresql://u:secret@h/d")
    with holding(tmp_path, 2) as held:
        table = process_table(settings, held)
        assert [spec.name for spec in table] == ["inference-0", "inference-1", "control"]
        shared = set(table[0].fds) & set(table[1].fds)
        assert {held.inference.fileno(), held.local.fileno()} <= shared
        assert len(set(table[0].fds) - shared) == 1  # its own inbox
        assert table[2].fds == (held.control.fileno(),)
        assert [spec.overlaps for spec in table] == [True, True, False]  # control alone has the database
    assert "secret" not in " ".join(word for spec in table for word in spec.argv)


def test_kernels_that_are_missing_are_compiled_once(tmp_path: Path) -> None:
    pytest.importorskip("llvmlite")
    settings = Settings(home=tmp_path / "home", cache=tmp_path, workers=1)
    with holding(tmp_path, 1) as held:
        compiler = process_table(settings, held)[-1]
        assert (compiler.name, compiler.once) == ("kernel", True)
        subprocess.run(compiler.argv, check=True)
        assert all(load_code(settings.kernels, kernel) for kernel in KERNELS)
        assert process_table(settings, held)[-1].name == "control"
    assert subprocess.run(compiler.argv, check=False).returncode == 0


def test_a_table_that_cannot_be_written_is_told_and_survived(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = Settings(home=tmp_path / "absent").layout
    make_hooks(nowhere, {}, "json", detached=False).publish([], None)
    assert "cannot write" in capsys.readouterr().err


def test_workers_follow_the_cores_unless_told() -> None:
    assert Settings(workers=7).worker_count == 7
    assert 1 <= Settings().worker_count <= min(os.cpu_count() or 1, 4)
