"""A child dies with its supervisor, however that one dies.

Linux does it by itself once asked (PR_SET_PDEATHSIG). Elsewhere the child watches a pipe whose other end
only the supervisor holds.

Source: prctl(2), "PR_SET_PDEATHSIG".
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable

PR_SET_PDEATHSIG = 1
KERNEL_TETHERS = sys.platform == "linux"


def tether_before_exec() -> Callable[[], None] | None:
    """Return what a forked child must do before it becomes another program; None where it must watch."""
    if not KERNEL_TETHERS:
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def tether() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os.kill(os.getpid(), signal.SIGKILL)

    return tether


def watch(descriptor: int) -> threading.Thread:
    """Kill this process when the other end of a pipe is closed.

    Args:
        descriptor: Reading end; nothing is ever written to the other.
    """

    def wait() -> None:
        while os.read(descriptor, 1):
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    thread = threading.Thread(target=wait, name="tether", daemon=True)
    thread.start()
    return thread
