"""Writing files so that they survive a crash, and the named places where tests crash us.

The recipe for every file that matters: write a temporary file in the same folder, fsync it, rename it
over the goal, fsync the folder. A reader sees the old bytes or the new ones, never a mixture.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

CRASH_POINT_VARIABLE = "MODELPORT_CRASH_POINT"
_crash_at = os.environ.get(CRASH_POINT_VARIABLE)


def crash_point(name: str) -> None:
    """Kill this process here when the environment says so.

    Every durable step has one, named `<noun>.<step>`; a generated test visits them all, so a step
    without one is a step whose crash nobody has seen. Costs one comparison when not armed.

    Args:
        name: A literal, unique in the source.
    """
    if _crash_at is not None and _crash_at == name:
        os.kill(os.getpid(), signal.SIGKILL)


def fsync_folder(folder: Path) -> None:
    """Make renames and new names inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_file(path: Path, *, mode: int = 0o600) -> Iterator[IO[bytes]]:
    """Open a file that appears at `path`, whole and durable, when the block ends without an error.

    Args:
        path: The goal; its folder must exist.
        mode: Permission bits of the new file.

    Yields:
        A binary file to write to. On an error it is removed and `path` is untouched.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        crash_point("durable.before_rename")
        temporary.replace(path)
        crash_point("durable.after_rename")
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    fsync_folder(path.parent)


def write_durably(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write `content` to `path`, atomically and durably."""
    with atomic_file(path, mode=mode) as file:
        file.write(content)
