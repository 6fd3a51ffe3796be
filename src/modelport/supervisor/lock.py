"""One platform per home: a lock the kernel drops when its holder dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from modelport.domain.clock import Clock
from modelport.domain.errors import Conflict

TRIES = 10
PAUSE_S = 0.02


class HomeLock:
    """The lock of a home, held from construction to `release`.

    Args:
        path: The lock file; its folder must exist.
        clock: Waits a moment for whoever only looks (`lock_holder`).

    Raises:
        Conflict: Another process holds it; names its pid.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for _ in range(TRIES):
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                clock.sleep(PAUSE_S)
        else:
            pid = _read_pid(self._descriptor)
            os.close(self._descriptor)
            raise Conflict(
                f"a platform already runs on {path.parent} (pid {pid or 'unknown'})",
                hint="use that one, stop it with `modelport down`, or give another --home",
            )
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    @classmethod
    def inherit(cls, descriptor: int) -> Self:
        """Return the lock that this process took when it was another program.

        Args:
            descriptor: Of the lock file.
        """
        lock = cls.__new__(cls)
        lock._descriptor = descriptor  # noqa: SLF001 - it is its own
        os.set_inheritable(descriptor, False)
        return lock

    def fileno(self) -> int:
        """Return its descriptor; whoever holds it open holds the lock."""
        return self._descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Let the next platform have the home."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def lock_holder(path: Path) -> int | None:
    """Return the pid of the process that holds the lock; None when nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _read_pid(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)


def _read_pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else None
