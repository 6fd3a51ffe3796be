"""Connections that move from one worker to another without their client noticing.

Each worker has an inbox, a pair of Unix sockets that the supervisor made and every worker inherits. A
connection on which nothing is open is a socket and nothing else: its descriptor is sent into another
worker's inbox, and whatever its client says next is read there. What waits in an inbox belongs to the socket
and not to a worker, so it outlives the worker that should have read it, and its successor takes it.

Two things need it. A worker that ends gives all its connections away; closing an idle one instead would fail
the request that is just on its way. And a worker that holds more than a fair share gives some to the others:
whoever wakes first accepts what waits, which is cheap and uneven.

Workers know each other by the board, a small mapped file: who is there, when last, with how many connections.
It holds hints; a wrong one costs balance and no request.

Source: unix(7) SCM_RIGHTS; reliability.md is the reason against `SO_REUSEPORT`: what waits in a closing
socket's own accept queue is lost.
"""

from __future__ import annotations

import asyncio
import functools
import mmap
import os
import select
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

import structlog

LINE = struct.Struct("<QQQQ")  # process (0: none), monotonic nanoseconds, connections: busy, idle
SPOKE, SILENT = b"s", b"n"
PRESENT_NS = 5_000_000_000  # ten times as long as a worker that is not busy is silent
TAKEN_PER_TURN = 16
SLACK = 1.1  # of the mean, and half a connection: moving 33 to 31 gains nothing

log = structlog.get_logger()


class Connect(Protocol):
    """Makes protocols."""

    def __call__(self, *, spoke: bool) -> asyncio.Protocol:
        """Return that of a connection; `spoke`: its client has asked before, in another worker."""
        ...


class Load(NamedTuple):
    """What a worker holds: connections that asked within about a second, and the others."""

    busy: int
    idle: int


def surplus(mine: int, others: Sequence[int]) -> int:
    """Return how many of its connections a worker should give away.

    Args:
        mine: What it holds.
        others: What each of the others holds.

    Returns:
        0 where it holds at most 10 % and half a connection more than the mean; else what leaves it the mean.
    """
    mean = (mine + sum(others)) / (1 + len(others))
    return int(mine - mean) if mine > SLACK * mean + 0.5 else 0


class Handover:
    """One worker's way to the others.

    Args:
        index: Which worker this is.
        inbox: The reading end of its own inbox.
        outlets: The writing end of every worker's inbox, by index.
        board: A file of at least one line for each worker.
        now_ns: Monotonic nanoseconds, the same clock in all processes.
        connections_max: As many a worker may hold.
    """

    def __init__(
        self,
        index: int,
        inbox: socket.socket,
        outlets: Sequence[socket.socket],
        board: int,
        now_ns: Callable[[], int],
        *,
        connections_max: int,
    ) -> None:
        self._index = index
        self._inbox = inbox
        self._outlets = outlets
        self._board = mmap.mmap(board, len(outlets) * LINE.size)
        self._now_ns = now_ns
        self._connections_max = connections_max
        self._name = int.from_bytes(os.urandom(8), "little") | 1
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arriving: set[asyncio.Task[None]] = set()
        self._protocol_of: Callable[[socket.socket], Connect]
        self.given = 0
        for end in (inbox, *outlets):
            end.setblocking(False)

    def start(self, loop: asyncio.AbstractEventLoop, protocol_of: Callable[[socket.socket], Connect]) -> None:
        """Take the connections that others give.

        Args:
            loop: Where they are served.
            protocol_of: Returns what makes the protocol of a connection.
        """
        self._loop, self._protocol_of = loop, protocol_of
        loop.add_reader(self._inbox.fileno(), self._take, TAKEN_PER_TURN)

    def stop(self) -> None:
        """Take no more, and disappear from the board. What nobody else will read is taken first."""
        if self._loop is not None:
            self._loop.remove_reader(self._inbox.fileno())
            if self.shut:
                self._take(1 << 20)
        if self._read(self._index)[0] == self._name:
            self._write(self._index, 0, 0, Load(0, 0))

    @property
    def shut(self) -> bool:
        """Return whether the platform stops, so that there will be nobody to give to."""
        poll = select.poll()
        poll.register(self._inbox.fileno(), 0)
        return bool(poll.poll(0))

    @property
    def arriving(self) -> int:
        """Return how many connections are taken and not served yet."""
        return len(self._arriving)

    def share(self, load: Load) -> Load:
        """Tell the others what is held here.

        Returns:
            How many connections to give to them, of each kind.
        """
        self._write(self._index, self._name, self._now_ns(), load)
        others = [theirs for index, theirs in self._present() if index != self._index]
        return Load(
            surplus(load.busy, [theirs.busy for theirs in others]),
            surplus(load.idle, [theirs.idle for theirs in others]),
        )

    def possible(self, *, must: bool) -> bool:
        """Return whether somebody would take a connection.

        Args:
            must: This worker ends; one that is only expected counts too.
        """
        return not self.shut if must else any(True for _ in self._present())

    def give(self, descriptor: int, *, spoke: bool, must: bool) -> bool:
        """Send a connection to the worker that holds the fewest.

        Args:
            descriptor: Its socket's; the caller closes its own copy.
            spoke: Its client has asked before.
            must: This worker ends: where no other is there, its own successor will take it.

        Returns:
            False where nobody takes it now.
        """
        present = sorted(self._present(), key=lambda line: sum(line[1]))
        for index, theirs in present:
            if self._send(index, descriptor, spoke=spoke):
                name, seen, _ = self._read(index)
                self._write(index, name, seen, Load(theirs.busy, theirs.idle + 1))  # until it counts itself
                return True
        return must and self._send(self._index, descriptor, spoke=spoke)

    def _present(self) -> Iterator[tuple[int, Load]]:
        """Yield the workers that are there and have room, besides this one."""
        oldest = self._now_ns() - PRESENT_NS
        for index in range(len(self._outlets)):
            name, seen, load = self._read(index)
            if name not in (0, self._name) and seen >= oldest and sum(load) < self._connections_max:
                yield index, load

    def _send(self, index: int, descriptor: int, *, spoke: bool) -> bool:
        try:
            socket.send_fds(self._outlets[index], [SPOKE if spoke else SILENT], [descriptor])
        except OSError:  # full for now, or shut
            return False
        self.given += 1
        return True

    def _take(self, most: int) -> None:
        for _ in range(most):
            try:
                said, descriptors, _, _ = socket.recv_fds(self._inbox, 1, 1)
            except OSError:
                if self.shut and self._loop is not None:
                    self._loop.remove_reader(self._inbox.fileno())  # it would be readable for ever
                return
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
                task = asyncio.ensure_future(
                    self._serve(socket.socket(fileno=descriptor), spoke=said == SPOKE)
                )
                self._arriving.add(task)
                task.add_done_callback(self._arriving.discard)

    async def _serve(self, connection: socket.socket, *, spoke: bool) -> None:
        connection.setblocking(False)
        try:
            connect = functools.partial(self._protocol_of(connection), spoke=spoke)
            await asyncio.get_running_loop().connect_accepted_socket(connect, connection)
        except OSError as error:  # its client went meanwhile
            log.info("handover.lost", reason=str(error))
            with suppress(OSError):
                connection.close()

    def _read(self, index: int) -> tuple[int, int, Load]:
        name, seen, busy, idle = LINE.unpack_from(self._board, index * LINE.size)
        return name, seen, Load(busy, idle)

    def _write(self, index: int, name: int, seen: int, load: Load) -> None:
        LINE.pack_into(self._board, index * LINE.size, name, seen, *load)
