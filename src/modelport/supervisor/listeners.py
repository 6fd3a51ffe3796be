"""Listening sockets: bound once, here, and inherited by whoever serves.

The queue of waiting connections belongs to the socket, not to a worker: while the supervisor lives, the
death of a worker loses nobody who had not been answered to yet.
"""

from __future__ import annotations

import errno
import socket
from pathlib import Path

from modelport.domain.errors import Conflict, InvalidInput
from modelport.wire import sockets

BACKLOG = 4096
PORT_MAX = 65535


def bind_listener(host: str, port: int, *, setting: str) -> socket.socket:
    """Return a non-blocking listening socket.

    Args:
        host: Name or address.
        port: 0 to 65535; 0 picks a free one.
        setting: Name of the flag to try another port with.

    Raises:
        Conflict: The port is taken.
        InvalidInput: The host or port cannot be bound to on this machine.
    """
    if not 0 <= port <= PORT_MAX:
        raise InvalidInput(f"cannot listen on port {port}: expected 0 to {PORT_MAX}")
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"port {port} on {host} is in use by another program",
                hint=f"give another one with {setting}, or {setting} 0 for a free one",
            ) from None
        raise InvalidInput(f"cannot listen on {host} port {port}: {error}") from error
    listener.setblocking(False)
    return listener


def bind_local(path: Path) -> socket.socket:
    """Return a non-blocking listening Unix socket that this user alone can reach.

    Args:
        path: Where, in a folder of this user alone.

    Raises:
        InvalidInput: It cannot be made there.
    """
    try:
        return sockets.listen(path, backlog=BACKLOG)
    except OSError as error:
        raise InvalidInput(f"cannot listen at {path}: {error}") from error


def listener_url(listener: socket.socket) -> str:
    """Return `http://host:port` of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
