"""What the supervisor starts."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from modelport.bootstrap.supervisor import make_hooks, process_table, worker_count
from modelport.runtime.trees.code_file import code_file
from modelport.runtime.trees.machine_code import load_code
from modelport.settings import Settings


def test_table_holds_the_workers_and_one_control_process(tmp_path: Path) -> None:
    (tmp_path / "kernels").mkdir()
    code_file(tmp_path / "kernels").touch()  # nothing is left to compile
    settings = Settings(home=tmp_path, cache=tmp_path, workers=2, database_url="postgresql://u:secret@h/d")
    with socket.socket() as control, socket.socket() as inference:
        table = process_table(settings, control, inference)
        assert [spec.name for spec in table] == ["inference-0", "inference-1", "control"]
        assert {spec.fds for spec in table[:2]} == {(inference.fileno(),)}
        assert table[2].fds == (control.fileno(),)
    assert "secret" not in " ".join(word for spec in table for word in spec.argv)


def test_a_kernel_that_is_missing_is_compiled_once(tmp_path: Path) -> None:
    pytest.importorskip("llvmlite")
    settings = Settings(home=tmp_path / "home", cache=tmp_path, workers=1)
    with socket.socket() as one, socket.socket() as other:
        compiler = process_table(settings, one, other)[-1]
        assert (compiler.name, compiler.once) == ("kernel", True)
        subprocess.run(compiler.argv, check=True)
        assert callable(load_code(settings.kernels))
        assert process_table(settings, one, other)[-1].name == "control"
    assert subprocess.run(compiler.argv, check=False).returncode == 0


def test_a_table_that_cannot_be_written_is_told_and_survived(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = Settings(home=tmp_path / "absent").layout
    make_hooks(nowhere, {}, "json", detached=False).publish([])
    assert "cannot write" in capsys.readouterr().err


def test_workers_follow_the_cores_unless_told() -> None:
    assert worker_count(Settings(workers=7)) == 7
    assert 1 <= worker_count(Settings()) <= min(os.cpu_count() or 1, 4)
