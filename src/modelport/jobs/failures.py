"""Rows that have no answer, told in a file beside the answers: `NAME.failed.jsonl`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path, PurePosixPath

import msgspec

from modelport.jobs.partial import PartialFile

SUFFIX = ".failed.jsonl"


def failed_rows_url(url: str) -> str:
    """Return where the failed rows of a target are told."""
    return url.removesuffix(PurePosixPath(url).suffix) + SUFFIX


class FailedRows:
    """The side file of one target; made when the first row fails.

    Args:
        place: The target's path.
    """

    def __init__(self, place: Path) -> None:
        self.path = Path(failed_rows_url(str(place)))
        self.rows = 0
        self._file: PartialFile | None = None

    def add(self, url: str, row: int, feature: str | None, reason: str) -> None:
        """Tell one row.

        Args:
            url: The input file.
            row: Its number there, from 0; header and blank lines do not count.
            feature: The feature at fault, or None when the row itself cannot be read.
            reason: What was found and expected.
        """
        if self._file is None:
            self._file = PartialFile(self.path)
        line = {"file": url, "row": row, "feature": feature, "reason": reason}
        self._file.stream.write(msgspec.json.encode(line) + b"\n")
        self.rows += 1

    def publish(self) -> None:
        """Let it appear; without failed rows, remove what an earlier job left there."""
        if self._file is not None:
            self._file.publish()
        else:
            with suppress(FileNotFoundError):
                self.path.unlink()

    def discard(self) -> None:
        """Remove what is there of it, unless it was published."""
        if self._file is not None:
            self._file.discard()
