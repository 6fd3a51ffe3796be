"""HTTP/1.1 on one connection: framing, order, limits and patience. Knows no path and no model.

A head is looked up by its bytes first, since clients repeat theirs; only new ones are parsed. Bodies are cut
out of what was read. Replies leave in the order of the requests, whenever they are ready.

`data_received` and `answered` begin with the case that nearly every request is: one whole request at a time,
with a head that was seen before. Everything else goes through the methods behind them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, cast

import structlog

from modelport.dataplane.bodies import Body, ChunkedBody, SizedBody
from modelport.dataplane.exchange import Exchange, Plan
from modelport.dataplane.heads import CHUNKED, HeadReader, Malformed
from modelport.dataplane.patience import Patience, Watched
from modelport.dataplane.replies import plain_error, status_in, with_header
from modelport.dataplane.streams import Source, Stream
from modelport.dataplane.unsent import unsent_bytes

if TYPE_CHECKING:
    from modelport.dataplane.server import Plans, Server

CRLF = b"\r\n"
HEAD_END = b"\r\n\r\n"
WRITE_BUFFER_BYTES = 64 << 10
SMALL_BODY_BYTES = 64 << 10  # a body this small is read before its request is refused: the client lives on
SMALL_REPLY_BYTES = 64 << 10
TURN_BYTES = 64 << 10  # of requests taken before their replies are seen; those may be larger
LINGER_S = 2.0
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

log = structlog.get_logger()


class Phase(IntEnum):
    """What a connection waits for."""

    IDLE = 0  # a request
    HEAD = 1  # the rest of a head; on a fresh connection: its first byte
    BODY = 2  # the rest of a body
    ASIDE = 3  # room: whole requests lie in the buffer while replies are owed
    ENDED = 4  # the replies still owed; no further request is taken
    LINGER = 5  # nothing: the last reply is out, and what still comes is read over, or a reset would eat it


IDLE, HEAD, BODY, ASIDE, ENDED, LINGER = Phase  # in 3.11 `Phase.IDLE` is a function call


def _write_nowhere(data: bytes) -> None:
    """Stand for `write` of a transport that is not there."""


class Connection(asyncio.Protocol):
    """One client's connection.

    Args:
        server: What it shares with the others.
        plans: What is done with which head, on the listener that it came through.
        spoke: Its client has asked before, in another worker.
    """

    __slots__ = (
        "_body",
        "_body_patience",
        "_buffer",
        "_held",
        "_kept",
        "_leaves",
        "_lingers",
        "_open",
        "_owes_continue",
        "_phase",
        "_plan",
        "_plans",
        "_received",
        "_server",
        "_since",
        "_stream",
        "_transport",
        "_unread",
        "_unread_patience",
        "_watch",
        "_write",
        "place",
    )

    def __init__(self, server: Server, plans: Plans, *, spoke: bool = False) -> None:
        self._server = server
        self._plans = plans
        self._kept = plans.kept
        self._transport: asyncio.Transport | None = None
        self._write: Callable[[bytes], None] = _write_nowhere
        self._open: list[Exchange] = []
        self._phase = IDLE if spoke else HEAD  # who never spoke gets no more patience than a slow head
        self._since = server.now  # when this phase began
        self._buffer = b""
        self._watch: HeadReader | None = None
        self._plan: Plan | None = None
        self._body: Body | None = None
        self._body_patience: Patience | None = None
        self._owes_continue = False
        self._lingers = False  # once nothing is owed any more
        self._received = 0  # bytes of the incomplete body, or while lingering
        self._held = 0  # bytes of large bodies that are not answered yet
        self._unread = 0  # bytes of replies that the client had not taken when it was last looked at
        self._unread_patience: Patience | None = None  # set while replies pile up
        self._stream: Source | None = None  # of the reply that is on its way, in parts
        self.place: set[Watched] | None = None
        self._leaves = False  # it goes to another worker, or ends, once nothing is open on it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        server = self._server
        self._transport = cast("asyncio.Transport", transport)
        self._write = self._transport.write
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        server.connections.add(self)
        server.rounds.add(self)
        allowed = server.settings.connections_max
        if len(server.connections) > allowed + allowed // 8 + 8:
            self._cut("crowded")  # they come faster than they can be told
        elif len(server.connections) > allowed:
            self._refuse(503, f"more than {allowed} open connections")
        elif server.draining:  # accepted just before
            self._leaves = True
            server.loop.call_soon(self.leave)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget everything; what nobody waits for any more is not begun."""
        del error
        self._transport = None
        self._write = _write_nowhere
        if self._phase is ASIDE:
            self._take_back()
        self._phase = ENDED
        self._abandon(self._open)
        self._open = []
        if self._stream is not None:
            self._stream.lose()
            self._stream = None
        self._forget_body()
        self._forget_head()
        self._server.let_go(self._held)
        self._held = 0
        self._server.connections.discard(self)
        self._server.rounds.drop(self)

    def eof_received(self) -> bool:
        """Let a client that said everything hear what is being computed.

        Most clients that close their side have left, and the difference cannot be seen; so a request that
        waits for a model's thread is dropped, with those behind it: an answer must not take another's place.
        """
        if self._phase is LINGER:
            return False
        waits = [exchange.answer is None and exchange.drop is not None for exchange in self._open]
        if True in waits:
            first = waits.index(True)
            self._abandon(self._open[first:])
            del self._open[first:]
        self._forget_body()
        self._forget_head()
        self._phase = ENDED
        return bool(self._open) or self._stream is not None

    def pause_writing(self) -> None:
        """Stop taking requests from a client that does not read its replies."""
        if self._transport is not None:
            self._transport.pause_reading()
        if self._stream is not None:
            self._stream.pause()
        self._watch_reader()

    def resume_writing(self) -> None:
        """Go on."""
        if self._transport is not None and not self._transport.is_closing():
            self._unread_patience = None
        if self._body is not None:
            self._body_patience = self._patience_for_body()  # it was us who did not read
        if self._stream is not None:
            self._stream.resume()
        self._resume()

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if self._phase is IDLE and not self._open:
            end = data.find(HEAD_END) + 4
            plan = self._kept.get(data[:end])
            if plan is not None and end + plan.length == len(data):
                exchange = Exchange(self.answered, plan, data[end:], self._server.monotonic())
                self._open.append(exchange)
                if not plan.keep_alive:
                    self._phase = ENDED
                try:  # as `_hand_over`
                    plan.handle(exchange)
                except Exception as error:  # noqa: BLE001 - as there
                    self._fail(exchange, error)
                return
        self._receive(data)

    def answered(self, exchange: Exchange, answer: bytes) -> None:
        """Send the reply of an exchange, once all before it are sent."""
        owed, server = self._open, self._server
        if not owed or owed[0] is not exchange:
            exchange.answer = answer
            return
        del owed[0]
        if self._phase is IDLE and not owed and not self._leaves and len(answer) <= SMALL_REPLY_BYTES:
            self._since = server.now
            self._write(answer.replace(CRLF, server.opening, 1))
            return
        self._send(exchange.plan, answer)
        while owed and owed[0].answer is not None:
            ready = owed.pop(0)
            self._send(ready.plan, ready.answer or b"")
        if self._phase is IDLE:
            self._since = self._server.now
        else:
            self._go_on()

    def send_part(self, data: bytes) -> None:
        """Send a part of the reply that is on its way."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def end_parts(self) -> None:
        """End the reply that is on its way."""
        self._stream = None
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(LAST_CHUNK)
        self._go_on()

    def leave(self) -> None:
        """Go to another worker, now or once nothing is open, without the client noticing.

        Where there is none the connection stays; in a drain its next reply is its last.
        """
        self._leaves = True
        transport = self._transport
        if transport is None or transport.is_closing() or not self.is_quiet():
            return  # again after the next reply
        if self._server.hand_over(transport, spoke=self._phase is IDLE):
            self._phase = ENDED
            transport.close()  # another process holds the socket: it stays open
        else:
            self._leaves = self._server.draining

    def is_quiet(self) -> bool:
        """Return whether nothing of it is in this process: no request, no reply, no part of either."""
        waits = self._phase is IDLE or (self._phase is HEAD and not self._buffer)
        busy = self._open or self._unread_patience is not None
        return waits and not busy and not (self._transport and self._transport.get_write_buffer_size())

    def asked_since(self, moment: float) -> bool:
        """Return whether a request came at or after `moment`, as coarse as `Server.now`."""
        return self._since >= moment and self._phase is not HEAD

    def end_if_quiet(self) -> None:
        """Close it unless something is open."""
        if self.is_quiet():
            self._close()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def check(self, now: float) -> float:
        """End a connection that has been waited for long enough; return when to look again."""
        limits = self._server.settings
        if self._unread_patience is not None:
            return self._check_reader(self._unread_patience, now)
        if self._phase is BODY:
            if self._body_patience is not None and self._body_patience.over(now):
                self._refuse(408, f"the body came too slowly, or not at all for {limits.body_timeout_s:g} s")
            return now
        due = self._since + self._patience_s()
        if now < due:
            return due
        if self._phase is LINGER:
            self._cut(None)
        elif self._phase is HEAD:
            self._end_slow_head()
        elif self._phase is IDLE and not self._open:
            self._close()
        else:  # it is us whom the client waits for
            return now + limits.idle_timeout_s
        return now

    def _patience_s(self) -> float:
        limits = self._server.settings
        if self._phase is HEAD:
            return limits.header_timeout_s
        return LINGER_S if self._phase is LINGER else limits.idle_timeout_s

    def _check_reader(self, patience: Patience, now: float) -> float:
        """Look at what a client that does not keep up has read meanwhile."""
        unread = 0 if self._transport is None else unsent_bytes(self._transport)
        patience.moved(max(0, self._unread - unread), now)
        self._unread = unread
        if patience.over(now):
            self._cut("slow_reader")
        return now

    def _end_slow_head(self) -> None:
        if self._buffer:
            self._refuse(408, f"no complete head within {self._server.settings.header_timeout_s:g} s")
        else:
            self._cut("silent")

    def _receive(self, data: bytes) -> None:
        """Take what has come, whatever is waited for."""
        try:
            if self._phase is BODY:
                data = self._take_body(data)
            elif self._phase is LINGER:
                self._read_over(data)
                return
            elif self._phase is ENDED:
                return
            elif self._buffer:
                data = self._buffer + data
                self._buffer = b""
            if data:
                self._take(data)
        except Malformed as problem:
            self._refuse(problem.status, problem.reason)

    def _take(self, data: bytes) -> None:
        """Take requests from `data` until it is used up."""
        server = self._server
        began = server.monotonic()
        at, size = 0, len(data)
        while at < size:
            if self._unread_patience is not None or len(self._open) >= server.pipelined_max:
                self._put_aside(data[at:])
                return
            if at > TURN_BYTES and self._open:
                self._put_aside(data[at:])
                return
            found = data.find(HEAD_END, at)
            if found < 0:
                self._watch_head(data[at:])
                return
            end = found + 4
            plan = self._kept.get(data[at:end]) or self._plans.learn(data[at:end])
            self._forget_head()
            self._phase = IDLE
            stop = end + plan.length
            if plan.length < 0 or stop > size:
                at = size - len(self._begin_body(plan, data[end:]))
            else:
                at = stop
                self._hand_over(Exchange(self.answered, plan, data[end:stop], began))
            if self._phase >= BODY:
                return
        self._phase = IDLE
        self._since = server.now

    def _hand_over(self, exchange: Exchange) -> None:
        plan = exchange.plan
        self._open.append(exchange)
        if not plan.keep_alive:
            self._phase = ENDED
        try:
            plan.handle(exchange)
        except Exception as error:  # noqa: BLE001 - a fault of ours is this request's 500, nobody else's trouble
            self._fail(exchange, error)

    def _fail(self, exchange: Exchange, error: Exception) -> None:
        log.error("request.failed", exc_info=error)
        self._server.count_refused(500)
        exchange.reply(exchange.plan.refuse(500, "the server failed on this request"))

    def _put_aside(self, data: bytes) -> None:
        """Keep what cannot be taken now; `_resume` comes back to it."""
        self._server.hold(len(data))
        self._buffer = data
        self._phase = ASIDE
        if self._transport is not None:
            self._transport.pause_reading()

    def _resume(self) -> None:
        """Take what was put aside while replies were owed."""
        if self._unread_patience is not None or self._transport is None or self._transport.is_closing():
            return
        self._transport.resume_reading()
        if self._phase is ASIDE:
            self._receive(self._take_back())

    def _take_back(self) -> bytes:
        data, self._buffer = self._buffer, b""
        self._server.let_go(len(data))
        self._phase = IDLE
        return data

    def _watch_head(self, rest: bytes) -> None:
        """Keep an incomplete head, unless it is wrong already."""
        longest = self._server.settings.header_bytes_max
        if len(rest) > longest:
            raise Malformed(431, f"the head is larger than {longest} bytes")
        if self._watch is None:
            self._watch = HeadReader()
            self._since = self._server.now
            if self._phase is not HEAD:
                self._phase = HEAD
                self._server.rounds.add(self)
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
                self._server.count_refused(status_in(refusal))
                self._end_with(refusal)
                return b""
        self._plan, self._received = plan, 0
        if plan.length > limits.body_bytes_max:
            raise Malformed(
                413, f"the body has {plan.length} bytes, at most {limits.body_bytes_max} are read"
            )
        chunked = plan.length == CHUNKED
        self._body = ChunkedBody(limits.body_bytes_max) if chunked else SizedBody(plan.length)
        self._body_patience = self._patience_for_body()
        self._phase = BODY
        self._server.rounds.add(self)
        if plan.expects_continue and not rest:
            self._owes_continue = True
            self._go_on()
        return self._take_body(rest)

    def _patience_for_body(self) -> Patience:
        limits = self._server.settings
        return Patience(limits.body_timeout_s, limits.body_bytes_per_s_min, self._server.now)

    def _take_body(self, data: bytes) -> bytes:
        """Take bytes of the body; return what follows it, nothing while it is not complete."""
        server, plan, body = self._server, self._plan, self._body
        if plan is None or body is None or self._body_patience is None:
            return data
        self._body_patience.moved(len(data), server.now)
        rest = body.feed(data)
        if rest is None:
            server.hold(len(data))
            self._received += len(data)
            return b""
        exchange = Exchange(self.answered, plan, body.whole(), server.monotonic())
        self._forget_body()
        if len(exchange.body) > SMALL_BODY_BYTES:
            exchange.answered = self._answered_large
            self._held += len(exchange.body)
            server.bodies_bytes += len(exchange.body)  # it came within the budget, and it is here already
        self._phase = IDLE
        self._since = server.now
        self._hand_over(exchange)
        return rest if self._phase is IDLE else b""

    def _answered_large(self, exchange: Exchange, answer: bytes) -> None:
        """Send a reply whose request's body counts as held until now."""
        self._held -= len(exchange.body)
        self._server.let_go(len(exchange.body))
        self.answered(exchange, answer)

    def _forget_body(self) -> None:
        if self._plan is not None:
            self._server.let_go(self._received)
        self._plan = self._body = self._body_patience = None
        self._owes_continue = False
        self._received = 0

    def _forget_head(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        self._buffer = b""

    def _abandon(self, exchanges: list[Exchange]) -> None:
        """Forget requests; what still waits for a model is not begun."""
        for exchange in exchanges:
            exchange.answered = None
            if exchange.drop is not None:
                exchange.drop(exchange)

    def _go_on(self) -> None:
        """Do what had to wait for replies."""
        if self._phase is ENDED:
            if self._stream is not None:
                return
            if not self._open and self._lingers:
                self._linger()
            elif not self._open:
                self._close()
        elif self._phase is ASIDE:
            if len(self._open) in (0, self._server.pipelined_max // 2):
                self._server.loop.call_soon(self._resume)
        elif self._owes_continue and not self._open and self._transport is not None:
            self._owes_continue = False
            self._transport.write(CONTINUE)

    def _send(self, plan: Plan, answer: bytes) -> None:
        transport, server = self._transport, self._server
        if transport is None or transport.is_closing():
            if isinstance(answer, Stream):
                answer.source.lose()
            return
        opening = server.opening
        if not plan.keep_alive:
            self._phase, opening = ENDED, server.last_opening
            if isinstance(answer, Stream):
                self._stream = answer.source
                transport.write(answer.replace(CRLF, opening, 1))
                answer.source.start(self)
                if self._stream is not None and self._unread_patience is not None:
                    self._stream.pause()  # the client does not keep up with what came before
                return
        elif self._leaves and self._phase is IDLE and not self._open:
            if server.may_hand_over():
                server.loop.call_soon(self.leave)
            elif server.draining:
                self._phase, opening = ENDED, server.last_opening
        if len(answer) <= SMALL_REPLY_BYTES:
            transport.write(answer.replace(CRLF, opening, 1))
            return
        end = answer.index(CRLF)
        transport.writelines((answer[:end], opening, memoryview(answer)[end + 2 :]))

    def _refuse(self, status: int, reason: str) -> None:
        """Answer what cannot be understood, and end the connection."""
        self._server.count_refused(status)
        word = plain_error if self._plan is None else self._plan.refuse
        reply = word(status, reason)
        self._end_with(with_header(reply, "Retry-After", "1") if status == 503 else reply)

    def _end_with(self, reply: bytes) -> None:
        """Send a last reply (after those still owed), then read over what comes for a while."""
        self._forget_body()
        self._forget_head()
        self._phase = ENDED
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        last = Plan(lambda _: None, length=0, keep_alive=False)
        if self._open:  # it must not overtake them
            self._lingers = True
            self._open.append(Exchange(self.answered, last, b"", self._server.now, reply))
            return
        self._send(last, reply)
        self._linger()

    def _linger(self) -> None:
        """Say that nothing follows, and wait for the client to see it."""
        self._phase = LINGER
        self._since = self._server.now
        self._server.rounds.add(self)
        transport = self._transport
        if transport is not None and not transport.is_closing() and transport.can_write_eof():
            transport.write_eof()

    def _read_over(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > self._server.settings.body_bytes_max:
            self._cut(None)

    def _watch_reader(self) -> None:
        """See to it that a client that does not take its replies is cut."""
        if self._unread_patience is not None or self._transport is None:
            return
        limits = self._server.settings
        self._unread = unsent_bytes(self._transport)
        self._unread_patience = Patience(
            limits.write_timeout_s, limits.reply_bytes_per_s_min, self._server.now
        )
        self._server.rounds.add(self)

    def _cut(self, reason: str | None) -> None:
        """Cut the connection; count why, where it was the client's fault."""
        if reason is not None:
            self._server.count_cut(reason)
        self.abort()

    def _close(self) -> None:
        """Close the connection when everything is written."""
        self._phase = ENDED
        if self._transport is not None and not self._transport.is_closing():
            if self._transport.get_write_buffer_size():
                self._watch_reader()
            self._transport.close()
