"""One platform per home."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelport.domain.clock import SystemClock
from modelport.domain.errors import Conflict
from modelport.supervisor.lock import HomeLock, lock_holder


def test_second_holder_learns_who_the_first_is(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert lock_holder(path) is None
    with HomeLock(path, SystemClock()):
        assert lock_holder(path) == os.getpid()
        with pytest.raises(Conflict, match=str(os.getpid())):
            HomeLock(path, SystemClock())
    assert lock_holder(path) is None
    HomeLock(path, SystemClock()).release()


def test_lock_falls_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = (
        "import sys, os, signal; from pathlib import Path; from modelport.supervisor.lock import HomeLock;"
        "from modelport.domain.clock import SystemClock;"
        "lock = HomeLock(Path(sys.argv[1]), SystemClock()); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert lock_holder(path) is None
    HomeLock(path, SystemClock()).release()


def test_a_look_at_the_lock_is_not_taken_for_a_platform(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    HomeLock(path, SystemClock()).release()
    with path.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)

        class LookEnds(SystemClock):
            def sleep(self, seconds: float) -> None:
                fcntl.flock(looking, fcntl.LOCK_UN)

        HomeLock(path, LookEnds()).release()
