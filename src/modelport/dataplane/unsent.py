"""How much of what was written the other end has not taken yet, the kernel's part included.

The transport's own buffer moves in steps of up to megabytes, whenever the kernel has room again; measured by
it alone a client that reads slowly looks like one that reads nothing.

Source: tcp(7) and unix(7), SIOCOUTQ.
"""

from __future__ import annotations

import asyncio
import fcntl
import struct
import sys
import termios
from contextlib import suppress


def unsent_bytes(transport: asyncio.WriteTransport) -> int:
    """Return the bytes still on their way; without the kernel's part where it does not tell."""
    waiting = transport.get_write_buffer_size()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            descriptor = transport.get_extra_info("socket").fileno()
            told = fcntl.ioctl(descriptor, termios.TIOCOUTQ, b"\0\0\0\0")
            waiting += struct.unpack("=i", told)[0]
    return waiting
