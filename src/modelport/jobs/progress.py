"""How far a job is: `progress.json`, replaced about twice a second."""

from __future__ import annotations

from pathlib import Path

import msgspec

from modelport.domain.clock import Clock
from modelport.wire.jobs import PROGRESS_FILE, Progress

WRITE_EVERY_S = 0.5


class ProgressFile:
    """Writes a job's progress, not more often than useful.

    It is replaced whole but not fsynced: after a crash a new run writes it again.

    Args:
        folder: The job's folder.
        clock: Source of time.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._file = folder / PROGRESS_FILE
        self._clock = clock
        self._written_at = float("-inf")
        self._phase = ""

    def write(self, progress: Progress) -> None:
        """Write now when the phase changed or the last time is long enough ago."""
        now = self._clock.monotonic()
        if progress.phase == self._phase and now - self._written_at < WRITE_EVERY_S:
            return
        self._written_at, self._phase = now, progress.phase
        temporary = self._file.with_suffix(".tmp")
        temporary.write_bytes(msgspec.json.encode(progress))
        temporary.replace(self._file)


class Pace:
    """Rows per second of this run, and the seconds that are left.

    Args:
        clock: Source of time.
        share_before: Share of the work that was done before this run, 0 to 1.
    """

    def __init__(self, clock: Clock, share_before: float = 0.0) -> None:
        self._clock = clock
        self._started_at = clock.monotonic()
        self._share_before = share_before

    def measure(self, rows: int, share: float) -> tuple[float | None, float | None]:
        """Return (rows per second, seconds left); None before there is anything to tell from.

        Args:
            rows: Rows done in this run.
            share: Share of the whole work that is done, 0 to 1.
        """
        seconds = self._clock.monotonic() - self._started_at
        gained = share - self._share_before
        if seconds <= 0 or rows <= 0 or gained <= 0:
            return None, None
        return rows / seconds, max(0.0, (1 - share) * seconds / gained)
