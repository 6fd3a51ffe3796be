"""A prediction's way: choose a variant, decode, share a call with whoever waits, reply, keep a copy."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import random
from typing import NoReturn, cast

import structlog

from modelport.dataplane.batching import Answer
from modelport.dataplane.capture import Capture
from modelport.dataplane.cold import ColdRequests
from modelport.dataplane.exchange import Exchange
from modelport.dataplane.forwarded import ReplicaFailed
from modelport.dataplane.handles import Dormant, ModelHandle
from modelport.dataplane.hosted import Absent, HostedRequests
from modelport.dataplane.lanes import Lane
from modelport.dataplane.protocols import Ask
from modelport.dataplane.protocols.invocations import refuse_failed
from modelport.dataplane.replies import status_in, status_of
from modelport.dataplane.tables import ServedEndpoint, Tables
from modelport.dataplane.variants import ServedVariant
from modelport.domain.clock import Clock
from modelport.domain.errors import InvalidInput, ModelportError, Unavailable
from modelport.runtime.codecs import Lengthy, MixedReply
from modelport.settings import Settings

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
        cold: Where requests wait for models that are not in memory.
        hosted: Where they wait for models that are not hosted yet.
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
        cold: ColdRequests,
        hosted: HostedRequests,
        count_refused: Callable[[int], None],
    ) -> None:
        self._tables = tables
        self._pending_max = settings.pending_requests_max
        self._timeout_s = settings.request_timeout_s
        self._monotonic = clock.monotonic
        self._loop = loop
        self._capture = capture
        self._cold = cold
        self._hosted = hosted
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
            endpoint = table.endpoints.get(ask.endpoint) or table.open_endpoint(ask.endpoint)
            variant = endpoint.only
            if variant is None or ask.chooses:
                variant = endpoint.choose(ask, random())  # noqa: S311 - shares, no secret
            if endpoint.waiting >= self._pending_max:
                _refuse_one_more(endpoint)
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
                self._timeout_s
                if ask.timeout_s is None
                else min(ask.timeout_s, ask.dialect.timeout_s_max or self._timeout_s)
            )
            lane = variant.lanes.get(ask.codec_key) or self._open_lane(variant, ask)
            batcher = lane.batcher
            if batcher.busy and not batcher.admits():
                lane.codes(503).add()
                exchange.reply(lane.overloaded)
                return
            if len(exchange.body) <= lane.passing_bytes:
                exchange.rows = lane.in_passing(exchange.body)
        except Lengthy:
            pass  # it is read in the model's thread
        except Exception as problem:  # noqa: BLE001 - whatever it is, it is this request's
            self._take_badly(exchange, ask, variant, problem)
            return
        exchange.lane = lane
        endpoint.waiting += 1
        table.open += 1
        batcher.submit(exchange)
        if endpoint.shadows:
            table.open += 1  # the copies belong to the same table, even if the original is done before them
            self._loop.call_soon(self._ask_shadows, exchange, endpoint)

    def _take_badly(
        self, exchange: Exchange, ask: Ask, variant: ServedVariant | None, problem: Exception
    ) -> None:
        """Let a request wait for a model that is not there; refuse it for any other reason."""
        if isinstance(problem, Absent):
            self._hold_absent(exchange, ask, variant, problem)
            return
        if isinstance(problem, Dormant) and variant is not None:
            endpoint = exchange.table.endpoints[ask.endpoint]
            self._hold(exchange, ask, endpoint, variant, problem.handle)
            return
        if not isinstance(problem, ModelportError):  # a fault of ours is nobody else's trouble
            log.error("request.failed", endpoint=ask.endpoint, exc_info=problem)
            problem = ModelportError("the server failed on this request")
        self._refuse(exchange, ask, variant, problem)

    def _hold(
        self,
        exchange: Exchange,
        ask: Ask,
        endpoint: ServedEndpoint,
        variant: ServedVariant,
        handle: ModelHandle,
    ) -> None:
        """Let a request wait for its model, as one of its table and of its endpoint."""
        try:
            self._cold.hold(exchange, handle, partial(self._go_on, exchange, ask, endpoint, variant))
        except ModelportError as error:
            self._refuse(exchange, ask, variant, error)
            return
        endpoint.waiting += 1
        exchange.table.open += 1

    def _hold_absent(
        self, exchange: Exchange, ask: Ask, variant: ServedVariant | None, absent: Absent
    ) -> None:
        """Let a request wait for a model that some table to come may host; it belongs to none so far."""
        queue = exchange.queue

        def go_on(problem: ModelportError | None) -> None:
            queue.waiting -= 1
            if problem is not None:
                self._refuse(exchange, ask, variant, problem)
            elif exchange.answered is not None:
                self.handle(exchange)

        try:
            self._hosted.hold(exchange, absent.model, go_on)
        except ModelportError as error:
            self._refuse(exchange, ask, variant, error)
        else:
            queue.waiting += 1

    def _go_on(
        self,
        exchange: Exchange,
        ask: Ask,
        endpoint: ServedEndpoint,
        variant: ServedVariant,
        problem: ModelportError | None,
    ) -> None:
        """Do for a request that waited for its model what `handle` does for the others."""
        endpoint.waiting -= 1
        try:
            if exchange.answered is None:
                variant.count(ask.dialect.name, CLIENT_GONE).add()
            elif problem is not None:
                self._refuse(exchange, ask, variant, problem)
            else:
                self._submit(exchange, ask, variant)
                if endpoint.shadows:
                    exchange.table.open += 1
                    self._loop.call_soon(self._ask_shadows, exchange, endpoint)
        except ModelportError as error:
            self._refuse(exchange, ask, variant, error)
        except Exception:  # as in `handle`
            log.exception("request.failed", endpoint=ask.endpoint)
            self._refuse(exchange, ask, variant, ModelportError("the server failed on this request"))
        finally:
            exchange.table.leave()

    def _submit(self, exchange: Exchange, ask: Ask, variant: ServedVariant) -> None:
        """Decode a request whose model is there, and let it be answered. `handle` has this written out."""
        lane = exchange.lane = variant.lanes.get(ask.codec_key) or self._open_lane(variant, ask)
        with suppress(Lengthy):
            if len(exchange.body) <= lane.passing_bytes:
                exchange.rows = lane.in_passing(exchange.body)
        exchange.queue.waiting += 1
        exchange.table.open += 1
        lane.batcher.submit(exchange)

    def finish(self, exchange: Exchange, answer: Answer) -> None:
        """Take what a model said and send it on."""
        lane = exchange.lane
        exchange.queue.waiting -= 1
        try:
            if isinstance(answer, bytes):
                lane.duration.observe(self._monotonic() - exchange.began)
                lane.ok.values[0] += 1
                answered = exchange.answered
                if answered is not None:  # as `reply`
                    answered(
                        exchange,
                        lane.reply % (exchange.prediction_id, len(answer), answer)
                        if type(answer) is bytes
                        else lane.reply_mixed(exchange.prediction_id, cast("MixedReply", answer)),
                    )
                if exchange.sampled:
                    self._keep(exchange, answer)
            else:
                self._finish_badly(exchange, answer)
        finally:
            table = exchange.table
            if table.open > 1:  # as `leave`
                table.open -= 1
            else:
                table.leave()

    def _finish_badly(self, exchange: Exchange, problem: Exception) -> None:
        lane, plan = exchange.lane, exchange.plan
        if isinstance(problem, ReplicaFailed):
            self._finish_failed(exchange, problem)
            return
        error = problem if isinstance(problem, ModelportError) else None
        if error is None:
            log.error("request.failed", endpoint=lane.variant.endpoint, exc_info=problem)
            error = ModelportError("the server failed on this request")
        shadow = lane.variant.route.shadow
        gone = exchange.answered is None and not shadow
        lane.codes(CLIENT_GONE if gone else status_of(error)).add()
        if plan.ask is not None and not gone and not shadow:
            exchange.reply(plan.ask.dialect.refuse(error))

    def _finish_failed(self, exchange: Exchange, problem: ReplicaFailed) -> None:
        """Say how code in a replica failed, in the only words in which it can be asked."""
        lane, reply = exchange.lane, refuse_failed(problem)
        heard = exchange.answered is not None or problem.told or lane.variant.route.shadow
        lane.codes(status_in(reply) if heard else CLIENT_GONE).add()
        exchange.reply(reply)

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
        variant = variant.aim(ask)
        known = variant.lanes.get(ask.codec_key)
        if known is not None:
            return known
        if variant.asynchronous is not ask.dialect.asynchronous:
            raise _asked_otherwise(variant)
        overloaded = Unavailable(
            f"more requests come for endpoint {variant.endpoint!r} than its model can answer in this worker"
        )
        return variant.open_lane(ask, ask.dialect.refuse(overloaded))

    def _ask_shadows(self, original: Exchange, endpoint: ServedEndpoint) -> None:
        """Give the shadow variants their copy; whatever becomes of it is nobody's trouble."""
        for variant in endpoint.shadows:
            copy = Exchange(None, original.plan, original.body, original.began)
            copy.queue = variant
            copy.table = original.table
            copy.prediction_id = original.prediction_id
            copy.sampled = original.sampled
            copy.deadline = self._monotonic() + self._timeout_s
            if variant.waiting >= self._pending_max:
                self._drop_copy(variant)
            else:
                self._ask_shadow(copy, variant)
        original.table.leave()

    def _ask_shadow(self, copy: Exchange, variant: ServedVariant) -> None:
        ask = copy.plan.ask
        assert ask is not None  # noqa: S101 - the original was handled
        try:
            self._submit(copy, ask, variant)
        except Dormant as dormant:
            try:
                self._cold.hold(
                    copy, dormant.handle, partial(self._go_on_with_copy, copy, variant), shadow=True
                )
            except ModelportError:
                self._drop_copy(variant)
            else:
                variant.waiting += 1
                copy.table.open += 1
        except Exception:  # noqa: BLE001 - a shadow that cannot answer is counted, never heard
            self._drop_copy(variant)

    def _go_on_with_copy(
        self, copy: Exchange, variant: ServedVariant, problem: ModelportError | None
    ) -> None:
        variant.waiting -= 1
        if problem is None:
            self._ask_shadow(copy, variant)
        else:
            self._drop_copy(variant)
        copy.table.leave()

    def _drop_copy(self, variant: ServedVariant) -> None:
        if variant.shadow_dropped is not None:
            variant.shadow_dropped.add()

    def _keep(self, exchange: Exchange, answer: bytes) -> None:
        ask, variant = exchange.plan.ask, exchange.lane.variant
        endpoint = exchange.table.endpoints[variant.endpoint]
        if endpoint.capture is not None and ask is not None:
            self._capture.offer(
                variant,
                prediction_id=exchange.prediction_id,
                inference_id=ask.inference_id,
                asked=(ask.content_type, exchange.body) if endpoint.capture.inputs else None,
                answered=(_type_of(answer, exchange.lane), answer) if endpoint.capture.outputs else None,
                encoding=ask.encoding,
            )


def _refuse_one_more(endpoint: ServedEndpoint) -> NoReturn:
    raise Unavailable(f"{endpoint.waiting} requests wait for endpoint {endpoint.name!r} in this worker")


def _type_of(answer: bytes, lane: Lane) -> str:
    return answer.content_type if isinstance(answer, MixedReply) else lane.reply_type


def _asked_otherwise(variant: ServedVariant) -> InvalidInput:
    if variant.asynchronous:
        return InvalidInput(
            f"endpoint {variant.endpoint!r} has an AsyncInferenceConfig: it answers into a bucket",
            hint="ask it by InvokeEndpointAsync, on the control port",
        )
    return InvalidInput(
        f"endpoint {variant.endpoint!r} answers synchronously", hint="ask it by InvokeEndpoint"
    )
