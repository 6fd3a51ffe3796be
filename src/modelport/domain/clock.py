"""Time as something that is handed in, so that tests can turn the hands."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the product may know of time."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware, in UTC. For records and schedules."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back. For durations, deadlines and leases of this process."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        ...


class SystemClock:
    """The machine's own clock; the only place that reads it."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware, in UTC."""
        return datetime.now(UTC)

    monotonic = staticmethod(time.monotonic)  # read several times for each prediction: no call in between

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        time.sleep(seconds)
