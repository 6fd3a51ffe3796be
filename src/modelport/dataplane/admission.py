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

WAIT_S = 0.01
WAIT_CALLS = 8
"""In overload, requests wait this long, or as long as so many calls take; one call in work comes on top."""


class Admission:
    """Keeps the rates of one model's requests.

    Args:
        call_s: What a call of the model takes, in seconds.
        now: The time, in monotonic seconds.
    """

    __slots__ = ("_answered", "_began", "_offered", "_strained", "_window_s", "overloaded", "wait_s")

    def __init__(self, call_s: float, now: float) -> None:
        self._window_s = max(WINDOW_S, WINDOW_CALLS * call_s)
        self.wait_s = max(WAIT_S, WAIT_CALLS * call_s)
        self.overloaded = False
        self._began = now
        self._offered = 0
        self._answered = 0
        self._strained = 0

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

    def answer(self, requests: int) -> None:
        """Note that so many requests were answered."""
        self._answered += requests

    def _close_window(self, now: float, waiting_s: float) -> None:
        if self.overloaded:
            self.overloaded = self._offered > RELIEF * self._answered
            self._strained = 2 if self.overloaded else 0
        else:
            long = waiting_s > self.wait_s
            self._strained = self._strained + 1 if long and self._offered > STRAIN * self._answered else 0
            self.overloaded = self._strained >= 2
        self._began, self._offered, self._answered = now, 0, 0
