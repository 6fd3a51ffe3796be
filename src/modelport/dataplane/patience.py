"""How long a slow client is waited for, and when each connection is looked at."""

from __future__ import annotations

from typing import Protocol


class Patience:
    """Seconds that a client may take, earned anew by every byte that it moves, and never more than at first.

    A client that stops is cut after `longest_s`; one that stays below `bytes_per_s` for long is cut too,
    however regularly a byte comes; one that keeps above it may take as long as it likes.

    Args:
        longest_s: Seconds at first, and at most.
        bytes_per_s: Bytes that earn a second.
        now: Monotonic seconds.

    Source: Apache's mod_reqtimeout, `body=LONGEST,MinRate=RATE`.
    """

    __slots__ = ("_bytes_per_s", "_longest_s", "_until")

    def __init__(self, longest_s: float, bytes_per_s: float, now: float) -> None:
        self._longest_s = longest_s
        self._bytes_per_s = bytes_per_s
        self._until = now + longest_s

    def moved(self, count: int, now: float) -> None:
        """Note that `count` bytes came or went."""
        earned = self._until + count / self._bytes_per_s
        latest = now + self._longest_s
        self._until = min(earned, latest)

    def over(self, now: float) -> bool:
        """Return whether it has been long enough."""
        return now > self._until


class Watched(Protocol):
    """Something that is looked at."""

    place: set[Watched] | None
    """Where the rounds keep it; theirs alone."""

    def check(self, now: float) -> float:
        """Do what is due; return when to look again: at once, or in the past, means at the next tick."""
        ...


class Rounds:
    """Looks at each connection when it says so, hence ten thousand idle ones cost nothing each tick.

    Args:
        tick_s: Seconds between two ticks.
        now: Monotonic seconds.
    """

    def __init__(self, tick_s: float, now: float) -> None:
        self._tick_s = tick_s
        self._last = int(now / tick_s)
        self._next: set[Watched] = set()
        self._later: dict[int, set[Watched]] = {}

    def add(self, one: Watched) -> None:
        """Look at it at the next tick, and from then on when it says so."""
        if one.place is not self._next:
            self.drop(one)
            self._next.add(one)
            one.place = self._next

    def drop(self, one: Watched) -> None:
        """Look at it no more."""
        if one.place is not None:
            one.place.discard(one)
            one.place = None

    def tick(self, now: float) -> None:
        """Look at those whose time has come."""
        current = int(now / self._tick_s)
        due = list(self._next)
        for number in range(self._last + 1, current + 1):
            due.extend(self._later.pop(number, ()))
        self._last = current
        for one in due:
            if one.place is None:  # it ended through what was done for another one
                continue
            self._file(one, int(one.check(now) / self._tick_s) + 1, current)

    def _file(self, one: Watched, number: int, current: int) -> None:
        if one.place is None:  # it ended
            return
        place = self._next if number <= current + 1 else self._later.setdefault(number, set())
        if one.place is not place:
            one.place.discard(one)
            place.add(one)
            one.place = place
