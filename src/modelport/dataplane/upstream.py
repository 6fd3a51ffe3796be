"""One connection to a replica: HTTP/1.1 from the asking side, one request at a time.

What a replica says is not trusted to be HTTP: a head has a largest size, and a byte that nobody asked for
ends the connection. What was heard is told after it was read, for whoever hears it may send the next request.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import httptools

SMALL_BODY_BYTES = 16 << 10  # such a body goes with its head in one write
FIELD_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
WITHOUT_BODY = (204, 304)


@dataclass(frozen=True, slots=True)
class ReplyHead:
    """Status and headers of a reply.

    Args:
        status: Of HTTP, 200 to 999.
        fields: Header names in lower case to values; of repeated ones the last.
    """

    status: int
    fields: dict[bytes, bytes]


class Listener(Protocol):
    """Hears what comes back. Each is told nothing more once it called `close`, or was told an end."""

    def on_head(self, head: ReplyHead) -> None:
        """Hear status and headers."""
        ...

    def on_part(self, data: bytes) -> None:
        """Hear a piece of the body."""
        ...

    def on_complete(self) -> None:
        """Hear that the reply is complete; the connection may be used again where it is `reusable`."""
        ...

    def on_lost(self, reason: str) -> None:
        """Hear that the connection ended before the reply was complete."""
        ...


class Upstream(asyncio.Protocol):
    """One connection.

    Args:
        head_bytes_max: Largest head of a reply.
        on_end: Called when it ended, or cannot be used again, while nobody waits for a reply; perhaps twice.

    Attributes:
        kept: It has answered before: it may have been closed at the moment it was used again.
        heard: A byte of the reply came.
        sent: The whole request is out of this process.
    """

    __slots__ = (
        "_complete",
        "_fields",
        "_head",
        "_head_bytes",
        "_head_bytes_max",
        "_keep_alive",
        "_listener",
        "_on_end",
        "_parser",
        "_parts",
        "_reading",
        "_request",
        "_transport",
        "_until_end",
        "heard",
        "kept",
        "sent",
    )

    def __init__(self, head_bytes_max: int, on_end: Callable[[Upstream], None]) -> None:
        self._head_bytes_max = head_bytes_max
        self._on_end = on_end
        self._parser: Any = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._listener: Listener | None = None
        self._request: tuple[bytes, bytes] | None = None  # until there is a transport
        self._fields: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []
        self._head: ReplyHead | None = None
        self._head_bytes = 0
        self._until_end = False  # the body ends with the connection
        self._complete = False
        self._keep_alive = True
        self._reading = True
        self.kept = False
        self.heard = False
        self.sent = False

    @property
    def reusable(self) -> bool:
        """Return whether another request may be sent."""
        return self._keep_alive and self.sent and not self.ended

    @property
    def ended(self) -> bool:
        """Return whether there is no connection: not any more, or not yet."""
        return self._transport is None or self._transport.is_closing()

    def ask(self, head: bytes, body: bytes, listener: Listener) -> None:
        """Send a request, now or as soon as the connection stands.

        Args:
            head: Its empty line included.
            body: All of it.
            listener: Hears the reply.
        """
        self._listener = listener
        self._head, self._head_bytes, self._complete = None, 0, False
        self.heard, self.sent = False, False
        self._request = head, body
        self._send()

    def pause(self) -> None:
        """Read no more for a while."""
        self._reading = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self._reading = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """End it at once; nobody hears of it."""
        self._listener = self._request = None
        self._keep_alive = False
        if self._transport is not None:
            self._transport.abort()

    def fail(self, reason: str) -> None:
        """End it, and tell whoever waits for a reply."""
        listener = self._listener
        self.close()
        if listener is not None:
            listener.on_lost(reason)

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._transport.set_write_buffer_limits(high=0)  # so that `sent` is true when it says so
        if not self._keep_alive:
            self._transport.abort()
            return
        if not self._reading:
            self._transport.pause_reading()
        self._send()

    def pause_writing(self) -> None:
        """Note that a part of the request is still here."""
        self.sent = False

    def resume_writing(self) -> None:
        """Note that it is not."""
        self.sent = True

    def data_received(self, data: bytes) -> None:
        """Take a piece of the reply."""
        if self._listener is None:
            self.close()  # nobody asked
            self._on_end(self)
            return
        self.heard = True
        if self._head is None:
            self._head_bytes += len(data)
        told, problem = self._head is not None, None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            problem = "it wants to change the protocol"
        except httptools.HttpParserError as error:
            problem = f"its reply is no proper HTTP ({error})"
        if self._head is None and self._head_bytes > self._head_bytes_max:
            problem = f"the head of its reply is larger than {self._head_bytes_max} bytes"
        if problem is None:
            self._tell(told=told)
        else:
            self._complete = False
            self._tell(told=told)  # what came before
            self.fail(problem)

    def connection_lost(self, error: Exception | None) -> None:
        """Take the end, which may be that of a reply."""
        self._transport = self._parser = None  # the parser holds this
        self._keep_alive = False
        if isinstance(error, BrokenPipeError):  # a write failed, perhaps the first
            self.sent = False
        listener, self._listener = self._listener, None
        if listener is None:
            self._on_end(self)
        elif self._until_end and error is None:
            listener.on_complete()
        elif self.heard:
            listener.on_lost("its reply was cut short")
        else:
            why = f" ({error})" if error is not None and str(error) else ""
            listener.on_lost(f"it ended the connection without a reply{why}")

    # httptools

    def on_message_begin(self) -> None:
        """Note a reply that nobody asked for."""
        if self._complete:
            self._keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        if not FIELD_VALUE.fullmatch(value):
            raise ValueError(name)
        self._fields[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Take status and headers."""
        status = self._parser.get_status_code()
        fields, self._fields = self._fields, {}
        if status < 200:  # "go on", or a hint: the reply is still to come
            return
        if self._complete or self._head is not None:
            raise ValueError(status)
        self._head = ReplyHead(status, fields)
        framed = b"content-length" in fields or b"transfer-encoding" in fields
        self._until_end = not framed and status not in WITHOUT_BODY

    def on_body(self, part: bytes) -> None:
        """Take a piece of the body."""
        self._parts.append(part)

    def on_message_complete(self) -> None:
        """Take the end of the reply."""
        self._fields.clear()  # trailers
        if self._head is not None:
            self._complete, self._until_end = True, False
            self._keep_alive = bool(self._parser.should_keep_alive())

    def _send(self) -> None:
        """Send what is to be sent, once there is a transport."""
        transport, request = self._transport, self._request
        if transport is None or request is None:
            return
        self._request, self.sent = None, True  # `pause_writing` knows better
        head, body = request
        if len(body) <= SMALL_BODY_BYTES:
            transport.write(head + body)
        else:
            transport.writelines((head, body))

    def _tell(self, *, told: bool) -> None:
        """Tell the listener what was read; it may `close`, and is told nothing more then.

        Args:
            told: It knows the head.
        """
        listener, parts = self._listener, self._parts
        if listener is None or self._head is None:
            return
        if not told:
            listener.on_head(self._head)
        if parts:
            self._parts = []
            if self._listener is listener:
                listener.on_part(b"".join(parts))
        if self._complete and self._listener is listener:
            self._listener = None
            self.kept = True
            if not self._reading:
                self.resume()  # whoever paused it is done with it
            listener.on_complete()
