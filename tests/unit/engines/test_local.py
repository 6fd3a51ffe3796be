"""Jobs as processes: started once, found again, stopped, never mistaken for another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from modelport.domain.clock import SystemClock
from modelport.engines.canary import CanaryLimits
from modelport.engines.identity import ProcessIdentity, identify
from modelport.engines.local import LocalEngine
from modelport.wire.jobs import LOG_FILE, PROCESS_FILE, STOP_FILE

POLITE = """
import pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
with (folder / "starts").open("a") as starts:
    starts.write("x")
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("working", flush=True)
(folder / "up").touch()
time.sleep(60)
"""
STUBBORN = POLITE.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")
WITH_CHILD = STUBBORN.replace(
    "time.sleep(60)",
    "import subprocess; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
    "(folder / 'child').write_text(str(child.pid)); time.sleep(60)",
).replace('(folder / "up").touch()\n', "")


def wait_for(goal: Callable[[], Any], timeout_s: float = 10.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = goal()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("the wait ended before its goal")


def engine(program: str = POLITE, grace_s: float = 0.3) -> LocalEngine:
    return LocalEngine(
        clock=SystemClock(),
        canary_command=[sys.executable, "-c", ""],
        canary_limits=CanaryLimits(5.0, 1 << 30),
        job_command=[sys.executable, "-c", program],
        grace_s=grace_s,
    )


def _ignore() -> None:
    pass


def pid_of(folder: Path) -> int:
    return msgspec.json.decode((folder / PROCESS_FILE).read_bytes(), type=ProcessIdentity).pid


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    if (tmp_path / PROCESS_FILE).exists():
        pid = pid_of(tmp_path)
        if identify(pid):
            os.killpg(pid, signal.SIGKILL)


def test_started_once_and_adopted_by_another_engine(folder: Path) -> None:
    first, second = engine(), engine()
    assert not first.alive(folder)
    first.start(folder, _ignore)
    assert first.alive(folder)
    assert second.alive(folder)
    wait_for((folder / "up").exists)
    second.start(folder, _ignore)
    assert (folder / "starts").read_text() == "x"
    assert os.getsid(pid_of(folder)) == pid_of(folder) != os.getsid(0)
    assert (folder / LOG_FILE).read_text() == "working\n"


def test_whoever_started_a_job_is_told_when_its_process_ends(folder: Path) -> None:
    ended = threading.Event()
    running = engine("pass")
    running.start(folder, ended.set)
    assert ended.wait(10.0)
    assert not running.alive(folder)


def test_stop_asks_first(folder: Path) -> None:
    running = engine()
    running.start(folder, _ignore)
    wait_for((folder / "up").exists)
    running.stop(folder)
    assert (folder / STOP_FILE).exists()
    wait_for(lambda: not running.alive(folder))


def test_stop_ends_the_whole_group_after_the_grace(folder: Path) -> None:
    running = engine(WITH_CHILD)
    running.start(folder, _ignore)
    wait_for(lambda: (folder / "child").exists() and (folder / "child").read_text())
    child = int((folder / "child").read_text())
    pid = pid_of(folder)

    def stopped() -> bool:
        running.stop(folder)
        return not running.alive(folder)

    wait_for(stopped)
    wait_for(lambda: identify(child) is None)
    wait_for(lambda: not Path(f"/proc/{pid}").exists())  # reaped: no zombie is left


def test_killed_job_is_not_alive_and_starts_again(folder: Path) -> None:
    running = engine(WITH_CHILD)
    running.start(folder, _ignore)
    child = int(wait_for(lambda: (folder / "child").exists() and (folder / "child").read_text()))
    os.kill(pid_of(folder), signal.SIGKILL)
    wait_for(lambda: not running.alive(folder))
    running.start(folder, _ignore)
    wait_for(lambda: identify(child) is None)  # what the first one left is gone, and not in the way
    wait_for(lambda: (running.start(folder, _ignore), (folder / "starts").read_text() == "xx")[1])
    assert running.alive(folder)


def test_a_recycled_pid_is_neither_alive_nor_touched(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], process_group=0) as stranger:
        known = identify(stranger.pid)
        assert known is not None
        (folder / PROCESS_FILE).write_bytes(msgspec.json.encode(ProcessIdentity(known.pid, "1", known.boot)))
        running = engine(grace_s=0.0)
        assert not running.alive(folder)
        running.stop(folder)
        running.stop(folder)
        (folder / STOP_FILE).unlink()
        running.start(folder, _ignore)
        assert stranger.poll() is None
        stranger.kill()
    assert pid_of(folder) != known.pid


def test_job_whose_starter_died_before_writing_its_name_is_not_doubled(folder: Path) -> None:
    running = engine()
    running.start(folder, _ignore)
    wait_for((folder / "up").exists)
    name = (folder / PROCESS_FILE).read_bytes()
    (folder / PROCESS_FILE).unlink()
    assert running.alive(folder)
    running.start(folder, _ignore)
    assert (folder / "starts").read_text() == "x"
    (folder / PROCESS_FILE).write_bytes(name)


def test_interrupt_leaves_no_stop_mark_and_forces_the_stubborn(folder: Path) -> None:
    running = engine(STUBBORN)
    running.start(folder, _ignore)
    wait_for((folder / "up").exists)
    running.interrupt([folder])
    wait_for(lambda: not running.alive(folder))
    assert not (folder / STOP_FILE).exists()
