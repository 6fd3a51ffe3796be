"""Finished shards: what makes a batch job resumable.

A shard is one file in the job's folder, named by its input and its number: a line of JSON (what it covers,
which records failed), then the rows in their output form. It appears whole, by a rename, so a shard is
done when its file exists; nothing else is recorded. Killed anywhere and started again, a job cuts the
input into the same pieces and computes those whose shard is missing.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import msgspec

from modelport.domain.errors import Corrupted
from modelport.durable import atomic_file, crash_point, fsync_folder

FOLDER = "shards"
NAME = re.compile(r"(\d{5})-(\d{7})", re.ASCII)
PUBLISHED = re.compile(r"(\d{5})\.published", re.ASCII)


class Meta(msgspec.Struct, frozen=True):
    """What a shard covers.

    Args:
        start: First row (Parquet) or byte (text) of its piece.
        stop: End, exclusive.
        records: Records in the piece.
        failures: Records that have no answer: number in the piece, feature or None, reason.
    """

    start: int
    stop: int
    records: int
    failures: list[tuple[int, str | None, str]] = []


class Published(msgspec.Struct, frozen=True):
    """A target that stands at its place."""

    url: str
    rows: int
    failed: int
    failed_url: str | None = None


class Shards:
    """The finished shards of one job.

    Args:
        folder: The job's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        if not self._folder.is_dir():
            self._folder.mkdir()
            fsync_folder(folder)
        for torn in self._folder.glob(".*.tmp"):
            torn.unlink()

    def done(self) -> dict[tuple[int, int], Meta]:
        """Return what is finished: (input, number) to what it covers."""
        found: dict[tuple[int, int], Meta] = {}
        for path in self._folder.iterdir():
            match = NAME.fullmatch(path.name)
            if match is not None:
                with path.open("rb") as file:
                    found[int(match[1]), int(match[2])] = _decode(file.readline(), path)
        return found

    def write(self, file: int, index: int, meta: Meta, content: bytes | memoryview) -> None:
        """Finish a shard, durably."""
        crash_point("transform.before_shard")
        with atomic_file(self._path(file, index)) as stream:
            stream.write(msgspec.json.encode(meta) + b"\n")
            stream.write(content)
        crash_point("transform.after_shard")

    def read(self, file: int, index: int) -> bytes:
        """Return a finished shard's rows."""
        with self._path(file, index).open("rb") as stream:
            stream.readline()
            return stream.read()

    def published(self) -> dict[int, Published]:
        """Return the targets that stand at their place, by their number in the plan."""
        found: dict[int, Published] = {}
        for path in self._folder.iterdir():
            match = PUBLISHED.fullmatch(path.name)
            if match is not None:
                found[int(match[1])] = msgspec.json.decode(path.read_bytes(), type=Published)
        return found

    def write_published(self, target: int, published: Published) -> None:
        """Record, durably, that a target stands at its place."""
        with atomic_file(self._folder / f"{target:05d}.published") as stream:
            stream.write(msgspec.json.encode(published))
        crash_point("transform.after_published")

    def forget(self, file: int) -> None:
        """Remove the shards of an input whose target was published."""
        for path in self._folder.glob(f"{file:05d}-*"):
            path.unlink()

    def _path(self, file: int, index: int) -> Path:
        return self._folder / f"{file:05d}-{index:07d}"


def remove_shards(folder: Path) -> None:
    """Remove the finished shards of a job that ended without using them."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


def _decode(line: bytes, path: Path) -> Meta:
    try:
        return msgspec.json.decode(line, type=Meta)
    except msgspec.DecodeError as error:
        raise Corrupted(
            f"shard {path.name} of this job is damaged: {error}", hint="remove that file; it is made again"
        ) from error
