"""Requests that go through several models: each gets the answer of the one before, in its media type.

Every stage is asked in the words of InvokeEndpoint, as if a client of its own did, and answers so; whoever
asked the whole hears the last one, or which of them failed and how.

Source: SageMaker, "Inference pipelines": the containers of a model in Serial mode.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import msgspec

from modelport.dataplane.exchange import Exchange, Plan
from modelport.dataplane.forwarded import ReplicaFailed, ReplicaReply
from modelport.dataplane.handles import Dormant
from modelport.dataplane.replies import status_in
from modelport.domain.errors import ModelportError, Unavailable
from modelport.runtime.codecs import Lengthy
from modelport.telemetry.metrics import METRICS
from modelport.telemetry.slots import Series

if TYPE_CHECKING:
    from modelport.dataplane.batching import Finish
    from modelport.dataplane.lanes import Lane, Queue
    from modelport.dataplane.protocols import Ask
    from modelport.dataplane.tables import ServingTable
    from modelport.dataplane.variants import ServedVariant

GIVEN_BACK = ("content-type", "content-encoding", "x-amzn-sagemaker-custom-attributes")
"""Headers of the last stage's reply that the client gets."""

NOT_PASSED_ON = ("content-type", "content-encoding", "accept", "x-amzn-sagemaker-accept")
"""Headers of the request that are not those of what later stages are asked."""


class Uncounted:
    """Stands for the slot of a stage: what is counted is the whole."""

    def series(self, metric: str, *labels: str) -> Series:
        """Return a series that nobody reads."""
        return Series((metric, labels), METRICS[metric])


class _Elsewhere:
    """Stands for the queue and the table of what a stage is asked: the whole waits, and belongs to one."""

    waiting = 0
    open = 1

    def leave(self) -> None:
        """Do nothing."""


class Pipeline:
    """Runs requests through the stages of a variant, where a `Batcher` runs one model.

    Args:
        stages: In their order.
        finish: Takes each exchange with its reply, or the error that stands for it.
    """

    busy = False

    def __init__(self, stages: Sequence[ServedVariant], finish: Finish) -> None:
        self.stages = tuple(stages)
        self.finish = finish

    def admits(self) -> bool:
        """Return whether one more request may come: each stage says so for itself."""
        return True

    def submit(self, exchange: Exchange) -> None:
        """Take a request; its `finish` is called later, never from here."""
        asyncio.get_running_loop().call_soon(_Passage(self, exchange).ask_next, exchange.body)


class _Passage:
    """One request on its way through the stages."""

    __slots__ = ("_exchange", "_number", "_pipeline", "_stage")

    def __init__(self, pipeline: Pipeline, exchange: Exchange) -> None:
        self._pipeline = pipeline
        self._exchange = exchange
        self._number = 0
        self._stage: Exchange | None = None
        exchange.drop = self._drop

    def ask_next(self, body: bytes, content_type: str | None = None) -> None:
        """Ask the next stage.

        Args:
            body: What it is asked.
            content_type: Of the body; None: as the client said.
        """
        exchange, variant = self._exchange, self._pipeline.stages[self._number]
        ask = self._ask(content_type)
        plan = Plan(exchange.plan.handle, length=len(body), keep_alive=True, ask=ask)
        stage = self._stage = Exchange(self._hear, plan, body, exchange.began)
        stage.deadline, stage.prediction_id = exchange.deadline, exchange.prediction_id
        stage.queue, stage.table = cast("Queue", _Elsewhere()), cast("ServingTable", _Elsewhere())
        try:
            lane = stage.lane = variant.lanes.get(ask.codec_key) or variant.open_lane(ask, b"")
            self._submit(stage, lane)
        except Dormant:
            self._end(Unavailable("its model is just not in memory", retry_after_s=1.0))
        except ModelportError as error:
            stage.reply(ask.dialect.refuse(error))

    def _submit(self, stage: Exchange, lane: Lane) -> None:
        if lane.batcher.busy and not lane.batcher.admits():
            raise Unavailable(f"more requests come than {self._name()} can answer in this worker")
        with suppress(Lengthy):
            if len(stage.body) <= lane.passing_bytes:
                stage.rows = lane.in_passing(stage.body)
        lane.batcher.submit(stage)

    def _ask(self, content_type: str | None) -> Ask:
        """Return what the stage is asked: the reply's type is for the last one to choose."""
        ask = cast("Ask", self._exchange.plan.ask)
        is_last = self._number == len(self._pipeline.stages) - 1
        if content_type is None:
            return replace(ask, accept=ask.accept if is_last else None)
        headers = {name: value for name, value in ask.headers.items() if name not in NOT_PASSED_ON}
        return replace(
            ask,
            content_type=content_type,
            encoding=None,
            accept=ask.accept if is_last else None,
            headers={**headers, "content-type": content_type},
        )

    def _hear(self, stage: Exchange, reply: bytes) -> None:
        """Hear a stage's whole reply."""
        del stage
        self._stage = None
        head, _, body = reply.partition(b"\r\n\r\n")
        if status_in(reply) != 200:
            self._end(self._failure(status_in(reply), body))
            return
        self._number += 1
        fields = _fields_in(head)
        media = fields.get("content-type", "application/octet-stream")
        if self._number < len(self._pipeline.stages):
            self.ask_next(body, media)
            return
        last = ReplicaReply(body)
        last.content_type = media
        last.fields = b"".join(
            f"{name}: {value}\r\n".encode("latin-1") for name, value in fields.items() if name in GIVEN_BACK
        )
        self._end(last)

    def _failure(self, status: int, body: bytes) -> Exception:
        """Return what stands for a stage that refused, or failed."""
        document: dict[str, Any] = {}
        with suppress(msgspec.DecodeError):
            document = msgspec.json.decode(body, type=dict[str, Any])
        told = str(document.get("Message", "it failed"))
        if status == 503:
            return Unavailable(f"{self._name()}: {told}", retry_after_s=1.0)
        return ReplicaFailed(
            f"{self._name()}: {told}",
            status=document.get("OriginalStatusCode", status),
            original=document.get("OriginalMessage", told),
        )

    def _name(self) -> str:
        return f"container {self._number + 1} of {len(self._pipeline.stages)}"

    def _end(self, answer: bytes | Exception) -> None:
        self._exchange.drop = None
        self._pipeline.finish(self._exchange, answer)

    def _drop(self, _exchange: Exchange) -> None:
        """Let go of the stage that works for nobody now."""
        stage = self._stage
        drop: Callable[[Exchange], None] | None = None if stage is None else stage.drop
        if stage is not None and drop is not None:
            drop(stage)


def _fields_in(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
