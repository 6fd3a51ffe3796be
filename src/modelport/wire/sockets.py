"""Unix sockets inside a home, however long the home's path is.

A socket address holds about 100 bytes of path. A longer one is reached through a short symbolic link in
the temporary folder that exists only while the address is looked up.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import socket
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ADDRESS_BYTES_MAX = 100  # 108 on Linux, 104 on macOS, with the closing zero and some air


def listen(path: Path, *, backlog: int = 128) -> socket.socket:
    """Return a non-blocking listening socket at `path`, open to this user only.

    A socket left there by a process that died is replaced; the caller knows that nobody else listens.

    Args:
        path: Where; its folder must exist.
        backlog: Connections that may wait to be accepted.
    """
    return _bind(path, backlog)


def bind(path: Path) -> socket.socket:
    """Return a socket at `path`, open to this user only, that refuses connections until it listens.

    Args:
        path: Where; as for `listen`.
    """
    return _bind(path, None)


def _bind(path: Path, backlog: int | None) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        with _address(fresh) as address:
            made.bind(address)
        fresh.chmod(0o600)
        if backlog is not None:
            made.listen(backlog)
            made.setblocking(False)
        fresh.replace(path)  # so that no client meets a name without its socket behind it
    except BaseException:
        made.close()
        raise
    return made


def connect(path: Path, *, timeout_s: float = 5.0) -> socket.socket:
    """Return a non-blocking socket connected to the listener at `path`.

    Args:
        path: Where somebody listens.
        timeout_s: Seconds to wait for a place in the listener's queue.

    Raises:
        OSError: Nobody listens there (FileNotFoundError, ConnectionRefusedError), or the wait was too long.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        with _address(path) as address:
            connection.connect(address)
        connection.setblocking(False)
    except BaseException:
        connection.close()
        raise
    return connection


def same_user(connection: socket.socket) -> bool:
    """Return whether the process at the other end runs as this process's user."""
    if hasattr(socket, "SO_PEERCRED"):  # Linux; elsewhere the C library knows
        size = struct.calcsize("3i")
        _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
        return bool(uid == os.geteuid())
    library = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
    owner, group = ctypes.c_uint(), ctypes.c_uint()
    if library.getpeereid(connection.fileno(), ctypes.byref(owner), ctypes.byref(group)) != 0:
        return False
    return owner.value == os.geteuid()


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """Yield a way to `path` that fits into a socket address."""
    if len(os.fsencode(path)) <= ADDRESS_BYTES_MAX:
        yield str(path)
        return
    with tempfile.TemporaryDirectory(prefix="mp-") as folder:
        link = Path(folder) / "r"
        link.symlink_to(path.parent.absolute())
        yield str(link / path.name)
