"""A prediction's way: choose a variant, decode, share a call with whoever waits, reply, keep a copy."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from random import random
from typing import NoReturn

import structlog

from modelport.dataplane.batching import Answer
from modelport.dataplane.capture import Capture
from modelport.dataplane.exchange import Exchange
from modelport.dataplane.protocols import Ask
from modelport.dataplane.replies import status_of
from modelport.dataplane.tables import Lane, ServedEndpoint, ServedVariant, ServingTable, Tables
from modelport.domain.clock import Clock
from modelport.domain.errors import ModelportError, NotFound, Unavailable
from modelport.settings import Settings

INLINE_BODY_BYTES = 128 << 10  # larger bodies are decoded in the model's thread
CLIENT_GONE = 499  # nginx's number for a client that closed before its answer was there; only counted

log = structlog.get_logger()


class Invoker:
    """Answers predictions.

    Args:
        tables: What is served.
        settings: Limits.
        clock: Time.
        loop: The event loop.
        capture: Where copies go.
        count_refused: Called with the status of a request refused before it reached an endpoint.
    """

    def __init__(
        self,
        tables: Tables,
        settings: Settings,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        *,
        capture: Capture,
        count_refused: Callable[[int], None],
    ) -> None:
        self._tables = tables
        self._pending_max = settings.pending_requests_max
        self._timeout_s = settings.request_timeout_s
        self._monotonic = clock.monotonic
        self._loop = loop
        self._capture = capture
        self._count_refused = count_refused
        self._id_prefix = os.urandom(8).hex().encode()
        self._ids = 0

    def handle(self, exchange: Exchange) -> None:
        """Take a request whose body is complete; its reply comes later, or at once when it is refused."""
        ask = exchange.plan.ask
        assert ask is not None  # noqa: S101 - the door sends nothing else here
        table = self._tables.current
        variant: ServedVariant | None = None
        try:
            endpoint = table.endpoints.get(ask.endpoint) or _no_endpoint(ask, table)
            variant = endpoint.only
            if variant is None or ask.variant is not None:
                variant = endpoint.variants[endpoint.routes.choose(ask.variant, random())]  # noqa: S311 - shares, no secret
            if endpoint.waiting >= self._pending_max:
                _overloaded(endpoint)
            lane = variant.lanes.get(ask.codec_key) or self._open_lane(variant, ask)
            batcher = lane.batcher
            if batcher.busy and not batcher.inline_rows_max and not batcher.admits():
                _overloaded(endpoint)
            exchange.rows = lane.decode(exchange.body) if len(exchange.body) <= INLINE_BODY_BYTES else None
        except ModelportError as error:
            self._refuse(exchange, ask, variant, error)
            return
        except Exception:  # a fault of ours is this request's 500 and nobody else's trouble
            log.exception("request.failed", endpoint=ask.endpoint)
            self._refuse(exchange, ask, variant, ModelportError("the server failed on this request"))
            return
        exchange.lane = lane
        exchange.queue = endpoint
        exchange.table = table
        if ask.inference_id is None:
            self._ids = number = self._ids + 1
            exchange.prediction_id = b"%b-%x" % (self._id_prefix, number)
        else:
            exchange.prediction_id = ask.inference_id
        capture = endpoint.capture
        exchange.sampled = capture is not None and random() * 100.0 < capture.percentage  # noqa: S311 - sampling
        exchange.deadline = exchange.began + (
            self._timeout_s if ask.timeout_s is None else min(ask.timeout_s, self._timeout_s)
        )
        endpoint.waiting += 1
        table.open += 1
        batcher.submit(exchange)
        if endpoint.shadows:
            table.open += 1  # the copies belong to the same table, even if the original is done before them
            self._loop.call_soon(self._ask_shadows, exchange, endpoint)

    def finish(self, exchange: Exchange, answer: Answer) -> None:
        """Take what a model said and send it on."""
        lane = exchange.lane
        exchange.queue.waiting -= 1
        try:
            if isinstance(answer, bytes):
                lane.duration.observe(self._monotonic() - exchange.began)
                lane.ok.values[0] += 1
                exchange.reply(lane.reply % (exchange.prediction_id, len(answer), answer))
                if exchange.sampled:
                    self._keep(exchange, answer)
            else:
                self._finish_badly(exchange, answer)
        finally:
            exchange.table.leave()

    def _finish_badly(self, exchange: Exchange, problem: Exception) -> None:
        lane, plan = exchange.lane, exchange.plan
        error = problem if isinstance(problem, ModelportError) else None
        if error is None:
            log.error("request.failed", endpoint=lane.variant.endpoint, exc_info=problem)
            error = ModelportError("the server failed on this request")
        shadow = lane.variant.route.shadow
        gone = exchange.answered is None and not shadow
        lane.codes(CLIENT_GONE if gone else status_of(error)).add()
        if plan.ask is not None and not gone and not shadow:
            exchange.reply(plan.ask.dialect.refuse(error))

    def _refuse(
        self, exchange: Exchange, ask: Ask, variant: ServedVariant | None, error: ModelportError
    ) -> None:
        reply = ask.dialect.refuse(error)
        status = int(reply[9:12])
        if variant is None:
            self._count_refused(status)
        else:
            variant.count(ask.dialect.name, status).add()
        exchange.reply(reply)

    def _open_lane(self, variant: ServedVariant, ask: Ask) -> Lane:
        decode, encoder = ask.dialect.codecs(variant.batcher().model, ask)
        return variant.add_lane(ask.codec_key, decode, encoder)

    def _ask_shadows(self, original: Exchange, endpoint: ServedEndpoint) -> None:
        """Give the shadow variants their copy; whatever becomes of it is nobody's trouble."""
        ask = original.plan.ask
        assert ask is not None  # noqa: S101 - it was handled
        for variant in endpoint.shadows:
            copy = Exchange(None, original.plan, original.body, original.began)
            try:
                if variant.waiting >= self._pending_max:
                    _overloaded(endpoint)
                copy.lane = variant.lanes.get(ask.codec_key) or self._open_lane(variant, ask)
                small = len(copy.body) <= INLINE_BODY_BYTES
                copy.rows = copy.lane.decode(copy.body) if small else None
            except Exception:  # noqa: BLE001 - a shadow that cannot answer is counted, never heard
                if variant.shadow_dropped is not None:
                    variant.shadow_dropped.add()
                continue
            copy.queue = variant
            copy.table = original.table
            copy.prediction_id = original.prediction_id
            copy.sampled = original.sampled
            copy.deadline = self._monotonic() + self._timeout_s
            variant.waiting += 1
            copy.table.open += 1
            copy.lane.batcher.submit(copy)
        original.table.leave()

    def _keep(self, exchange: Exchange, answer: bytes) -> None:
        ask, variant = exchange.plan.ask, exchange.lane.variant
        endpoint = exchange.table.endpoints[variant.endpoint]
        if endpoint.capture is not None and ask is not None:
            self._capture.offer(
                variant,
                prediction_id=exchange.prediction_id,
                inference_id=ask.inference_id,
                asked=(ask.content_type, exchange.body) if endpoint.capture.inputs else None,
                answered=(exchange.lane.reply_type, answer) if endpoint.capture.outputs else None,
            )


def _no_endpoint(ask: Ask, table: ServingTable) -> NoReturn:
    known = sorted(table.endpoints)
    offer = f"in service: {', '.join(known[:5])}{', …' if len(known) > 5 else ''}"
    raise NotFound(
        f"there is no endpoint {ask.endpoint[:80]!r}",
        hint=offer if known else "nothing is in service; deploy a model first",
    )


def _overloaded(endpoint: ServedEndpoint) -> NoReturn:
    raise Unavailable(f"{endpoint.waiting} requests wait for endpoint {endpoint.name!r} in this worker")
