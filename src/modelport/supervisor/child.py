"""One running process of the table."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

from modelport.supervisor.table import ProcessSpec
from modelport.supervisor.tether import KERNEL_TETHERS, tether_before_exec

READY_VARIABLE = "MODELPORT_READY_FD"
TETHER_VARIABLE = "MODELPORT_TETHER_FD"
LOG_BYTES_MAX = 16 << 20
LOG_TAIL_BYTES = 2000


class Child:
    """A started process: its pid, and a pipe on which it says that it is ready.

    Args:
        pid: Its process id; it is a child of this process.
        ready_fd: Reading end of its ready pipe.
        tether_fd: Writing end of the pipe it watches; None where the kernel tethers it.
    """

    def __init__(self, pid: int, ready_fd: int, tether_fd: int | None) -> None:
        self.pid = pid
        self.ready_fd = ready_fd
        self.tether_fd = tether_fd
        self._code: int | None = None
        for descriptor in (ready_fd, tether_fd):
            if descriptor is not None:
                os.set_inheritable(descriptor, False)
        os.set_blocking(ready_fd, False)

    @classmethod
    def start(cls, spec: ProcessSpec) -> Self:
        """Start a process.

        It leads a process group of its own, so that Ctrl-C in a terminal reaches the supervisor alone.

        Args:
            spec: What to start.

        Raises:
            OSError: It cannot be started.
        """
        ready, told = os.pipe()
        ours, theirs = [ready], [told]
        env = {**os.environ, **spec.env, READY_VARIABLE: str(told)}
        tether: int | None = None
        try:
            if not KERNEL_TETHERS:
                watched, tether = os.pipe()
                ours.append(tether)
                theirs.append(watched)
                env[TETHER_VARIABLE] = str(watched)
            with _open_log(spec.log) as log:
                process = subprocess.Popen(
                    spec.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=[*spec.fds, *theirs],
                    env=env,
                    process_group=0,
                    preexec_fn=tether_before_exec(),  # noqa: PLW1509 - the supervisor has one thread
                )
        except BaseException:
            for descriptor in ours:
                os.close(descriptor)
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        process.returncode = 0  # it is waited for here, like one that was taken over
        return cls(process.pid, ready, tether)

    def said_ready(self) -> bool:
        """Return whether it wrote to its ready pipe since the last call."""
        with suppress(BlockingIOError):
            return bool(os.read(self.ready_fd, 1))
        return False

    def ended(self) -> str | None:
        """Return how it ended, for people; None while it runs. Reaps it."""
        if self._code is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                return "ended unseen"
            if pid == 0:
                return None
            self._code = os.waitstatus_to_exitcode(status)
        code = self._code
        if code >= 0:
            return f"exit {code}"
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"

    def send(self, number: signal.Signals) -> None:
        """Signal it; nothing happens when it has ended."""
        if self.ended() is None:
            os.kill(self.pid, number)

    def close(self) -> None:
        """Give its pipes back."""
        os.close(self.ready_fd)
        if self.tether_fd is not None:
            os.close(self.tether_fd)


def _open_log(path: Path) -> IO[bytes]:
    """Open a log to append to; one that has grown long becomes `NAME.1` first."""
    with suppress(FileNotFoundError):
        if path.is_file() and path.stat().st_size > LOG_BYTES_MAX:
            path.replace(path.with_name(path.name + ".1"))
    return path.open("ab")


def last_words(spec: ProcessSpec) -> str:
    """Return the last line a process wrote; where that is a hint, the error before it."""
    try:
        with spec.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
            lines = log.read().decode("utf-8", "replace").strip().splitlines()
    except OSError:
        return "it left no log"
    errors = [line for line in lines[-2:-1] if line.startswith("error: ") and lines[-1].startswith("hint: ")]
    if errors:
        return f"{errors[0].removeprefix('error: ')} ({lines[-1].removeprefix('hint: ')})"
    return lines[-1] if lines else "it said nothing"
