"""A file that appears at its place only when it is complete."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from modelport.durable import crash_point, fsync_folder


class PartialFile:
    """A local file that appears at its place when it is complete.

    Its temporary name is always the same, so that a run after a crash overwrites what the crash left.

    Args:
        path: The goal; its folder is made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = path.with_name(f".{path.name}.modelport.tmp")
        self.stream: IO[bytes] = self._temporary.open("wb")

    def publish(self) -> None:
        """Make it appear, durably."""
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.stream.close()
        crash_point("transform.before_rename")
        self._temporary.replace(self._path)
        fsync_folder(self._path.parent)
        crash_point("transform.after_rename")

    def discard(self) -> None:
        """Remove what is there of it; nothing happens when it was published."""
        self.stream.close()
        self._temporary.unlink(missing_ok=True)
