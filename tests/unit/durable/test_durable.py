"""A durable file is old or new, never a mixture."""

import os
import signal
import subprocess
import sys

import pytest

from modelport.durable import CRASH_POINT_VARIABLE, atomic_file, write_durably


def test_an_error_while_writing_leaves_the_old_content_and_no_litter(tmp_path):
    goal = tmp_path / "state"
    write_durably(goal, b"old")

    def fail_half_way():
        with atomic_file(goal) as file:
            file.write(b"half of the n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert goal.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [goal]


def test_files_are_private_unless_asked_otherwise(tmp_path):
    write_durably(tmp_path / "private", b"")
    write_durably(tmp_path / "shared", b"", mode=0o644)
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "shared").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("point", "expected"), [("durable.before_rename", b"old"), ("durable.after_rename", b"new")]
)
def test_a_crash_leaves_old_or_new(tmp_path, point, expected):
    goal = tmp_path / "state"
    write_durably(goal, b"old")
    code = (
        "from pathlib import Path; from modelport.durable import write_durably; "
        f"write_durably(Path({str(goal)!r}), b'new')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, CRASH_POINT_VARIABLE: point}, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert goal.read_bytes() == expected
