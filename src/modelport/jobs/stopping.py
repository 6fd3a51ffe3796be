"""How a job learns that it should stop: a file in its folder, or a flag its process sets on a signal."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from modelport.domain.clock import Clock
from modelport.wire.jobs import STOP_FILE

LOOK_EVERY_S = 0.2


class Flag(Protocol):
    """What a signal handler sets; `threading.Event` is one."""

    def is_set(self) -> bool:
        """Return whether it was set."""
        ...


class StopRequest:
    """Whether this job was asked to stop. Cheap to ask often.

    Args:
        folder: The job's folder.
        clock: Source of time.
        flag: Set by the process on SIGTERM; None when nobody sets one.
    """

    def __init__(self, folder: Path, clock: Clock, flag: Flag | None = None) -> None:
        self._file = folder / STOP_FILE
        self._clock = clock
        self._flag = flag
        self._looked_at = float("-inf")
        self._seen = False

    def made(self) -> bool:
        """Return whether to stop now; once True, always True."""
        if self._seen:
            return True
        if self._flag is not None and self._flag.is_set():
            self._seen = True
        else:
            now = self._clock.monotonic()
            if now - self._looked_at >= LOOK_EVERY_S:
                self._looked_at = now
                self._seen = self._file.exists()
        return self._seen
