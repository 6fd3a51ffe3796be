"""Requests that met a model which is not in memory: they wait for it, and go on as if they had just come.

All that ask for the same model share one load. They are bounded in number and in time, and leave when their
deadline passes; a model that nobody waits for any more is not loaded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from modelport.dataplane.exchange import Exchange
from modelport.dataplane.handles import ModelHandle
from modelport.dataplane.loading import Models
from modelport.domain.errors import ModelportError, TimedOut, Unavailable
from modelport.telemetry import metrics
from modelport.telemetry.slots import MetricSlot

GoOn = Callable[[ModelportError | None], None]
"""Takes a request up again: its model is there or failed (None), or why it waits no longer."""


class ColdRequests:
    """The requests of one worker that wait for models.

    Args:
        models: Loads them.
        slot: Where requests are counted.
        now: Monotonic seconds.
        requests_max: How many may wait.
        wait_s: How long each may wait.
    """

    def __init__(
        self,
        models: Models,
        slot: MetricSlot,
        *,
        now: Callable[[], float],
        requests_max: int,
        wait_s: float,
    ) -> None:
        self._models = models
        self._slot = slot
        self._now = now
        self._requests_max = requests_max
        self._wait_s = wait_s
        self._loop = asyncio.get_running_loop()
        self._held: dict[ModelHandle, dict[Exchange, _Held]] = {}
        self._count = 0
        models.on_settled = self._go_on
        models.is_wanted = self._is_wanted

    def hold(self, exchange: Exchange, handle: ModelHandle, go_on: GoOn, *, shadow: bool = False) -> None:
        """Keep a request until its model is there.

        Args:
            exchange: The request; its deadline is set.
            handle: Of the model.
            go_on: Called once, later.
            shadow: It is a copy that nobody waits for.

        Raises:
            Unavailable: Too many wait already.
        """
        if self._count >= self._requests_max:
            self._tally("refused")
            raise Unavailable(
                f"{self._count} requests of this worker wait for models that are being loaded",
                hint="raise model_memory_bytes_max, so that more models stay in memory",
                retry_after_s=self._models.backlog_s(),
            )
        left = exchange.deadline - self._now()
        problem = self._too_late if left <= self._wait_s else self._too_long
        timer = self._loop.call_later(
            max(0.0, min(left, self._wait_s)), self._expire, exchange, handle, problem
        )
        self._held.setdefault(handle, {})[exchange] = _Held(go_on, timer, shadow=shadow)
        self._count += 1
        self._models.wake(handle)

    def _go_on(self, handle: ModelHandle) -> None:
        outcome = "loaded" if handle.failure is None else "failed"
        for exchange in list(self._held.get(handle, ())):
            self._release(exchange, handle, None, outcome)

    def _expire(self, exchange: Exchange, handle: ModelHandle, problem: Callable[[], ModelportError]) -> None:
        self._release(exchange, handle, problem(), "late")

    def _too_late(self) -> ModelportError:
        return TimedOut("the deadline passed before the model was loaded")

    def _too_long(self) -> ModelportError:
        return Unavailable(
            f"the model was not in memory, and could not be loaded within {self._wait_s:g} s",
            retry_after_s=self._models.backlog_s(),
        )

    def _is_wanted(self, handle: ModelHandle) -> bool:
        """Return whether somebody still waits for a model; close the books on those who went away."""
        held = self._held.get(handle, {})
        gone = [exchange for exchange in held if exchange.answered is None and not held[exchange].shadow]
        for exchange in gone:
            self._release(exchange, handle, None, "gone")
        return handle in self._held

    def _release(
        self, exchange: Exchange, handle: ModelHandle, problem: ModelportError | None, outcome: str
    ) -> None:
        waiting = self._held[handle]
        held = waiting.pop(exchange)
        if not waiting:
            del self._held[handle]
        self._count -= 1
        held.timer.cancel()
        self._tally(outcome)
        held.go_on(problem)

    def _tally(self, outcome: str) -> None:
        self._slot.series(metrics.COLD_REQUESTS, outcome).add()


class _Held:
    """How a waiting request goes on, and when it stops to wait."""

    __slots__ = ("go_on", "shadow", "timer")

    def __init__(self, go_on: GoOn, timer: asyncio.TimerHandle, *, shadow: bool) -> None:
        self.go_on = go_on
        self.timer = timer
        self.shadow = shadow
