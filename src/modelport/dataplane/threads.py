"""A thread that does one thing after the other, and never keeps the process from ending.

The standard library's executors are waited for at exit; a model that hangs in native code would then hang
its worker's stop.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

_at_work: set[threading.Thread] = set()

P = ParamSpec("P")
T = TypeVar("T")


class OneThread:
    """A daemon thread with a queue; started by the first task.

    Args:
        name: Of the thread.
        niceness: How far it stands back for the process's other threads, where the system has a priority for
            each thread (Linux); 0 to 19.
    """

    def __init__(self, name: str, *, niceness: int = 0) -> None:
        self._name = name
        self._niceness = niceness
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Let the thread call `function` when its turn comes."""
        future: Future[T] = Future()

        def task() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = function(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the result
                future.set_exception(error)
            else:
                future.set_result(result)

        self._tasks.put(task)
        if self._thread is None:
            self._thread = threading.Thread(
                target=_run, args=(self._tasks, self._niceness), name=self._name, daemon=True
            )
            self._thread.start()
        return future

    def close(self) -> None:
        """End the thread after what it was given; nobody waits for it."""
        self._tasks.put(None)


def any_at_work() -> bool:
    """Return whether a thread is in the middle of a task.

    Native code that still runs when the interpreter ends may abort the process.
    """
    return any(thread.is_alive() for thread in _at_work)


def _run(tasks: SimpleQueue[Any], niceness: int) -> None:
    thread = threading.current_thread()
    if niceness and sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
    while (task := tasks.get()) is not None:
        _at_work.add(thread)
        try:
            task()
        finally:
            _at_work.discard(thread)
        del task  # or the last task's arguments would live until the next one
