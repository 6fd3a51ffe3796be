"""Waiting for something to become so."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from modelport.domain.clock import Clock
from modelport.domain.errors import TimedOut

T = TypeVar("T")

FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 0.2
GROWTH = 1.5


def wait_for(look: Callable[[], T | None], *, goal: str, timeout_s: float | None, clock: Clock) -> T:
    """Return what `look` finds, once it finds something.

    Args:
        look: Returns None as long as the goal is not reached.
        goal: What is waited for, for the message: "flights to be InService".
        timeout_s: Seconds to wait; None for ever. At least one look is taken.
        clock: Measures and waits.

    Raises:
        TimedOut: The time is over. What was asked for goes on.
    """
    started = clock.monotonic()
    pause = FIRST_PAUSE_S
    while True:
        found = look()
        if found is not None:
            return found
        waited = clock.monotonic() - started
        if timeout_s is not None and waited >= timeout_s:
            raise TimedOut(
                f"waited {waited:.1f} s for {goal}",
                hint="it goes on in the background: see `modelport status`, or wait longer with --timeout",
            )
        clock.sleep(pause if timeout_s is None else min(pause, timeout_s - waited))
        pause = min(pause * GROWTH, LONGEST_PAUSE_S)
