"""Requests that wait for something that is on its way, and go on as if they had just come.

They are bounded in number and in time, and leave when their deadline passes; all that wait for the same thing
go on together, and whoever brings it is told when nobody waits any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from modelport.dataplane.exchange import Exchange
from modelport.domain.errors import ModelportError

GoOn = Callable[[ModelportError | None], None]
"""Takes a request up again: what it waited for is there, or settled (None), or why it waits no longer."""

Key = TypeVar("Key", bound=Hashable)


class Waiting(Generic[Key]):
    """The requests of one worker that wait.

    Args:
        now: Monotonic seconds.
        requests_max: How many may wait.
        wait_s: How long each may wait.
        refuse_more: Returns the error for one more than that; told how many wait.
        refuse_late: Returns the error for one whose own deadline passed (True), or that waited too long.
        count: Told what came of each.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float],
        requests_max: int,
        wait_s: float,
        refuse_more: Callable[[int], ModelportError],
        refuse_late: Callable[[bool], ModelportError],
        count: Callable[[str], None],
    ) -> None:
        self._now = now
        self._requests_max = requests_max
        self._wait_s = wait_s
        self._refuse_more = refuse_more
        self._refuse_late = refuse_late
        self._tally = count
        self._loop = asyncio.get_running_loop()
        self._held: dict[Key, dict[Exchange, _Held]] = {}
        self._count = 0

    def hold(self, exchange: Exchange, key: Key, go_on: GoOn, *, shadow: bool = False) -> None:
        """Keep a request until what it waits for is there.

        Args:
            exchange: The request; its deadline is set.
            key: What it waits for.
            go_on: Called once, later.
            shadow: It is a copy that nobody waits for.

        Raises:
            ModelportError: Too many wait already.
        """
        if self._count >= self._requests_max:
            self._tally("refused")
            raise self._refuse_more(self._count)
        left = exchange.deadline - self._now()
        timer = self._loop.call_later(
            max(0.0, min(left, self._wait_s)), self._expire, exchange, key, left <= self._wait_s
        )
        self._held.setdefault(key, {})[exchange] = _Held(go_on, timer, shadow=shadow)
        self._count += 1

    def settle(self, key: Key, outcome: str, problem: ModelportError | None = None) -> None:
        """Let all go on that wait for something.

        Args:
            key: What.
            outcome: What came of it, to be counted.
            problem: Why it will not be there; None: it is, or they see for themselves.
        """
        for exchange in list(self._held.get(key, ())):
            self._release(exchange, key, problem, outcome)

    def is_wanted(self, key: Key) -> bool:
        """Return whether somebody still waits; close the books on those who went away."""
        held = self._held.get(key, {})
        gone = [exchange for exchange in held if exchange.answered is None and not held[exchange].shadow]
        for exchange in gone:
            self._release(exchange, key, None, "gone")
        return key in self._held

    def wanted(self) -> list[Key]:
        """Return all that somebody waits for."""
        return [key for key in list(self._held) if self.is_wanted(key)]

    def _expire(self, exchange: Exchange, key: Key, past_deadline: bool) -> None:  # noqa: FBT001 (of call_later)
        self._release(exchange, key, self._refuse_late(past_deadline), "late")

    def _release(self, exchange: Exchange, key: Key, problem: ModelportError | None, outcome: str) -> None:
        waiting = self._held[key]
        held = waiting.pop(exchange)
        if not waiting:
            del self._held[key]
        self._count -= 1
        held.timer.cancel()
        self._tally(outcome)
        held.go_on(problem)


class _Held:
    """How a waiting request goes on, and when it stops to wait."""

    __slots__ = ("go_on", "shadow", "timer")

    def __init__(self, go_on: GoOn, timer: asyncio.TimerHandle, *, shadow: bool) -> None:
        self.go_on = go_on
        self.timer = timer
        self.shadow = shadow
