"""The loop, on small real processes. Each test runs a supervisor in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelport.engines.identity import identify

pytestmark = pytest.mark.processes

SUPERVISOR = """
import json, os, sys
from pathlib import Path
from modelport.domain.clock import SystemClock
from modelport.domain.errors import ModelportError
from modelport.supervisor.loop import Hooks, Supervisor
from modelport.supervisor.upgrading import Succession
from modelport.supervisor.table import ProcessSpec, RestartPolicy, table_document

folder = Path(sys.argv[1])
programs = json.loads(sys.argv[2])
specs = [
    ProcessSpec(name, (sys.executable, "-S", "-c", program), log=folder / f"{name}.log",
                restart=RestartPolicy(first_delay_s=0.02, delay_max_s=0.1), once=name.startswith("once"))
    for name, program in programs.items()
]

def publish(views, upgrade):
    whole = folder / "table.tmp"
    whole.write_text(json.dumps(table_document(os.getpid(), "1", views, upgrade)))
    whole.replace(folder / "table.json")

def guests():
    try:
        programs = json.loads((folder / "guests.json").read_text())
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise ModelportError(str(error)) from error
    return [
        ProcessSpec(name, (sys.executable, "-S", "-c", program), log=folder / f"{name}.log", guest=True,
                    restart=RestartPolicy(first_delay_s=0.02, delay_max_s=0.1))
        for name, program in programs.items()
    ]

hooks = Hooks(publish, lambda: (folder / "ready").touch(), lambda line: print(line, flush=True))
eof = 0 if len(sys.argv) > 3 else None
try:
    Supervisor(specs, clock=SystemClock(), hooks=hooks, grace_s=1.0, guests=guests, stop_on_eof=eof,
               succession=Succession("1", None, None, None, 10.0)).run()
except ModelportError as error:
    print(error, flush=True)
    sys.exit(1)
"""
READY = "import os, signal, time; os.write(int(os.environ['MODELPORT_READY_FD']), b'1');"
POLITE = READY + "signal.sigwait([signal.SIGTERM])"
STUBBORN = READY + "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
SICKLY = "raise SystemExit('no such database')"
MASKED = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]);"


def wait_for(goal: Callable[[], Any], timeout_s: float = 10.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = goal()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("the wait ended before its goal")


class Running:
    """A supervisor in a process of its own."""

    def __init__(self, folder: Path, programs: dict[str, str], *, on_eof: bool = False) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                SUPERVISOR,
                str(folder),
                json.dumps(programs),
                *(["eof"] if on_eof else []),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def table(self) -> dict[str, dict[str, Any]]:
        try:
            document = json.loads((self.folder / "table.json").read_text())
        except FileNotFoundError:
            return {}
        return {line["name"]: line for line in document["processes"]}

    def pid(self, name: str) -> int:
        line = wait_for(lambda: self.table().get(name, {}).get("state") == "running" and self.table()[name])
        return int(line["pid"])

    def welcome(self, guests: dict[str, str]) -> None:
        """Let other guests run."""
        (self.folder / "guests.json").write_text(json.dumps(guests))
        self.process.send_signal(signal.SIGUSR1)

    def wait_ready(self) -> None:
        wait_for((self.folder / "ready").exists)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def run(programs: dict[str, str], **options: Any) -> Running:
        started.append(Running(tmp_path, programs, **options))
        return started[-1]

    yield run
    for running in started:
        with running.process as process:
            process.kill()


def test_ready_means_all_are_ready_and_a_killed_one_comes_back(start: Callable[..., Running]) -> None:
    running = start({"a": MASKED + POLITE, "b": MASKED + POLITE})
    running.wait_ready()
    first = running.pid("a")
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: running.table()["a"]["restarts"] == 1 and running.table()["a"]["state"] == "running")
    assert running.pid("a") != first
    assert running.table()["a"]["last_exit"] == "killed by SIGKILL"
    assert running.table()["b"]["restarts"] == 0


def test_what_is_done_once_leaves_the_table_and_nobody_waits_for_it(start: Callable[..., Running]) -> None:
    running = start({"a": POLITE, "once-well": "import time; time.sleep(0.3)", "once-badly": SICKLY})
    running.wait_ready()
    wait_for(lambda: set(running.table()) == {"a"})
    assert running.table()["a"]["restarts"] == 0
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(10) == 0
    assert running.process.stdout is not None
    assert running.process.stdout.read().splitlines() == ["once-badly failed (exit 1): no such database"]


def test_term_ends_everything_and_force_ends_the_stubborn(start: Callable[..., Running]) -> None:
    running = start({"polite": MASKED + POLITE, "stubborn": STUBBORN})
    running.wait_ready()
    pids = [running.pid("polite"), running.pid("stubborn")]
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(10) == 0
    assert [identify(pid) for pid in pids] == [None, None]
    assert running.table()["polite"]["last_exit"] == "exit 0"
    assert running.table()["stubborn"]["last_exit"] == "killed by SIGKILL"


def test_children_die_with_a_killed_supervisor(start: Callable[..., Running]) -> None:
    running = start({"stubborn": STUBBORN})
    running.wait_ready()
    pid = running.pid("stubborn")
    running.process.kill()
    wait_for(lambda: identify(pid) is None)


def test_process_that_never_gets_ready_fails_the_start_with_its_words(start: Callable[..., Running]) -> None:
    running = start({"fine": MASKED + POLITE, "sickly": SICKLY})
    said, _ = running.process.communicate(timeout=10)
    assert running.process.returncode == 1
    assert "sickly does not start" in said
    assert "no such database" in said


def test_a_program_that_cannot_be_started_is_no_end_of_the_others(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    running = start({"fine": MASKED + POLITE, "stuck": MASKED + POLITE})
    running.wait_ready()
    log = tmp_path / "stuck.log"
    log.unlink()
    log.mkdir()  # as if the disk were full: its log cannot be opened
    os.kill(running.pid("stuck"), signal.SIGKILL)
    wait_for(lambda: "cannot be started" in str(running.table()["stuck"]["last_exit"]))
    assert running.table()["fine"]["state"] == "running"
    log.rmdir()
    wait_for(lambda: running.table()["stuck"]["state"] == "running")
    assert running.table()["fine"]["restarts"] == 0


def test_a_wrong_setting_is_not_tried_again(start: Callable[..., Running]) -> None:
    running = start({"fine": MASKED + POLITE, "wrong": "import sys; print('no such setting'); sys.exit(2)"})
    said, _ = running.process.communicate(timeout=10)
    assert running.process.returncode == 1
    assert "wrong does not start (exit 2): no such setting" in said
    assert "starting it again" not in said


def test_a_wrong_setting_is_told_with_its_hint(start: Callable[..., Running]) -> None:
    running = start({"wrong": "import sys; print('error: line 2 is wrong\\nhint: NAME=1'); sys.exit(2)"})
    said, _ = running.process.communicate(timeout=10)
    assert "wrong does not start (exit 2): line 2 is wrong (NAME=1)" in said


GUEST = MASKED + STUBBORN


def test_guests_come_and_go_while_the_others_run(start: Callable[..., Running]) -> None:
    running = start({"own": MASKED + POLITE})
    running.wait_ready()
    running.welcome({"one": GUEST, "two": GUEST})
    one, two = running.pid("one"), running.pid("two")
    os.kill(two, signal.SIGKILL)
    wait_for(lambda: running.table()["two"]["restarts"] == 1 and running.table()["two"]["state"] == "running")
    running.welcome({"one": GUEST, "three": GUEST})
    wait_for(lambda: set(running.table()) == {"own", "one", "three"})
    assert running.pid("one") == one
    running.pid("three")
    (running.folder / "guests.json").write_text("{ no json")
    running.process.send_signal(signal.SIGUSR1)
    running.welcome({"one": GUEST})
    wait_for(lambda: set(running.table()) == {"own", "one"})
    assert (running.pid("one"), running.table()["own"]["restarts"]) == (one, 0)


def test_a_guest_that_is_wanted_again_while_it_ends_runs_again(start: Callable[..., Running]) -> None:
    running = start({"own": MASKED + POLITE})
    running.wait_ready()
    running.welcome({"one": GUEST})
    before = running.pid("one")
    for _ in range(20):
        running.welcome({})
        running.welcome({"one": GUEST})
    wait_for(lambda: identify(before) is None or running.table()["one"]["state"] == "running")
    assert identify(running.pid("one")) is not None
    assert running.table()["one"]["last_exit"] is None, "it was no failure that it ended"


def test_a_guest_that_never_starts_keeps_nobody_waiting(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    (tmp_path / "guests.json").write_text(json.dumps({"sickly": SICKLY, "wrong": "raise SystemExit(4)"}))
    running = start({"own": MASKED + POLITE})
    running.wait_ready()
    wait_for(lambda: running.table()["sickly"]["restarts"] > 4 and running.table()["wrong"]["restarts"] > 4)
    assert running.table()["own"]["state"] == "running"


def test_guests_end_last_when_nobody_is_left_who_could_ask_them(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    (tmp_path / "guests.json").write_text(json.dumps({"guest": GUEST}))
    asks = (
        MASKED
        + READY
        + (
            "signal.sigwait([signal.SIGTERM]); time.sleep(0.4); import json;"
            f"lines = json.load(open({str(tmp_path / 'table.json')!r}))['processes'];"
            "pid = next(line['pid'] for line in lines if line['name'] == 'guest');"
            f"os.kill(pid, 0); open({str(tmp_path / 'answered')!r}, 'w')"
        )
    )
    running = start({"own": asks})
    running.wait_ready()
    pid = running.pid("guest")
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(10) == 0
    assert (tmp_path / "answered").exists(), "it was there to the end"
    assert identify(pid) is None


def test_end_of_the_watched_input_stops_the_platform(start: Callable[..., Running]) -> None:
    running = start({"polite": MASKED + POLITE}, on_eof=True)
    running.wait_ready()
    assert running.process.stdin is not None
    running.process.stdin.close()
    assert running.process.wait(10) == 0
