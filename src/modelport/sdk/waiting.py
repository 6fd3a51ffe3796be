"""Waiting for something to become so."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from modelport.domain.clock import Clock
from modelport.domain.errors import TimedOut

T = TypeVar("T")

PAUSE_S = 1.0
"""Seconds between two looks. The server answers as soon as there is news, so nobody waits for their end."""


def wait_for(look: Callable[[float], T | None], *, goal: str, timeout_s: float | None, clock: Clock) -> T:
    """Return what `look` finds, once it finds something.

    Args:
        look: Is given the seconds that it may let the server wait for news; returns None as long as the
            goal is not reached.
        goal: What is waited for, for the message: "flights to be InService".
        timeout_s: Seconds to wait; None for ever. At least one look is taken.
        clock: Measures and waits.

    Raises:
        TimedOut: The time is over. What was asked for goes on.
    """
    started = clock.monotonic()
    patience = 0.0
    while True:
        looked_at = clock.monotonic()
        found = look(patience)
        if found is not None:
            return found
        rest(patience, looked_at, clock)
        waited = clock.monotonic() - started
        if timeout_s is not None and waited >= timeout_s:
            raise TimedOut(
                f"waited {waited:.1f} s for {goal}",
                hint="it goes on in the background: see `modelport status`, or wait longer with --timeout",
            )
        patience = PAUSE_S if timeout_s is None else min(PAUSE_S, timeout_s - waited)


def rest(pause_s: float, since: float, clock: Clock) -> None:
    """Wait for what is left of a pause, which a server that has too many who wait cuts short.

    Args:
        pause_s: Seconds of the whole pause.
        since: When it began, in the clock's monotonic seconds.
        clock: Measures and waits.
    """
    left = pause_s - (clock.monotonic() - since)
    if left > 0:
        clock.sleep(left)
