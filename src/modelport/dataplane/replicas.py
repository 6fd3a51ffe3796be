"""Replicas of a model's own code: which one is asked, and the connections to each that are kept."""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from modelport.dataplane.upstream import Upstream
from modelport.wire import sockets

DOWN_S = 0.25
"""A replica that did not take a connection, or dropped a new one, is asked last for so long."""


class Load(NamedTuple):
    """How a replica looks to a request.

    Args:
        open: Requests it has.
        down: It did not work lately.
        refused: It did not take this very request.
    """

    open: int
    down: bool = False
    refused: bool = False


def choose(loads: Sequence[Load], *, limit: int, turn: int) -> int | None:
    """Return the index of the replica that gets a request; None where it has to wait for room.

    That is the one with the fewest open requests. One that is down is asked only where no other is left.

    Args:
        loads: Of all replicas.
        limit: Open requests that one may have.
        turn: Where several have the fewest, the first from here on, going round.

    Raises:
        LookupError: None is left.
    """
    left = [index for index, load in enumerate(loads) if not load.refused]
    if not left:
        raise LookupError("no replica is left")
    asked = [index for index in left if not loads[index].down] or left
    with_room = [index for index in asked if loads[index].open < limit]
    return min(with_room, key=lambda index: (loads[index].open, (index - turn) % len(loads)), default=None)


class Replica:
    """One replica, and the connections to it that nobody uses at the moment.

    Args:
        path: Its socket.
        loop: The event loop.
        now: Monotonic seconds.
        head_bytes_max: Largest head of a reply.

    Attributes:
        open: Requests it has.
        down_until: Monotonic seconds; until then it is asked last.
        works: It answered when it was asked last, or nobody asked yet.
    """

    __slots__ = (
        "_head_bytes_max",
        "_idle",
        "_loop",
        "_now",
        "_opening",
        "_path",
        "down_until",
        "open",
        "works",
    )

    def __init__(
        self, path: Path, loop: asyncio.AbstractEventLoop, now: Callable[[], float], head_bytes_max: int
    ) -> None:
        self._path = path
        self._loop = loop
        self._now = now
        self._head_bytes_max = head_bytes_max
        self._idle: OrderedDict[Upstream, float] = OrderedDict()  # and since when; the newest is the last
        self._opening: set[asyncio.Task[Any]] = set()
        self.open = 0
        self.down_until = 0.0
        self.works = True

    def suspect(self) -> None:
        """Note that it did not work just now."""
        self.works, self.down_until = False, self._now() + DOWN_S

    def take(self) -> Upstream | None:
        """Return a connection that was kept."""
        while self._idle:
            upstream, _ = self._idle.popitem()
            if upstream.reusable:
                return upstream
            upstream.close()
        return None

    def connect(self) -> Upstream:
        """Return a new connection; it may be used at once.

        Raises:
            OSError: Nobody listens, or too many wait there to be accepted.
        """
        connected = sockets.connect(self._path, timeout_s=0.0)
        upstream = Upstream(self._head_bytes_max, self._forget)
        opening = self._loop.create_task(self._loop.create_unix_connection(lambda: upstream, sock=connected))
        self._opening.add(opening)
        opening.add_done_callback(partial(self._opened, upstream, connected))
        return upstream

    def keep(self, upstream: Upstream) -> None:
        """Take back a connection on which it answered, to use it again if that is possible."""
        self.works = True
        if upstream.reusable:
            self._idle[upstream] = self._now()
        else:
            upstream.close()

    def tidy(self, oldest: float) -> None:
        """End the connections that are unused since before `oldest`, in monotonic seconds."""
        for upstream, since in list(self._idle.items()):
            if since >= oldest:
                break
            upstream.close()
            self._forget(upstream)

    def _opened(self, upstream: Upstream, connected: socket.socket, opening: asyncio.Task[Any]) -> None:
        """Take note that a connection stands, or ended already.

        In that case uvloop has closed the descriptor, and knows the socket object too late to tell it so:
        closed by both, a descriptor may be somebody else's the second time.
        """
        self._opening.discard(opening)
        problem = "" if opening.cancelled() else opening.exception()
        if problem is not None or upstream.ended:
            connected.detach()
        if problem is not None:
            upstream.fail(str(problem))

    def _forget(self, upstream: Upstream) -> None:
        self._idle.pop(upstream, None)
