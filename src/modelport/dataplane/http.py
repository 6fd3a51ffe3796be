"""HTTP/1.1 on one connection: framing, order, limits and patience. Knows no path and no model.

A head is looked up by its bytes first, since clients repeat theirs; only new ones are parsed. Bodies are cut
out of what was read. Replies leave in the order of the requests, whenever they are ready.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import IntEnum
from typing import TYPE_CHECKING, cast

from modelport.dataplane.chunks import ChunkedBody
from modelport.dataplane.exchange import Exchange, Plan
from modelport.dataplane.heads import CHUNKED, HeadReader, Malformed
from modelport.dataplane.replies import plain_error, with_close

if TYPE_CHECKING:
    from modelport.dataplane.server import Server

HEAD_END = b"\r\n\r\n"
PIPELINED_MAX = 128
WRITE_BUFFER_BYTES = 64 << 10
SMALL_BODY_BYTES = 64 << 10  # a body this small is read before its request is refused: the client lives on
LINGER_S = 2.0
LINGER_BYTES = 1 << 20
BODY_BYTES_PER_S = 1024
BODIES_BYTES_FACTOR = 4
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Phase(IntEnum):
    """What a connection waits for."""

    IDLE = 0
    HEAD = 1
    BODY = 2
    LINGER = 3  # the last reply is out; what still comes is read over, so that it is not lost by a reset


class Connection(asyncio.Protocol):
    """One client's connection.

    Args:
        server: What it shares with the others.
    """

    __slots__ = (
        "_body_at",
        "_buffer",
        "_chunked",
        "_ended",
        "_eof",
        "_leaves",
        "_missing",
        "_open",
        "_parts",
        "_paused",
        "_paused_at",
        "_phase",
        "_plan",
        "_received",
        "_server",
        "_since",
        "_transport",
        "_watch",
    )

    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._open: deque[Exchange] = deque()
        self._buffer = b""
        self._phase = Phase.HEAD  # a connection that never speaks gets no more patience than a slow head
        self._since = server.now
        self._watch: HeadReader | None = None
        self._plan: Plan | None = None
        self._parts: list[bytes] = []
        self._missing = 0
        self._received = 0
        self._body_at = 0.0
        self._chunked: ChunkedBody | None = None
        self._paused = False
        self._paused_at = 0.0
        self._ended = False  # no further request is taken from this connection
        self._eof = False
        self._leaves = False  # it goes to another worker, or ends, once nothing is open on it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        server = self._server
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        server.connections.add(self)
        if len(server.connections) > server.settings.connections_max:
            self._refuse(503, "too many open connections")
        elif server.draining:  # accepted just before
            self._leaves = True
            server.loop.call_soon(self.leave)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget everything."""
        del error
        self._transport = None
        self._ended = True
        for exchange in self._open:
            exchange.answered = None  # nobody is left to hear it
        self._open.clear()
        self._forget_body()
        self._buffer = b""
        self._server.connections.discard(self)

    def eof_received(self) -> bool:
        """Let a client that said everything hear what is still open."""
        self._eof = True
        return bool(self._open) and self._phase is not Phase.LINGER

    def pause_writing(self) -> None:
        """Stop taking requests from a client that does not read its replies."""
        self._paused = True
        self._paused_at = self._server.now
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._paused = False
        self._resume()

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if self._phase is Phase.LINGER:
            self._received += len(data)
            if self._received > LINGER_BYTES:
                self.abort()
            return
        if self._ended:
            return
        try:
            if self._plan is not None:
                rest = self._take_body(data)
                if rest:
                    self._take(rest)
            elif self._buffer:
                data = self._buffer + data
                self._buffer = b""
                self._take(data)
            else:
                self._take(data)
        except Malformed as problem:
            self._refuse(problem.status, problem.reason)

    def answered(self, exchange: Exchange, answer: bytes) -> None:
        """Send the reply of an exchange, once all before it are sent."""
        waiting = self._open
        if not waiting or waiting[0] is not exchange:
            exchange.answer = answer
            return
        waiting.popleft()
        self._send(exchange.plan, answer)
        while waiting and waiting[0].answer is not None:
            ready = waiting.popleft()
            self._send(ready.plan, ready.answer or b"")
        if self._eof and not waiting:
            self._close()
        elif self._buffer and self._watch is None and len(waiting) in (0, PIPELINED_MAX // 2):
            self._server.loop.call_soon(self._resume)

    def leave(self) -> None:
        """Go to another worker, now or once nothing is open, without the client noticing.

        Where there is none the connection stays; in a drain its next reply is its last.
        """
        self._leaves = True
        transport = self._transport
        if transport is None or transport.is_closing() or not self.is_quiet():
            return  # again after the next reply
        if self._server.hand_over(transport):
            self._ended = True
            transport.close()  # another process holds the socket: it stays open
        else:
            self._leaves = self._server.draining

    def is_quiet(self) -> bool:
        """Return whether nothing of it is in this process: no request, no reply, no part of either."""
        return not (
            self._open
            or self._buffer
            or self._plan is not None
            or self._ended
            or self._eof
            or self._paused
            or (self._transport is not None and self._transport.get_write_buffer_size())
        )

    def asked_since(self, moment: float) -> bool:
        """Return whether a request came at or after `moment`, as coarse as `Server.now`."""
        return self._since >= moment and self._phase is not Phase.HEAD

    def end_if_quiet(self) -> None:
        """Close it unless something is open."""
        if self.is_quiet():
            self._close()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def check_patience(self, now: float) -> None:
        """End a connection that has been waited for long enough."""
        limits = self._server.settings
        if self._paused and now - self._paused_at > limits.write_timeout_s:
            self.abort()
        elif self._phase is Phase.LINGER:
            if now - self._since > LINGER_S:
                self.abort()
        elif self._open or self._ended:
            self._since = now  # it is us whom the client waits for
        elif self._phase is Phase.HEAD:
            self._check_head(now - self._since)
        elif self._phase is Phase.BODY:
            self._check_body(now)
        elif now - self._since > limits.idle_timeout_s:
            self._close()

    def _check_head(self, waited: float) -> None:
        limit = self._server.settings.header_timeout_s
        if waited > limit:
            if self._buffer:
                self._refuse(408, f"no complete head within {limit:g} s")
            else:
                self._close()

    def _check_body(self, now: float) -> None:
        limit = self._server.settings.body_timeout_s
        begun = now - self._body_at
        crawls = begun > limit and self._received < BODY_BYTES_PER_S * begun
        if now - self._since > limit or crawls:
            self._refuse(408, f"the body came too slowly, or not within {limit:g} s")

    def _take(self, data: bytes) -> None:
        """Take requests from `data` until it is used up."""
        server = self._server
        began = server.monotonic()
        at, size = 0, len(data)
        while at < size:
            if self._paused or len(self._open) >= PIPELINED_MAX:
                self._put_aside(data[at:])
                return
            found = data.find(HEAD_END, at)
            if found < 0:
                self._watch_head(data[at:])
                return
            end = found + 4
            plan = server.heads.get(data[at:end])
            if plan is None:
                plan = server.plan(data[at:end])
            self._watch = None
            stop = end + plan.length
            if plan.length < 0 or stop > size:
                at = size - len(self._begin_body(plan, data[end:]))
                if self._plan is not None:
                    return
            else:
                at = stop
                self._hand_over(plan, data[end:stop], began)
            if self._ended:
                return
        self._phase = Phase.IDLE
        self._since = server.now

    def _put_aside(self, data: bytes) -> None:
        """Keep what cannot be taken now; `_resume` comes back to it."""
        self._buffer = data
        if self._transport is not None:
            self._transport.pause_reading()

    def _hand_over(self, plan: Plan, body: bytes, began: float) -> None:
        exchange = Exchange(self.answered, plan, body, began)
        self._open.append(exchange)
        if not plan.keep_alive:
            self._ended = True
        plan.handle(exchange)

    def _watch_head(self, rest: bytes) -> None:
        """Keep an incomplete head, unless it is wrong already."""
        if self._phase is not Phase.HEAD:
            self._phase = Phase.HEAD
            self._since = self._server.now
        if len(rest) > self._server.settings.header_bytes_max:
            raise Malformed(431, f"the head is larger than {self._server.settings.header_bytes_max} bytes")
        if self._watch is None:
            self._watch = HeadReader()
        self._watch.feed(rest[self._watch.seen :])
        if self._watch.complete:
            raise Malformed(400, "the head does not end with an empty line")
        self._buffer = rest

    def _begin_body(self, plan: Plan, rest: bytes) -> bytes:
        """Begin a body that is not complete; return what follows it if it is after all."""
        limits = self._server.settings
        if plan.length > SMALL_BODY_BYTES or plan.length == CHUNKED or plan.expects_continue:
            refusal = plan.refuse_early()
            if refusal is not None:
                self._end_with(refusal)
                return b""
        self._plan, self._received = plan, 0
        if plan.length > limits.body_bytes_max:
            raise Malformed(
                413, f"the body has {plan.length} bytes, at most {limits.body_bytes_max} are read"
            )
        if self._server.bodies_bytes > BODIES_BYTES_FACTOR * limits.body_bytes_max:
            raise Malformed(503, "too many large bodies are on their way at once")
        self._phase = Phase.BODY
        self._since = self._body_at = self._server.now
        if plan.length == CHUNKED:
            self._chunked = ChunkedBody(limits.body_bytes_max)
        else:
            self._missing = plan.length
        if plan.expects_continue and not rest and not self._open and self._transport is not None:
            self._transport.write(CONTINUE)
        return self._take_body(rest)

    def _take_body(self, data: bytes) -> bytes:
        """Take bytes of the body; return what follows it, nothing while it is not complete."""
        server, plan = self._server, self._plan
        if plan is None:
            return data
        self._since = server.now
        self._received += len(data)
        server.bodies_bytes += len(data)
        if self._chunked is not None:
            rest = self._chunked.feed(data)
            if rest is None:
                return b""
            body = self._chunked.body()
        else:
            piece = data if len(data) <= self._missing else data[: self._missing]
            self._parts.append(piece)
            self._missing -= len(piece)
            if self._missing:
                return b""
            rest = data[len(piece) :]
            body = b"".join(self._parts)
        self._forget_body()
        self._phase = Phase.IDLE
        self._hand_over(plan, body, server.monotonic())
        return b"" if self._ended else rest

    def _forget_body(self) -> None:
        if self._plan is not None:
            self._server.bodies_bytes -= self._received
        self._plan = None
        self._chunked = None
        self._parts = []
        self._missing = self._received = 0

    def _resume(self) -> None:
        """Take what was put aside while replies were waited for."""
        if self._paused or self._transport is None or self._transport.is_closing():
            return
        self._transport.resume_reading()
        if self._buffer and self._watch is None and not self._ended:
            data, self._buffer = self._buffer, b""
            self.data_received(data)

    def _send(self, plan: Plan, answer: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if plan.keep_alive and not self._leaves:
            transport.write(answer)
            return
        if plan.keep_alive and (self._open or self._buffer or self._server.may_hand_over()):
            transport.write(answer)
            self._server.loop.call_soon(self.leave)
            return
        transport.write(with_close(answer))
        self._ended = True
        if not self._open:
            transport.close()

    def _refuse(self, status: int, reason: str) -> None:
        """Answer what cannot be understood, and end the connection."""
        self._server.count_refused(status)
        word = plain_error if self._plan is None else self._plan.refuse
        self._end_with(word(status, reason))

    def _end_with(self, reply: bytes) -> None:
        """Send a last reply (after those still open), then read over what comes for a while."""
        self._ended = True
        self._forget_body()
        self._buffer = b""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._open:  # it must not overtake them
            plan = Plan(lambda _: None, length=0, keep_alive=False)
            last = Exchange(self.answered, plan, b"", self._server.now)
            last.answer = reply
            self._open.append(last)
            return
        transport.write(with_close(reply))
        self._phase = Phase.LINGER
        self._since = self._server.now
        self._received = 0
        if transport.can_write_eof() and not self._eof:
            transport.write_eof()

    def _close(self) -> None:
        self._ended = True
        if self._transport is not None:
            self._transport.close()
