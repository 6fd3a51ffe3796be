"""One supervisor gives way to the next in the same process, on small real programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.platform import wait_for
from modelport.engines.identity import identify
from modelport.supervisor.upgrade import Heirloom, Replaced, Request, Upgrade, UpgradeState

pytestmark = pytest.mark.processes

SUPERVISOR = """
import json, os, sys
from pathlib import Path
from modelport.domain.clock import SystemClock
from modelport.supervisor.loop import Hooks, Supervisor
from modelport.supervisor.table import ProcessSpec, table_document
from modelport.supervisor.upgrade import Heirloom, Request, Upgrade
from modelport.supervisor.upgrading import Succession

folder, generation = Path(sys.argv[1]), int(sys.argv[2])
programs = json.loads((folder / "programs.json").read_text())
specs = [
    ProcessSpec(name, (sys.executable, "-S", "-c", program), log=folder / f"{name}.log",
                overlaps=name.startswith("worker"))
    for name, program in programs.items()
]

def publish(views, upgrade):
    whole = folder / "table.tmp"
    whole.write_text(json.dumps(table_document(os.getpid(), str(generation), views, upgrade)))
    whole.replace(folder / "table.json")

def leave(upgrade, heirlooms):
    document = [upgrade.document(), [heirloom.document() for heirloom in heirlooms]]
    (folder / "left.json").write_text(json.dumps(document))

def become(upgrade, heirlooms):
    leave(upgrade, heirlooms)
    os.execv(upgrade.request.python, [upgrade.request.python, __file__, str(folder), str(generation + 1)])

def check(upgrade, heirlooms):
    return ProcessSpec("check", (sys.executable, "-S", "-c", (folder / "check").read_text()),
                       log=folder / "check.log")

upgrade, inherited = None, ()
if generation > 1:
    document, heirlooms = json.loads((folder / "left.json").read_text())
    upgrade, inherited = Upgrade.from_document(document), [Heirloom.from_document(one) for one in heirlooms]
    upgrade.to_version = str(generation)
Supervisor(
    specs,
    clock=SystemClock(),
    hooks=Hooks(publish, (folder / "ready").touch, lambda line: print(line, flush=True)),
    grace_s=1.0,
    succession=Succession(
        str(generation),
        lambda: Request("r", (folder / "python").read_text()),
        check,
        become,
        float((folder / "patience").read_text()),
        upgrade,
        inherited,
    ),
).run()
"""
READY = "import os, signal, time; os.write(int(os.environ['MODELPORT_READY_FD']), b'1');"
MASKED = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]);"
POLITE = MASKED + READY + "signal.sigwait([signal.SIGTERM])"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + READY + "time.sleep(60)"
HANGING = "import time; time.sleep(60)"
SICKLY = "raise SystemExit('a bad build')"
FINE = "pass"


class Running:
    """A supervisor in a process of its own."""

    def __init__(self, folder: Path, programs: dict[str, str]) -> None:
        self.folder = folder
        self.install(programs)
        script = folder / "supervisor.py"
        script.write_text(SUPERVISOR)
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(folder), "1"], stdout=subprocess.PIPE, text=True
        )
        wait_for((folder / "ready").exists, 30)

    def install(
        self,
        programs: dict[str, str],
        *,
        check: str = FINE,
        python: str = sys.executable,
        patience: float = 30.0,
    ) -> None:
        """Put programs where the next supervisor finds them."""
        for name, content in (
            ("programs.json", json.dumps(programs)),
            ("check", check),
            ("python", python),
            ("patience", str(patience)),
        ):
            (self.folder / name).write_text(content)

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.folder / "table.json").read_text())
        return document

    def pids(self) -> dict[str, int]:
        return {line["name"]: line["pid"] for line in self.document()["processes"] if not line["beside"]}

    def ask(self) -> None:
        self.process.send_signal(signal.SIGUSR2)

    def upgrade(self) -> dict[str, Any]:
        """Ask for an upgrade; return what became of it."""
        before = self.document()["upgrade"]
        self.ask()

        def over() -> dict[str, Any] | None:
            found: dict[str, Any] | None = self.document()["upgrade"]
            return found if found and found != before and found["state"] in ("done", "failed") else None

        return wait_for(over, 30, what="the end of the upgrade")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def run(programs: dict[str, str]) -> Running:
        started.append(Running(tmp_path, programs))
        return started[-1]

    yield run
    for running in started:
        with running.process as process:
            process.kill()


def test_everything_is_replaced_and_the_supervisor_keeps_its_pid(start: Callable[..., Running]) -> None:
    running = start({"worker-0": POLITE, "worker-1": POLITE, "control": POLITE})
    before = running.pids()
    upgrade = running.upgrade()
    after = running.pids()
    assert (upgrade["state"], upgrade["from_version"], upgrade["to_version"]) == ("done", "1", "2")
    assert upgrade["replaced"] == [
        {"name": name, "from_pid": before[name], "to_pid": after[name]} for name in before
    ]
    assert not set(before.values()) & set(after.values())
    assert [identify(pid) for pid in before.values()] == [None] * 3
    document = running.document()
    assert document["pid"] == running.process.pid
    assert {(line["state"], line["restarts"]) for line in document["processes"]} == {("running", 0)}
    assert running.upgrade()["to_version"] == "3"
    os.kill(running.pids()["control"], signal.SIGKILL)  # it still brings back what dies
    wait_for(lambda: any(line["restarts"] for line in running.document()["processes"]))
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(10) == 0


def test_a_check_that_fails_changes_nothing(start: Callable[..., Running]) -> None:
    running = start({"worker-0": POLITE, "control": POLITE})
    before = running.pids()
    running.install({"worker-0": POLITE, "control": POLITE}, check=SICKLY)
    upgrade = running.upgrade()
    assert upgrade["state"] == "failed"
    assert "the new program does not start (exit 1): a bad build" in upgrade["error"]
    running.install({"worker-0": POLITE, "control": POLITE}, python="/nowhere/python")
    assert "the new program cannot be run" in running.upgrade()["error"]
    assert (running.pids(), running.document()["version"]) == (before, "1")
    running.install({"worker-0": POLITE, "control": POLITE})
    assert running.upgrade()["state"] == "done"


@pytest.mark.parametrize(
    ("program", "words"),
    [(SICKLY, "the new worker-0 does not start"), (HANGING, "the new worker-0 was not ready within 0.5 s")],
)
def test_a_successor_that_does_not_serve_leaves_the_old_one(
    start: Callable[..., Running], program: str, words: str
) -> None:
    running = start({"worker-0": POLITE, "worker-1": POLITE, "control": POLITE})
    before = running.pids()
    running.install({"worker-0": program, "worker-1": POLITE, "control": POLITE}, patience=0.5)
    upgrade = running.upgrade()
    assert upgrade["state"] == "failed"
    assert words in upgrade["error"]
    wait_for(lambda: len(running.document()["processes"]) == 3)  # the successor is gone
    assert running.pids() == before


def test_one_that_hangs_is_replaced_too(start: Callable[..., Running]) -> None:
    running = start({"worker-0": STUBBORN, "control": STUBBORN})
    before = running.pids()
    running.install({"worker-0": POLITE, "control": POLITE})
    assert running.upgrade()["state"] == "done"
    assert [identify(pid) for pid in before.values()] == [None] * 2


def test_the_table_may_change(start: Callable[..., Running]) -> None:
    running = start({"worker-0": POLITE, "worker-1": POLITE})
    gone = running.pids()["worker-1"]
    running.install({"worker-0": POLITE, "worker-2": POLITE})
    assert running.upgrade()["state"] == "done"
    assert set(running.pids()) == {"worker-0", "worker-2"}
    assert identify(gone) is None


def test_an_old_one_that_dies_while_its_successor_starts_is_replaced(start: Callable[..., Running]) -> None:
    running = start({"worker-0": POLITE})
    before = running.pids()["worker-0"]
    running.install({"worker-0": HANGING.replace("60", "0.5") + ";" + POLITE})
    running.ask()
    wait_for(lambda: any(line["beside"] for line in running.document()["processes"]), 30)
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: running.document()["upgrade"]["state"] == "done", 30)
    assert running.document()["upgrade"]["replaced"] == [
        {"name": "worker-0", "from_pid": before, "to_pid": running.pids()["worker-0"]}
    ]
    assert running.document()["processes"][0]["restarts"] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_stopped_in_an_upgrade_it_leaves_nothing(
    start: Callable[..., Running], number: signal.Signals
) -> None:
    running = start({"worker-0": POLITE, "control": POLITE})
    running.install({"worker-0": HANGING, "control": POLITE})
    running.ask()
    wait_for(lambda: any(line["beside"] for line in running.document()["processes"]), 30)
    pids = [line["pid"] for line in running.document()["processes"]]
    running.process.send_signal(number)
    assert running.process.wait(10) == (0 if number is signal.SIGTERM else -number)
    wait_for(lambda: not any(identify(pid) for pid in pids))


def test_stopped_while_the_new_program_is_checked(start: Callable[..., Running]) -> None:
    running = start({"control": POLITE})
    running.install({"control": POLITE}, check=HANGING)
    running.ask()
    wait_for(lambda: running.document()["upgrade"])
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(10) == 0
    assert running.document()["upgrade"]["error"] == "the platform was asked to stop"


TEXT = st.text(max_size=5)
heirlooms = st.builds(
    Heirloom,
    TEXT,
    st.integers(1),
    st.integers(0),
    st.none() | st.integers(0),
    ready=st.booleans(),
    restarts=st.integers(0),
    since=TEXT,
    last_exit=st.none() | TEXT,
)
upgrades = st.builds(
    Upgrade,
    st.builds(Request, TEXT, TEXT),
    TEXT,
    st.none() | TEXT,
    st.sampled_from(UpgradeState),
    st.none() | TEXT,
    st.lists(st.builds(Replaced, TEXT, st.integers(1), st.integers(1)), max_size=2),
)


@settings(max_examples=30)
@given(upgrades, heirlooms)
def test_what_is_left_is_what_is_found(upgrade: Upgrade, heirloom: Heirloom) -> None:
    written = json.loads(json.dumps([upgrade.document(), heirloom.document()]))
    assert Upgrade.from_document({**written[0], "later": 1}) == upgrade
    assert Heirloom.from_document({**written[1], "later": 1}) == heirloom
