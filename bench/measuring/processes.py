"""A server and everything it started: found by a mark in its environment, measured, paused and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import uuid
from pathlib import Path

MARK = "MODELPORT_BENCH_MARK"
STOP_TIMEOUT_S = 20.0
QUIET_S, QUIET_SHARE = 0.5, 0.05


class Marked:
    """A command and all its descendants, daemons included.

    They are known by a variable that children inherit, so that a process which was handed to init counts,
    and is ended, like the others.

    Args:
        command: What to start.
        core: Core it is bound to; None leaves it free.
        log: File for everything it says.
        environment: Variables on top of this process's own.
        folder: Where it runs.
        pass_fds: Descriptors it inherits.
    """

    def __init__(
        self,
        command: list[str],
        *,
        core: int | None,
        log: Path,
        environment: dict[str, str] | None = None,
        folder: Path | None = None,
        pass_fds: tuple[int, ...] = (),
    ) -> None:
        self._mark = uuid.uuid4().hex
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                bound(core, command),
                env={**os.environ, **(environment or {}), MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                pass_fds=pass_fds,
                start_new_session=True,
            )

    def pids(self) -> list[int]:
        """Return everything that carries the mark now."""
        wanted = f"{MARK}={self._mark}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return found

    def processor_seconds(self, pids: list[int]) -> float:
        """Return the processor time all threads of these processes have had."""
        return sum(map(processor_seconds, pids))

    def pss_bytes(self) -> int:
        """Return the proportional set size of all its processes, in bytes."""
        return sum(map(pss_bytes, self.pids()))

    def settle(self, timeout_s: float = 20.0) -> None:
        """Wait until it has done what it still does after its first answer: a control plane comes up."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            pids = self.pids()
            before = self.processor_seconds(pids)
            time.sleep(QUIET_S)
            if self.processor_seconds(pids) - before < QUIET_SHARE * QUIET_S:
                return

    def pause(self) -> None:
        """Keep it from running, so that its idle work does not disturb whoever is measured."""
        self._tell(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run again."""
        self._tell(signal.SIGCONT)

    def stop(self) -> None:
        """End it: politely, then whatever is left of it."""
        self.resume()
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_TIMEOUT_S)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while self.pids() and time.monotonic() < deadline:
            self._tell(signal.SIGKILL)
            time.sleep(0.05)
        self.process.wait()

    def last_words(self, lines: int = 3) -> str:
        """Return the end of what it said, in one line."""
        said = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return " / ".join(said[-lines:])[-400:]

    def _tell(self, number: signal.Signals) -> None:
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def bound(core: int | None, command: list[str]) -> list[str]:
    """Return the command, bound to a core."""
    return command if core is None else ["taskset", "-c", str(core), *command]


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process's threads in seconds; 0 when it is gone.

    Source: Linux, Documentation/scheduler/sched-stats.rst, first field of /proc/PID/task/TID/schedstat.
    """
    total = 0
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            total += int(task.read_text().split()[0])
    return total / 1e9


def pss_bytes(pid: int) -> int:
    """Return a process's proportional set size in bytes; 0 when it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
