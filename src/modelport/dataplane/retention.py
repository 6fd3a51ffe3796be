"""How long captured traffic is kept: at most so old, and at most so much for each endpoint."""

from __future__ import annotations

import fcntl
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from modelport.domain.clock import Clock
from modelport.settings import Settings

PERIOD_S = 30.0
LOCK = ".retention"
PATTERN = "*/*/*/*/*/*.jsonl"  # variant, year, month, day, hour, file
FOLDERS_TO_PRUNE = 5


@dataclass(frozen=True, slots=True)
class Captured:
    """One file: its path, the hour it is of (UTC), its bytes."""

    path: Path
    hour: datetime
    size: int


def choose_expired(
    files: Iterable[Captured], now: datetime, *, max_age: timedelta, max_bytes: int
) -> list[Captured]:
    """Return which files of one endpoint have to go: those too old, then the oldest that are too much.

    Args:
        files: All there are.
        now: Aware.
        max_age: Counted from the end of a file's hour.
        max_bytes: Of all files together.
    """
    ordered = sorted(files, key=lambda file: (file.hour, file.path.name))
    total = sum(file.size for file in ordered)
    expired = []
    for file in ordered:
        if now - (file.hour + timedelta(hours=1)) > max_age or total > max_bytes:
            expired.append(file)
            total -= file.size
    return expired


class Retention:
    """Enforces the limits, in one process at a time.

    Args:
        folder: `captures` of the home.
        settings: The limits.
        clock: Time.
    """

    def __init__(self, folder: Path, settings: Settings, clock: Clock) -> None:
        self._folder = folder
        self._max_age = timedelta(days=settings.capture_max_age_days)
        self._max_bytes = settings.capture_max_bytes
        self._clock = clock
        self._due = clock.monotonic()
        self._lock: IO[bytes] | None = None

    def enforce_when_due(self) -> None:
        """Remove what has to go, every half minute, if no other process does it already.

        Raises:
            OSError: The folder cannot be read.
        """
        if self._clock.monotonic() < self._due:
            return
        self._due = self._clock.monotonic() + PERIOD_S
        if self._folder.is_dir() and self._hold():
            self.enforce()

    def close(self) -> None:
        """Let another process be the one."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def enforce(self) -> None:
        """Remove what has to go, now."""
        now = self._clock.now()
        for endpoint in self._folder.iterdir():
            if not endpoint.is_dir():
                continue
            files = list(_files(endpoint))
            for file in choose_expired(files, now, max_age=self._max_age, max_bytes=self._max_bytes):
                file.path.unlink(missing_ok=True)
                _prune(file.path)

    def _hold(self) -> bool:
        """Return whether this process is the one; it stays so until it ends."""
        if self._lock is not None:
            return True
        lock = (self._folder / LOCK).open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._lock = lock
        return True


def _files(endpoint: Path) -> Iterable[Captured]:
    for path in endpoint.glob(PATTERN):
        year, month, day, hour = path.parts[-5:-1]
        with suppress(ValueError, FileNotFoundError):
            yield Captured(
                path, datetime(int(year), int(month), int(day), int(hour), tzinfo=UTC), path.stat().st_size
            )


def _prune(path: Path) -> None:
    """Remove the folders above a removed file that are empty now."""
    for folder in list(path.parents)[:FOLDERS_TO_PRUNE]:
        try:
            folder.rmdir()
        except OSError:
            return
