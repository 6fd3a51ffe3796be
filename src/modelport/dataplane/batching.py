"""When a model runs: at once on the loop, or in its own thread, with whom waits at the same moment.

What became readable in one turn of the loop shares one call; nobody waits for company. Short calls run on
the loop, as long as what a turn brings for one model is short altogether. A call predicted to take longer
(`costs.py`), what comes beyond a turn's share, and a body too large to decode in passing go to the model's
own thread, so that one model never holds up another. There requests queue, and in overload (`admission.py`)
the queue is kept short. A request that may have killed a worker runs alone (`suspects.py`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from modelport.dataplane.admission import Admission
from modelport.dataplane.costs import INLINE_S, Costs
from modelport.dataplane.exchange import Exchange
from modelport.dataplane.threads import OneThread
from modelport.domain.errors import ModelFailed, TimedOut, Unavailable
from modelport.runtime.batching import join, plan, run_together
from modelport.runtime.model import LoadedModel
from modelport.runtime.rows import Rows

if TYPE_CHECKING:
    from modelport.dataplane.flights import Flight
    from modelport.dataplane.suspects import Suspects
    from modelport.runtime.session import Stop

STUCK_S = 5.0
"""Seconds a call may go on after it was told to stop; then only the end of the process helps."""

MODEL_NICENESS = 1
"""A model that computes for long stands back a little for the loop.

The loop sleeps between requests and would get less than its half of a core: at 0 a light model kept 0.44 of
its rate and a heavy one 0.56, at 1 they kept 0.51 and 0.48, at 3 0.6 and 0.38 (`bench/isolation.py`).
"""

PACE_WEIGHT = 0.2  # of the newest call in the running average of what a row takes

Answer = bytes | Exception
Finish = Callable[[Exchange, Answer], None]
Work = tuple[list[Answer], float, int, Sequence[Exchange]]
"""Answers of a group, seconds the model took, rows it was given, and who got a NaN or an infinity."""


class Batcher:
    """Runs one model for whoever asks.

    Args:
        model: In memory and warm.
        costs: What its calls take.
        rows_max: Rows of several requests in one call, at most.
        loop: Where everything but the model's own thread happens.
        now: Monotonic seconds.
        finish: Takes each exchange with its reply's body, or the error that stands for it.
        suspects: Requests that may have killed a worker.
        flight: Where calls on the loop are noted; all batchers of a worker share it.
        new_flight: Makes one for the model's own thread.
        on_stuck: Called when a call neither ends nor can be stopped.
    """

    def __init__(  # noqa: PLR0913 - a worker hands each its tools
        self,
        model: LoadedModel,
        costs: Costs,
        *,
        rows_max: int,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], float],
        finish: Finish,
        suspects: Suspects,
        flight: Flight,
        new_flight: Callable[[], Flight],
        on_stuck: Callable[[], None],
    ) -> None:
        self.model = model
        self.inline_rows_max = costs.rows_within(INLINE_S)
        self._call_rows = max(1, min(rows_max, self.inline_rows_max))
        self._turn_rows = int(INLINE_S / costs.seconds(self._call_rows)) * self._call_rows
        self._rows_max = min(rows_max, costs.worthwhile_rows)
        self._features = model.features
        self._loop = loop
        self._now = now
        self._finish = finish
        self._suspects = suspects
        self._digest = bytes.fromhex(model.digest) if model.digest else bytes(32)
        self._flight = flight
        self._new_flight = new_flight
        self._on_stuck = on_stuck
        self._quick: list[Exchange] = []  # what this turn of the loop brought, and runs on it
        self._quick_rows = 0
        self._slow: deque[Exchange] = deque()
        self._slow_rows = 0
        self._call: _Call | None = None
        self._own_flight: Flight | None = None
        self._thread = OneThread("model", niceness=MODEL_NICENESS)
        self._pace_s = costs.row_s
        self._admission = Admission(costs.seconds(1), now())
        self.used_at = 0.0  # when its newest call began; 0: never
        self.busy = False  # requests queue for the model's thread

    @property
    def idle(self) -> bool:
        """Return whether nobody waits for an answer."""
        return not (self._quick or self.busy)

    def admits(self) -> bool:
        """Return whether one more request may queue for the model's thread."""
        return self._admission.offer(self._now(), self._slow_rows * self._pace_s)

    def submit(self, exchange: Exchange) -> None:
        """Take a request; its `finish` is called later, never from here."""
        rows = exchange.rows
        if rows is not None and not (self._slow and self._is_short(self._slow[-1])):
            quick, turn_rows = self._quick, self._quick_rows + rows.count
            if turn_rows <= (self._turn_rows if quick else self.inline_rows_max):
                if not quick:
                    self._loop.call_soon(self._run_quick)
                self._quick_rows = turn_rows
                quick.append(exchange)
                return
        self._slow.append(exchange)
        self._slow_rows += self._rows_of(exchange)
        wait_s = max(0.0, exchange.deadline - self._now())
        exchange.timer = self._loop.call_later(wait_s, self._expire, exchange)
        exchange.drop = self._drop
        if not self.busy:
            self.busy = True
            self._loop.call_soon(self._run_slow)

    def close(self) -> None:
        """Let go of the model's thread."""
        self._thread.close()
        if self._own_flight is not None and self._call is None:  # else it may still have something to tell
            self._own_flight.close()

    # on the loop

    def _run_quick(self) -> None:
        waiting, self._quick, self._quick_rows = self._quick, [], 0
        now = self._now()
        if any(exchange.deadline <= now for exchange in waiting):
            waiting = [exchange for exchange in waiting if self._in_time(exchange, now)]
        known = self._suspects.of(self.model.digest)
        if known is not None:
            apart = [e for e in waiting if known.find(cast("Rows", e.rows).data)]
            for exchange in apart:
                self._run_inline([exchange])
            waiting = [exchange for exchange in waiting if exchange not in apart]
        if len(waiting) == 1:
            self._run_inline(waiting)
            return
        counts = [cast("Rows", exchange.rows).count for exchange in waiting]
        for start, stop in plan(counts, self._call_rows):
            self._run_inline(waiting[start:stop])

    def _run_inline(self, group: list[Exchange]) -> None:
        finish = self._finish
        answers = self._observed(group, self._work(group, self._flight, None))
        for exchange, answer in zip(group, answers, strict=True):
            finish(exchange, answer)

    def _in_time(self, exchange: Exchange, now: float) -> bool:
        if exchange.deadline > now:
            return True
        self._finish(exchange, TimedOut("the deadline passed before the model was asked"))
        return False

    # in the model's thread

    def _run_slow(self) -> None:
        """Send the first group of those that wait to the model's thread."""
        if self._admission.overloaded:
            self._shed()
        group = self._next_group()
        if not group:
            self.busy = False
            return
        stop = self.model.new_stop()
        self._call = _Call(group, sum(map(self._rows_of, group)), self._now(), stop)
        future = self._thread.submit(self._work_apart, group, stop)
        future.add_done_callback(partial(self._call_back, self._call))

    def _shed(self) -> None:
        """Turn away who has waited longest: their answers would be the latest, and make all others late.

        That is for the queue that overload began with; one that is full by a request more or less stays. So
        does the last in it: nobody would be served sooner for it.
        """
        if self._slow_rows * self._pace_s <= 2 * self._admission.wait_s:
            return
        while len(self._slow) > 1 and self._slow_rows * self._pace_s > self._admission.wait_s:
            exchange = self._slow.popleft()
            self._slow_rows -= self._rows_of(exchange)
            self._close_books(exchange, Unavailable("more requests come than this model can answer"))

    def _next_group(self) -> list[Exchange]:
        known = self._suspects.of(self.model.digest)
        group: list[Exchange] = []
        rows = 0
        while self._slow:
            exchange = self._slow[0]
            alone = exchange.rows is None or bool(known and known.find(exchange.rows.data))
            count = self._rows_of(exchange)
            if group and (alone or rows + count > self._rows_max):
                break
            self._slow.popleft()
            self._slow_rows -= count
            if self._wanted(exchange):
                group.append(exchange)
                rows += count
                if alone:
                    break
        return group

    def _is_short(self, exchange: Exchange) -> bool:
        """Return whether it would run on the loop, had the turn not brought too many."""
        return exchange.rows is not None and exchange.rows.count <= self.inline_rows_max

    def _rows_of(self, exchange: Exchange) -> int:
        return self._rows_max if exchange.rows is None else exchange.rows.count

    def _call_back(self, call: _Call, future: Future[Work]) -> None:
        with suppress(RuntimeError):  # the loop is closed: the worker stopped without waiting any longer
            self._loop.call_soon_threadsafe(self._deliver, call, future)

    def _deliver(self, call: _Call, future: Future[Work]) -> None:
        self._call = None
        if call.giving_up is not None:
            call.giving_up.cancel()
        seconds = self._now() - call.began
        self._pace_s += PACE_WEIGHT * (seconds / call.rows - self._pace_s)
        self._admission.answer(len(call.group), seconds)
        try:
            answers = self._observed(call.group, future.result())
        except Exception as error:  # noqa: BLE001 - a fault of ours is still an answer to everybody in the group
            answers = [error] * len(call.group)
        self._run_slow()
        for exchange, answer in zip(call.group, answers, strict=True):
            if exchange.timer is not None:
                self._close_books(exchange, answer)

    def _wanted(self, exchange: Exchange) -> bool:
        """Return whether somebody still waits for the answer; close the books on it otherwise."""
        if exchange.timer is None:
            return False
        if exchange.answered is None and not exchange.lane.variant.route.shadow:
            self._close_books(exchange, TimedOut("the client went away"))
            return False
        return True

    def _close_books(self, exchange: Exchange, answer: Answer) -> None:
        if exchange.timer is not None:
            exchange.timer.cancel()
            exchange.timer = None
            self._finish(exchange, answer)

    def _expire(self, exchange: Exchange) -> None:
        self._close_books(exchange, TimedOut("the deadline passed before the model answered"))
        call = self._call
        if call is not None and call.giving_up is None and not any(one.timer for one in call.group):
            call.stop.now()
            call.giving_up = self._loop.call_later(STUCK_S, self._on_stuck)

    def _drop(self, exchange: Exchange) -> None:
        """Close the books at once on an exchange whose client went away."""
        with suppress(ValueError):  # it is being computed
            self._slow.remove(exchange)
            self._slow_rows -= self._rows_of(exchange)
        self._close_books(exchange, TimedOut("the client went away"))

    def _work_apart(self, group: list[Exchange], stop: Stop) -> Work:
        if self._own_flight is None:
            self._own_flight = self._new_flight()
        return self._work(group, self._own_flight, stop)

    def _work(self, group: list[Exchange], flight: Flight, stop: Stop | None) -> Work:
        """Return the answers of a group; thread-safe: it touches its arguments and when it was used last."""
        suspect = None
        if len(group) == 1:
            rows = group[0].rows
            try:
                requests = [group[0].lane.decode(group[0].body) if rows is None else rows]
            except Exception as error:  # noqa: BLE001 - it is the answer
                return [error], 0.0, 0, ()
            known = self._suspects.of(self.model.digest)
            if known is not None:
                suspect = known.find(requests[0].data)
            if suspect is not None and suspect.quarantined:
                return [_quarantined(suspect.crashes)], 0.0, 0, ()
        else:
            requests = [cast("Rows", exchange.rows) for exchange in group]  # undecoded ones come alone
        data = join(requests)
        flight.take_off(self._digest, [len(request.data) for request in requests], data)
        began = self.used_at = self._now()
        run = self.model.run if stop is None else partial(self.model.run, stop=stop)
        results = run_together(run, requests, data, self._features)
        seconds = self._now() - began
        flight.land()
        if suspect is not None and known is not None:
            known.clear(suspect)
        answers: list[Answer] = []
        nonfinite: list[Exchange] = []
        for exchange, request, result in zip(group, requests, results, strict=True):
            if isinstance(result, Exception):
                answers.append(ModelFailed(f"the model failed: {_first_line(result)}"))
                continue
            if not result[0].finite and not result[0].rows(result[1], result[2]).finite:
                nonfinite.append(exchange)
            try:
                encode, wish = exchange.lane.encode, request.wish
                answers.append(encode(*result) if wish is None else encode(*result, wish))
            except Exception as error:  # noqa: BLE001 - one that cannot be written harms no neighbour
                answers.append(error)
        return answers, seconds, sum([request.count for request in requests]), nonfinite

    def _observed(self, group: list[Exchange], work: Work) -> list[Answer]:
        """Return the answers, after the call was counted for the variant of the first of them."""
        answers, seconds, rows, nonfinite = work
        for exchange in nonfinite:
            exchange.lane.variant.count_nonfinite()
        if rows:
            variant = group[0].lane.variant
            variant.inference.observe(seconds)
            variant.batch_rows.observe(rows)
        return answers


@dataclass(slots=True)
class _Call:
    """A call in the model's thread.

    Args:
        group: Who waits for it.
        rows: How many it was given.
        began: Monotonic seconds.
        stop: Ends it, unless it is stuck between two nodes of the graph.
        giving_up: Runs since it was told to stop.
    """

    group: list[Exchange]
    rows: int
    began: float
    stop: Stop
    giving_up: asyncio.TimerHandle | None = None


def _quarantined(crashes: int) -> ModelFailed:
    return ModelFailed(
        f"this request was being answered when a worker died, {crashes} times; it is not run again",
        hint="`modelport status` names it; deploy a version that can answer it",
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
