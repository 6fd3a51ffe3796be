"""Requests that met a model which is not in memory: they share one load.

A model that nobody waits for any more is not loaded.
"""

from __future__ import annotations

from collections.abc import Callable

from modelport.dataplane.exchange import Exchange
from modelport.dataplane.handles import ModelHandle
from modelport.dataplane.loading import Models
from modelport.dataplane.waiting import GoOn, Waiting
from modelport.domain.errors import ModelportError, TimedOut, Unavailable
from modelport.telemetry import metrics
from modelport.telemetry.slots import MetricSlot


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
        self._wait_s = wait_s
        self._waiting: Waiting[ModelHandle] = Waiting(
            now=now,
            requests_max=requests_max,
            wait_s=wait_s,
            refuse_more=self._too_many,
            refuse_late=self._too_late,
            count=lambda outcome: slot.series(metrics.COLD_REQUESTS, outcome).add(),
        )
        models.on_settled = self._go_on
        models.is_wanted = self._waiting.is_wanted

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
        self._waiting.hold(exchange, handle, go_on, shadow=shadow)
        self._models.wake(handle)

    def _go_on(self, handle: ModelHandle) -> None:
        self._waiting.settle(handle, "loaded" if handle.failure is None else "failed")

    def _too_many(self, count: int) -> ModelportError:
        return Unavailable(
            f"{count} requests of this worker wait for models that are being loaded",
            hint="raise model_memory_bytes_max, so that more models stay in memory",
            retry_after_s=self._models.backlog_s(),
        )

    def _too_late(self, past_deadline: bool) -> ModelportError:  # noqa: FBT001 (of a callback)
        if past_deadline:
            return TimedOut("the deadline passed before the model was loaded")
        return Unavailable(
            f"the model was not in memory, and could not be loaded within {self._wait_s:g} s",
            retry_after_s=self._models.backlog_s(),
        )
