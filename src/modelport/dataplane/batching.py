"""When a model runs: at once on the loop, or in its own thread, with whom waits at the same moment.

What became readable in one turn of the loop shares one call; nobody waits for company. Short calls run on
the loop. A call predicted to take longer, by what was measured when the model was warmed up, and a body too
large to decode in passing, go to the model's own thread, so that one model never holds up another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np

from modelport.dataplane.exchange import Exchange
from modelport.dataplane.threads import OneThread
from modelport.domain.errors import ModelFailed, TimedOut
from modelport.runtime.batching import plan, run_together
from modelport.runtime.model import LoadedModel
from modelport.runtime.rows import Rows

INLINE_S = 0.0005
"""A call predicted to be longer leaves the loop."""

PROBE_ROWS = 64
PROBES = 5

Answer = bytes | Exception
Finish = Callable[[Exchange, Answer], None]
Work = tuple[list[Answer], float, int]
"""Answers of a group, seconds the model took, rows it was given."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What a call of a model takes: `fixed_s` and `row_s` seconds."""

    fixed_s: float
    row_s: float

    def rows_within(self, seconds: float) -> int:
        """Return how many rows a call of at most `seconds` has; 0 when one is too many."""
        if self.fixed_s + self.row_s > seconds:
            return 0
        return max(1, int((seconds - self.fixed_s) / max(self.row_s, 1e-9)))


def measure_costs(model: LoadedModel, now: Callable[[], float]) -> Costs:
    """Return what calls of a warm model take: the best of a few runs on zeros.

    Args:
        model: Its `run` is called.
        now: Monotonic seconds.
    """
    best = []
    for rows in (1, PROBE_ROWS):
        matrix = np.zeros((rows, model.features))
        taken = []
        for _ in range(PROBES):
            began = now()
            try:
                model.run(matrix)
            except Exception:  # noqa: BLE001 - a model that dislikes zeros is not measured, and kept off the loop
                return Costs(fixed_s=1.0, row_s=0.0)
            taken.append(now() - began)
        best.append(min(taken))
    row_s = max(0.0, (best[1] - best[0]) / (PROBE_ROWS - 1))
    return Costs(max(0.0, best[0] - row_s), row_s)


class Batcher:
    """Runs one model for whoever asks.

    Args:
        model: In memory and warm.
        costs: From `measure_costs`.
        rows_max: Rows of several requests in one call.
        loop: Where everything but the model's own thread happens.
        now: Monotonic seconds.
        finish: Takes each exchange with its reply's body, or the error that stands for it.
    """

    def __init__(
        self,
        model: LoadedModel,
        costs: Costs,
        *,
        rows_max: int,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], float],
        finish: Finish,
    ) -> None:
        self.model = model
        self.inline_rows_max = costs.rows_within(INLINE_S)
        self._rows_max = rows_max
        self._inline_batch_rows = max(1, min(rows_max, costs.rows_within(2 * INLINE_S)))
        self._features = model.features
        self._loop = loop
        self._now = now
        self._finish = finish
        self._quick: list[Exchange] = []
        self._slow: list[Exchange] = []
        self._busy = False
        self._thread = OneThread("model")

    def submit(self, exchange: Exchange) -> None:
        """Take a request; its `finish` is called later, never from here."""
        rows = exchange.rows
        if rows is not None and rows.count <= self.inline_rows_max:
            quick = self._quick
            if not quick:
                self._loop.call_soon(self._run_quick)
            quick.append(exchange)
            return
        self._slow.append(exchange)
        deadline = exchange.deadline
        exchange.timer = self._loop.call_later(max(0.0, deadline - self._now()), self._expire, exchange)
        exchange.drop = self._drop
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._run_slow)

    def close(self) -> None:
        """Let go of the model's thread."""
        self._thread.close()

    def _run_quick(self) -> None:
        waiting, self._quick = self._quick, []
        if len(waiting) == 1:
            self._run_inline(waiting)
            return
        counts = [cast("Rows", exchange.rows).count for exchange in waiting]
        for start, stop in plan(counts, self._inline_batch_rows):
            self._run_inline(waiting[start:stop])

    def _run_inline(self, group: list[Exchange]) -> None:
        finish = self._finish
        for exchange, answer in zip(group, self._observed(group, self._work(group)), strict=True):
            finish(exchange, answer)

    def _run_slow(self) -> None:
        """Send the first group of those that wait to the model's thread."""
        self._slow = [exchange for exchange in self._slow if self._wanted(exchange)]
        if not self._slow:
            self._busy = False
            return
        counts = [self._rows_max if e.rows is None else e.rows.count for e in self._slow]
        stop = plan(counts, self._rows_max)[0][1]
        group, self._slow = self._slow[:stop], self._slow[stop:]
        future = self._thread.submit(self._work, group)
        future.add_done_callback(partial(self._call_back, group))

    def _call_back(self, group: list[Exchange], future: Future[Work]) -> None:
        with suppress(RuntimeError):  # the loop is closed: the worker stopped without waiting any longer
            self._loop.call_soon_threadsafe(self._deliver, group, future)

    def _deliver(self, group: list[Exchange], future: Future[Work]) -> None:
        try:
            answers = self._observed(group, future.result())
        except Exception as error:  # noqa: BLE001 - a fault of ours is still an answer to everybody in the group
            answers = [error] * len(group)
        self._run_slow()
        for exchange, answer in zip(group, answers, strict=True):
            if exchange.timer is not None:
                exchange.timer.cancel()
                exchange.timer = None
                self._finish(exchange, answer)

    def _wanted(self, exchange: Exchange) -> bool:
        """Return whether somebody still waits for the answer; close the books on it otherwise."""
        if exchange.timer is None:
            return False
        if exchange.answered is None and not exchange.lane.variant.route.shadow:
            exchange.timer.cancel()
            exchange.timer = None
            self._finish(exchange, TimedOut("the client went away"))
            return False
        return True

    def _expire(self, exchange: Exchange) -> None:
        exchange.timer = None
        self._finish(exchange, TimedOut("the deadline passed before the model answered"))

    def _drop(self, exchange: Exchange) -> None:
        """Close the books at once on an exchange whose client went away."""
        if exchange.timer is not None:
            exchange.timer.cancel()
            with suppress(ValueError):  # it is being computed
                self._slow.remove(exchange)
            self._expire(exchange)

    def _work(self, group: list[Exchange]) -> Work:
        """Return the answers of a group; thread-safe, for it touches nothing but its arguments."""
        if len(group) == 1 and group[0].rows is None:
            try:
                requests = [group[0].lane.decode(group[0].body)]
            except Exception as error:  # noqa: BLE001 - it is the answer
                return [error], 0.0, 0
        else:
            requests = [cast("Rows", exchange.rows) for exchange in group]  # undecoded ones come alone
        began = self._now()
        results = run_together(self.model.run, requests, self._features)
        seconds = self._now() - began
        answers: list[Answer] = []
        for exchange, result in zip(group, results, strict=True):
            if isinstance(result, Exception):
                answers.append(ModelFailed(f"the model failed: {_first_line(result)}"))
                continue
            try:
                answers.append(exchange.lane.encode(*result))
            except Exception as error:  # noqa: BLE001 - one that cannot be written harms no neighbour
                answers.append(error)
        return answers, seconds, sum([request.count for request in requests])

    def _observed(self, group: list[Exchange], work: Work) -> list[Answer]:
        """Return the answers, after the call was counted for the variant of the first of them."""
        answers, seconds, rows = work
        if rows:
            variant = group[0].lane.variant
            variant.inference.observe(seconds)
            variant.batch_rows.observe(rows)
        return answers


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
