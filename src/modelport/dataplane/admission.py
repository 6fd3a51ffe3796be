"""Whether one more request may wait for a model: a queue that is patience, and one that is overload.

64 clients that each wait for their answer before they ask again keep a long queue, and lose nothing by it.
Requests that come faster than they are answered, whoever waits, make every queue long until all answers are
too late to be of use. So a long queue alone is no reason to refuse; one that is fed faster than it is served
is. Then requests are refused beyond a short wait, at once and cheaply, and those that are taken are answered
about as fast as ever.

Pure: the time is handed in.
"""

from __future__ import annotations

WINDOW_S = 0.1
WINDOW_CALLS = 8
"""The rates are compared over this long, and over so many calls at least."""

STRAIN = 1.2
RELIEF = 1.05
"""Overload begins where 1.2 times as many come as are answered, two windows in a row; it ends below 1.05."""

EXCESS = 64
"""And by more than so many in these windows together: so many clients that wait for their answers may come
at once after a stall, and cannot come again before they are answered."""

WAIT_S = 0.01
WAIT_CALLS = 8
"""In overload, requests wait this long, or as long as so many calls take; one call in work comes on top."""

WEIGHT = 0.2  # of the newest call in the running average of what a request takes


class Admission:
    """Keeps the rates of one model's requests.

    Args:
        call_s: What a call of one row takes, in seconds. Requests of many rows take longer, as is seen.
        now: The time, in monotonic seconds.

    Attributes:
        overloaded: Requests come faster than they are answered.
        wait_s: How long they wait then, at most.
    """

    __slots__ = (
        "_answered",
        "_began",
        "_call_s",
        "_excess",
        "_offered",
        "_request_s",
        "_strained",
        "_window_s",
        "overloaded",
        "wait_s",
    )

    def __init__(self, call_s: float, now: float) -> None:
        self._call_s = self._request_s = call_s
        self._measure()
        self.overloaded = False
        self._began = now
        self._offered = 0
        self._answered = 0
        self._strained = 0
        self._excess = 0

    def offer(self, now: float, waiting_s: float) -> bool:
        """Return whether one more request may wait.

        Args:
            now: Monotonic seconds.
            waiting_s: How long it would wait, about, in seconds.
        """
        if now - self._began >= self._window_s:
            self._close_window(now, waiting_s)
        self._offered += 1
        return not self.overloaded or waiting_s <= self.wait_s

    def answer(self, requests: int, seconds: float) -> None:
        """Note that so many requests were answered by a call that took so long."""
        self._answered += requests
        self._request_s += WEIGHT * (seconds / requests - self._request_s)

    def _close_window(self, now: float, waiting_s: float) -> None:
        if self.overloaded:
            self.overloaded = self._offered > RELIEF * self._answered
            self._strained = self._excess = 0
        elif waiting_s > self.wait_s and self._offered > STRAIN * self._answered:
            self._strained += 1
            self._excess += self._offered - self._answered
            self.overloaded = self._strained >= 2 and self._excess > EXCESS
        else:
            self._strained = self._excess = 0
        self._measure()
        self._began, self._offered, self._answered = now, 0, 0

    def _measure(self) -> None:
        """Fit window and wait to what calls take."""
        call_s = max(self._call_s, self._request_s)
        self._window_s = max(WINDOW_S, WINDOW_CALLS * call_s)
        self.wait_s = max(WAIT_S, WAIT_CALLS * call_s)
