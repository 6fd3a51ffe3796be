"""The loop that makes wishes true: woken by every wish and every observation, and once a second anyway.

Level-triggered: a wake-up says only *look*, never what happened, so a lost one costs a second and no more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from modelport.domain.clock import Clock

RETRY_S = 1.0
SHORTEST_REST_S = 0.001
PASSES_MAX = 100
"""Passes in a row that may all find something to do, before the loop takes a breath."""

_log = structlog.get_logger("modelport.loop")


class Reconciler(Protocol):
    """Makes some kind of wish true, a step at a time."""

    def step(self) -> float:
        """Do what can be done now; return the seconds after which to look again, 0: at once."""
        ...


class Periodic:
    """A reconciler that does one thing now and then.

    Args:
        do: What; it is done again after the period also where it fails.
        period_s: Seconds from one beginning to the next.
        clock: Time.
        first_s: Seconds before the first time.
    """

    def __init__(
        self, do: Callable[[], None], period_s: float, clock: Clock, *, first_s: float = 0.0
    ) -> None:
        self.name = do.__qualname__
        self._do = do
        self._period_s = period_s
        self._clock = clock
        self._due = clock.monotonic() + first_s

    def step(self) -> float:
        """Do it when it is time; return the seconds until it is."""
        left = self._due - self._clock.monotonic()
        if left > 0:
            return left
        self._due = self._clock.monotonic() + self._period_s
        self._do()
        return self._period_s


class Loop:
    """Runs reconcilers in a thread of its own.

    Args:
        reconcilers: Asked in this order, in each pass.
        clock: Time.
        wake: Set by whoever has news.
    """

    def __init__(self, reconcilers: Sequence[Reconciler], *, clock: Clock, wake: threading.Event) -> None:
        self._reconcilers = reconcilers
        self._clock = clock
        self._wake = wake
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="control-loop", daemon=True)
        self._passed_at = clock.monotonic()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End after the present pass."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def idle_s(self) -> float:
        """Return the seconds since the last pass without a failure."""
        return self._clock.monotonic() - self._passed_at

    def run_until_quiet(self) -> float:
        """Pass until nothing is left to do at once; return the seconds until something may be."""
        rest = 0.0
        for _ in range(PASSES_MAX):
            rest = self._pass()
            if rest > 0 or self._stopping:
                break
        return rest

    def _pass(self) -> float:
        rests = []
        failed = False
        for reconciler in self._reconcilers:
            try:
                rests.append(reconciler.step())
            except Exception:  # noqa: BLE001 (a full disk, a database that restarts: the next pass looks afresh)
                _log.exception("loop.failed", reconciler=_name(reconciler))
                rests.append(RETRY_S)
                failed = True
        if not failed:
            self._passed_at = self._clock.monotonic()
        return min(rests)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            self._wake.wait(max(self.run_until_quiet(), SHORTEST_REST_S))


def _name(reconciler: Reconciler) -> str:
    return reconciler.name if isinstance(reconciler, Periodic) else type(reconciler).__name__
