"""Where workers hand connections to each other: made once, here, and inherited like the listening sockets.

What waits in an inbox belongs to the socket, so a connection that is on its way between two workers outlives
both, while the supervisor lives.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Self

BOARD_BYTES = 64  # for each worker; they use half of it
SEND_BYTES = 1 << 20  # of waiting messages; each weighs under 1 KiB


class Inboxes:
    """An inbox for each worker, and the board on which they see each other.

    Args:
        board: Descriptor of a file of `BOARD_BYTES` for each worker.
        ends: For each worker the reading and the writing end of its inbox.
    """

    def __init__(self, board: int, ends: Sequence[tuple[socket.socket, socket.socket]]) -> None:
        self._board = board
        self._ends = tuple(ends)

    @classmethod
    def make(cls, count: int, folder: Path) -> Self:
        """Return inboxes for `count` workers; the board is a file in `folder` without a name."""
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=".board.")
        Path(name).unlink()
        os.ftruncate(descriptor, count * BOARD_BYTES)
        return cls(descriptor, [_make_ends() for _ in range(count)])

    @classmethod
    def inherit(cls, descriptors: Sequence[int], count: int) -> Self:
        """Return the inboxes that this process made when it was another program, and those missing since.

        Args:
            descriptors: What `descriptors` returned.
            count: How many workers there are now.
        """
        board, *numbers = descriptors
        sockets = [socket.socket(fileno=number) for number in numbers]
        ends = list(zip(sockets[::2], sockets[1::2], strict=True))
        ends += [_make_ends() for _ in range(len(ends), count)]
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        os.ftruncate(board, len(ends) * BOARD_BYTES)
        return cls(board, ends)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Return all of them: the board's, then the reading and the writing end of each inbox."""
        return (self._board, *(end.fileno() for ends in self._ends for end in ends))

    def descriptors_for(self, index: int) -> tuple[int, ...]:
        """Return what a worker inherits: the board, its own inbox, the way into every inbox."""
        outlets = (outlet.fileno() for _, outlet in self._ends)
        return (self._board, self._ends[index][0].fileno(), *outlets)

    def shut(self) -> None:
        """Let workers know that nobody will take a connection any more."""
        for inbox, _ in self._ends:
            inbox.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of everything; connections that still wait are cut."""
        os.close(self._board)
        for end in (end for ends in self._ends for end in ends):
            end.close()


def _make_ends() -> tuple[socket.socket, socket.socket]:
    inbox, outlet = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    outlet.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
    return inbox, outlet
