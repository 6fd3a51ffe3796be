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


def hold_port(host: str, port: int, *, setting: str) -> socket.socket:
    """Return a socket that holds a port for a process that binds to it by itself, with SO_REUSEPORT.

    It does not listen, so the kernel gives it no connections; while it is open, nobody of another user can
    have the port, and who binds without SO_REUSEPORT neither.

    Args:
        host: Name or address.
        port: 0 to 65535; 0 picks a free one.
        setting: Name of the flag to try another port with.

    Raises:
        Conflict: The port is taken.
        InvalidInput: The host or port cannot be bound to on this machine.
    """
    with bind_listener(host, port, setting=setting) as listener:  # sees who shares ports, too
        family, address = listener.family, listener.getsockname()
    holder = socket.socket(family, socket.SOCK_STREAM)
    try:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(address)
    except OSError as error:
        holder.close()
        raise Conflict(
            f"port {address[1]} on {host} was taken by another program at this moment",
            hint=f"try again, or give another one with {setting}",
        ) from error
    return holder


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


def address_of(listener: socket.socket) -> str:
    """Return `host:port` of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listener_url(listener: socket.socket) -> str:
    """Return `http://host:port` of a listening socket."""
    return f"http://{address_of(listener)}"
