"""One platform per home."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelport.domain.errors import Conflict
from modelport.supervisor.lock import HomeLock, lock_holder


def test_second_holder_learns_who_the_first_is(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert lock_holder(path) is None
    with HomeLock(path):
        assert lock_holder(path) == os.getpid()
        with pytest.raises(Conflict, match=str(os.getpid())):
            HomeLock(path)
    assert lock_holder(path) is None
    HomeLock(path).release()


def test_lock_falls_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = (
        "import sys, os, signal; from pathlib import Path; from modelport.supervisor.lock import HomeLock;"
        "lock = HomeLock(Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert lock_holder(path) is None
    HomeLock(path).release()
