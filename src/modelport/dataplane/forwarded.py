"""One request that is forwarded: what its replica is sent and says, and what its client hears of that.

Source: SageMaker, "How containers serve requests"; InvokeEndpoint, InvokeEndpointWithResponseStream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from modelport.dataplane import event_stream
from modelport.dataplane.capture import QUEUED_BYTES_MAX
from modelport.dataplane.exchange import Exchange
from modelport.dataplane.replicas import Replica
from modelport.dataplane.streams import Sink, Stream
from modelport.dataplane.upstream import ReplyHead, Upstream
from modelport.domain.errors import TimedOut
from modelport.runtime.codecs import MixedReply

if TYPE_CHECKING:
    from modelport.dataplane.forward import Forwarder
    from modelport.dataplane.lanes import StreamLane
    from modelport.dataplane.protocols import Ask

STREAM_S_MAX = 480.0
"""A reply in parts may take so long altogether. Source: SageMaker, quotas of response streaming."""

ORIGINAL_BYTES_MAX = 4096
"""Of what a replica said when it failed, so much is passed on."""

FIELD_BYTES_MAX = 1024
"""Longest header value of a reply that is passed on. Source: InvokeEndpoint, CustomAttributes."""

PASSED_ON = {
    "content-type": "Content-Type",
    "content-encoding": "Content-Encoding",
    "x-amzn-sagemaker-custom-attributes": "X-Amzn-SageMaker-Custom-Attributes",
    "x-amzn-sagemaker-inference-id": "X-Amzn-SageMaker-Inference-Id",
    "x-amzn-sagemaker-session-id": "X-Amzn-SageMaker-Session-Id",
}
"""Headers of a request that a replica gets, besides Accept."""

PASSED_BACK = {
    b"content-encoding": b"Content-Encoding",
    b"x-amzn-sagemaker-custom-attributes": b"X-Amzn-SageMaker-Custom-Attributes",
}
"""Headers of its reply that the client gets, besides Content-Type."""


class ReplicaFailed(Exception):
    """A replica did not answer a request as it should have.

    Args:
        message: What was found.
        status: The status it answered with, or that stands for no answer at all; None: none does.
        original: What it said then, or what is known of it.
        late: It was waited for long enough.
        told: The client has heard of it already, in the middle of its reply.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        original: str | None = None,
        late: bool = False,
        told: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.original = original
        self.late = late
        self.told = told


class ReplicaReply(MixedReply):
    """What a replica answered, its media type, and the header lines that go back with it."""


def write_head(ask: Ask, size: int) -> bytes:
    """Return the head of what a replica is asked.

    Args:
        ask: What the client asks for.
        size: Bytes of the body.
    """
    lines = [f"{PASSED_ON[name]}: {value}\r\n" for name, value in ask.headers.items() if name in PASSED_ON]
    if ask.accept is not None:
        lines.append(f"Accept: {ask.accept}\r\n")
    return (
        f"POST /invocations HTTP/1.1\r\nHost: localhost\r\n{''.join(lines)}Content-Length: {size}\r\n\r\n"
    ).encode("latin-1")


def read_type(fields: Mapping[bytes, bytes]) -> bytes:
    """Return the media type of a reply; without one it is bytes."""
    found = fields.get(b"content-type", b"")
    return found if 0 < len(found) <= FIELD_BYTES_MAX else b"application/octet-stream"


def read_fields(fields: Mapping[bytes, bytes]) -> bytes:
    """Return the other header lines of a reply that go back with it."""
    return b"".join(
        [
            b"%b: %b\r\n" % (PASSED_BACK[name], value)
            for name, value in fields.items()
            if name in PASSED_BACK and len(value) <= FIELD_BYTES_MAX
        ]
    )


def describe_failure(status: int, body: bytes) -> ReplicaFailed:
    """Return the failure that a reply stands for.

    Args:
        status: Of the reply.
        body: Its beginning, or all of it.
    """
    original = body[:ORIGINAL_BYTES_MAX].decode("utf-8", "replace")
    first = next(iter(original.strip().splitlines()), "")[:300]
    return ReplicaFailed(
        f"the model's own code answered with status {status}{': ' if first else ''}{first}",
        status=status,
        original=original,
    )


class Call:
    """One request and its reply: what its connection to a replica tells, and what becomes of it.

    Args:
        forwarder: Whose.
        exchange: The client's.

    Attributes:
        sent: A connection took it, or a part of it.
        refused: The replicas that took no connection for it.
    """

    __slots__ = (
        "_again",
        "_forwarder",
        "_head",
        "_parts",
        "_replica",
        "_sent_at",
        "_size",
        "_upstream",
        "exchange",
        "refused",
        "sent",
    )

    def __init__(self, forwarder: Forwarder, exchange: Exchange) -> None:
        self.exchange = exchange
        self.sent = False
        self.refused: set[Replica] = set()
        self._forwarder = forwarder
        self._replica: Replica | None = None
        self._upstream: Upstream | None = None
        self._sent_at = 0.0
        self._again = False  # it was lost once
        self._head: ReplyHead | None = None
        self._parts: list[bytes] = []
        self._size = 0
        wait_s = max(0.0, exchange.deadline - forwarder.now())
        exchange.timer = forwarder.loop.call_later(wait_s, self._expire)
        exchange.drop = self._drop

    @property
    def _good(self) -> bool:
        return self._head is not None and 200 <= self._head.status < 300

    def go(self, replica: Replica, upstream: Upstream) -> None:
        """Go to a replica."""
        ask, body = self.exchange.plan.ask, self.exchange.body
        assert ask is not None  # noqa: S101 - nothing else is forwarded
        self._replica, self._upstream = replica, upstream
        self._sent_at = self._forwarder.now()
        self._again, self.sent = self.sent, True
        upstream.ask(write_head(ask, len(body)), body, self)

    def stop(self, why: Exception) -> None:
        """End it, wherever it is."""
        self._forwarder.leave(self)
        if self._upstream is not None:
            self._upstream.close()
        self._let_go()
        self._fail(why)

    def end(self, answer: bytes | Exception) -> None:
        """Close the books, unless they are."""
        exchange = self.exchange
        if exchange.timer is not None:
            exchange.timer.cancel()
            exchange.timer = exchange.drop = None
            self._forwarder.finish(exchange, answer)

    def on_head(self, head: ReplyHead) -> None:
        """Hear status and headers."""
        self._head = head
        if self._good and int(head.fields.get(b"content-length", b"0")) > self._bytes_max:
            self.stop(self._too_large())

    def on_part(self, data: bytes) -> None:
        """Hear a piece of the body."""
        if self._good or self._size < ORIGINAL_BYTES_MAX:
            self._parts.append(data)
        self._size += len(data)
        if self._size > self._bytes_max:
            self.stop(self._too_large() if self._good else self._failure())

    def on_complete(self) -> None:
        """Hear the end of the body."""
        seconds = self._forwarder.now() - self._sent_at
        self._forwarder.observe(seconds)
        if self._replica is not None and self._upstream is not None:
            self._replica.keep(self._upstream)
        self._let_go()
        self.exchange.lane.variant.inference.observe(seconds)
        if self._good:
            self._succeed()
        else:
            self._fail(self._failure())

    def on_lost(self, reason: str) -> None:
        """Hear that the connection ended; send the request again where that can do no harm."""
        upstream, replica = self._upstream, self._replica
        assert upstream is not None  # noqa: S101 - it says so
        assert replica is not None  # noqa: S101 - it leads there
        if not (upstream.heard or upstream.kept):
            replica.suspect()
        if not (upstream.heard or self._again) and (upstream.kept or not upstream.sent):
            self._upstream = self._replica = None
            self._forwarder.send_again(self, replica)
            return
        self._let_go()
        self._fail(
            ReplicaFailed(f"the model's own code did not answer: {reason}", status=500, original=reason)
        )

    @property
    def _bytes_max(self) -> int:
        return self._forwarder.limits.replica_reply_bytes_max

    def _succeed(self) -> None:
        self.end(self._reply())

    def _fail(self, why: Exception) -> None:
        self.end(why)

    def _reply(self) -> ReplicaReply:
        assert self._head is not None  # noqa: S101 - it came first
        reply, media = ReplicaReply(b"".join(self._parts)), read_type(self._head.fields)
        reply.content_type = media.decode("latin-1")
        reply.fields = b"Content-Type: %b\r\n%b" % (media, read_fields(self._head.fields))
        return reply

    def _failure(self) -> ReplicaFailed:
        assert self._head is not None  # noqa: S101 - it came first
        return describe_failure(self._head.status, b"".join(self._parts))

    def _too_large(self) -> ReplicaFailed:
        return ReplicaFailed(f"the reply of the model's own code is larger than {self._bytes_max} bytes")

    def _drop(self, _exchange: Exchange) -> None:
        self.stop(TimedOut("the client went away"))

    def _expire(self) -> None:
        waited = self.exchange.deadline - self.exchange.began
        what = "no replica had room" if self._upstream is None else "the model's own code did not answer"
        self.stop(ReplicaFailed(f"{what} within {waited:g} s", late=True))

    def _let_go(self) -> None:
        replica, self._replica, self._upstream = self._replica, None, None
        if replica is not None:
            self._forwarder.release(self, replica)


class StreamedCall(Call):
    """One whose reply goes back in parts, as they come."""

    __slots__ = ("_begun_at", "_early", "_heard_at", "_over", "_sink")

    def __init__(self, forwarder: Forwarder, exchange: Exchange) -> None:
        super().__init__(forwarder, exchange)
        self._begun_at = 0.0  # 0: the client has heard nothing yet
        self._heard_at = 0.0
        self._sink: Sink | None = None
        self._early: list[bytes] = []  # what came before the reply's turn
        self._over = False

    # its replica

    def on_head(self, head: ReplyHead) -> None:
        """Hear status and headers, and begin the client's reply."""
        self._head = head
        exchange = self.exchange
        answered = exchange.answered
        if not self._good or answered is None:
            return
        self._begun_at = self._heard_at = self._forwarder.now()
        self.pause()  # until it is its turn, which may be at once
        stream = Stream(
            cast("StreamLane", exchange.lane).opening(
                exchange.prediction_id, read_type(head.fields), read_fields(head.fields)
            )
        )
        stream.source = self
        exchange.answered = None
        answered(exchange, stream)

    def on_part(self, data: bytes) -> None:
        """Hear a piece of the body, and pass it on."""
        if not self._good:
            super().on_part(data)
            return
        self._heard_at = self._forwarder.now()
        if (
            self.exchange.sampled and self._size <= QUEUED_BYTES_MAX
        ):  # more is never kept: see `Capture.offer`
            self._parts.append(data)
        self._size += len(data)
        self._send(event_stream.parts(data))

    def _succeed(self) -> None:
        self._send_end()
        super()._succeed()

    def _fail(self, why: Exception) -> None:
        if self._begun_at and not isinstance(why, TimedOut):
            late = isinstance(why, ReplicaFailed) and why.late
            self._send(
                event_stream.failure(str(why), "ModelInvocationTimeExceeded" if late else "StreamBroken")
            )
            self._send_end()
            why = ReplicaFailed(str(why), told=True)
        super()._fail(why)

    # its client

    def start(self, sink: Sink) -> None:
        """Send the parts there are, and from now on each as it comes."""
        self._sink = sink
        early, self._early = self._early, []
        for data in early:
            sink.send_part(data)
        if self._over:
            sink.end_parts()
        else:
            self.resume()

    def pause(self) -> None:
        """Take no further parts: the client does not keep up."""
        if self._upstream is not None:
            self._upstream.pause()

    def resume(self) -> None:
        """Go on."""
        self._heard_at = self._forwarder.now()
        if self._upstream is not None:
            self._upstream.resume()

    def lose(self) -> None:
        """Give up: nobody hears it any more."""
        self._drop(self.exchange)

    def _send(self, data: bytes) -> None:
        if self._sink is None:
            self._early.append(data)
        else:
            self._sink.send_part(data)

    def _send_end(self) -> None:
        self._over = True
        if self._sink is not None:
            self._sink.end_parts()

    def _expire(self) -> None:
        """Give up on it, unless it has begun and goes on: then no reply at all is too late, only a pause."""
        exchange, ask, forwarder = self.exchange, self.exchange.plan.ask, self._forwarder
        if not self._begun_at or (ask is not None and ask.timeout_s is not None):
            super()._expire()
            return
        pause_s = forwarder.limits.request_timeout_s
        left = min(self._heard_at + pause_s, self._begun_at + STREAM_S_MAX) - forwarder.now()
        if left > 0:
            exchange.timer = forwarder.loop.call_later(left, self._expire)
            return
        self.stop(
            ReplicaFailed(
                f"the model's own code said nothing for {pause_s:g} s, or went on for {STREAM_S_MAX:g} s",
                late=True,
            )
        )
