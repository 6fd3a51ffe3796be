"""A worker's end of the feed, spoken by hand."""

from __future__ import annotations

import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from modelport.wire import sockets
from modelport.wire.feed import (
    LENGTH_BYTES,
    FromControl,
    FromWorker,
    Hello,
    decode_from_control,
    frame,
)

TIMEOUT_S = 5.0


class FeedTalk:
    """One connection to control.

    Args:
        path: Control's socket.
    """

    def __init__(self, path: Path) -> None:
        self.socket = sockets.connect(path)
        self.socket.settimeout(TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def say(self, *messages: FromWorker) -> None:
        """Send messages."""
        for message in messages:
            self.send(frame(message))

    def send(self, content: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(content)

    def hello(self, index: int, revision: int = 0) -> None:
        """Introduce oneself."""
        self.say(Hello(index, 100 + index, revision))

    def hear(self) -> FromControl:
        """Return the next message."""
        length = int.from_bytes(self._exactly(LENGTH_BYTES), "big")
        return decode_from_control(self._exactly(length))

    def is_closed(self) -> bool:
        """Return whether control hung up; waits for it."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def hears_nothing(self, seconds: float = 0.05) -> bool:
        """Return whether nothing came for a moment."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) == b""
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(TIMEOUT_S)

    def _exactly(self, count: int) -> bytes:
        content = b""
        while len(content) < count:
            more = self.socket.recv(count - len(content))
            assert more, "control hung up"
            content += more
        return content
