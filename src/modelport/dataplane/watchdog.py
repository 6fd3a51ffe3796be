"""Ends a worker whose loop stands still: a call that was to be short, and never comes back.

Nobody can interrupt native code from within its process, and a loop that stands still answers nobody. Ended
with what it had in flight on record (`flights.py`), the worker is started again and knows the request.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
import threading

LOOKS = 20
"""The loop is missed this many looks in a row: a machine that slept, or a stopped process, costs one look."""


class Watchdog:
    """Watches a loop from a thread.

    Args:
        loop: The loop.
        timeout_s: Seconds it may stand still.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        self._loop = loop
        self._pause_s = timeout_s / LOOKS
        self._alive = True
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._closing.set()

    def _watch(self) -> None:
        missed = 0
        while not self._closing.wait(self._pause_s):
            missed = 0 if self._alive else missed + 1
            if missed >= LOOKS:
                self._end()
            if self._alive:
                self._alive = False
                self._loop.call_soon_threadsafe(self._beat)

    def _beat(self) -> None:
        self._alive = True

    def _end(self) -> None:
        sys.stderr.write("the loop stands still: a model's call does not end; this worker is replaced\n")
        faulthandler.dump_traceback(file=sys.stderr)
        os.kill(os.getpid(), signal.SIGKILL)
