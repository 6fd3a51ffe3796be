"""One running process of the table."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import IO

from modelport.supervisor.table import ProcessSpec
from modelport.supervisor.tether import KERNEL_TETHERS, tether_before_exec

READY_VARIABLE = "MODELPORT_READY_FD"
TETHER_VARIABLE = "MODELPORT_TETHER_FD"
LOG_BYTES_MAX = 16 << 20


class Child:
    """A started process: its pid, and a pipe on which it says that it is ready.

    It leads a process group of its own, so that Ctrl-C in a terminal reaches the supervisor alone.

    Args:
        spec: What to start.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(self, spec: ProcessSpec) -> None:
        self.spec = spec
        self.ready_fd, told = os.pipe()
        self._tether: int | None = None
        inherited = [*spec.fds, told]
        watched: int | None = None
        env = {**os.environ, **spec.env, READY_VARIABLE: str(told)}
        if not KERNEL_TETHERS:
            watched, self._tether = os.pipe()
            inherited.append(watched)
            env[TETHER_VARIABLE] = str(watched)
        try:
            with _open_log(spec.log) as log:
                self._process = subprocess.Popen(
                    spec.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=inherited,
                    env=env,
                    process_group=0,
                    preexec_fn=tether_before_exec(),  # noqa: PLW1509 - the supervisor has one thread
                )
        except BaseException:
            self.close()
            raise
        finally:
            os.close(told)
            if watched is not None:
                os.close(watched)
        os.set_blocking(self.ready_fd, False)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def said_ready(self) -> bool:
        """Return whether it wrote to its ready pipe since the last call."""
        with suppress(BlockingIOError):
            return bool(os.read(self.ready_fd, 1))
        return False

    def ended(self) -> str | None:
        """Return how it ended, for people; None while it runs. Reaps it."""
        code = self._process.poll()
        if code is None:
            return None
        if code >= 0:
            return f"exit {code}"
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"

    def send(self, number: signal.Signals) -> None:
        """Signal it; nothing happens when it has ended."""
        if self._process.poll() is None:
            self._process.send_signal(number)

    def close(self) -> None:
        """Give its pipes back."""
        os.close(self.ready_fd)
        if self._tether is not None:
            os.close(self._tether)


def _open_log(path: Path) -> IO[bytes]:
    """Open a log to append to; one that has grown long becomes `NAME.1` first."""
    with suppress(FileNotFoundError):
        if path.is_file() and path.stat().st_size > LOG_BYTES_MAX:
            path.replace(path.with_name(path.name + ".1"))
    return path.open("ab")
