"""Labels that come back: what became of the rows an endpoint answered."""

from __future__ import annotations

import hashlib
import math
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from modelport.control.services.jobs import check_captured
from modelport.domain.clock import Clock
from modelport.domain.errors import InvalidInput
from modelport.domain.resource import Kind
from modelport.durable import crash_point, fsync_folder
from modelport.stores.records.records import Records
from modelport.wire.capture import GroundTruthData, GroundTruthMetadata, GroundTruthRecord

Scalar = str | int | float | bool
ID_LENGTH_MAX = 512
REMEMBERED_MAX = 1_000_000
"""Labels of one endpoint among which doubles are seen; the monitor, which reads all of them, is exact."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of labels that were sent.

    Args:
        accepted: Labels written, doubles included.
        doubled: Of these, labels for a row that had one before; the last one holds.
    """

    accepted: int
    doubled: int


class Labels:
    """The ground truth of what was predicted.

    Args:
        records: Knows which endpoints there are.
        folder: Where labels are kept, by endpoint and hour.
        captures: Folder of captured traffic.
        clock: Gives the hour.
    """

    def __init__(self, records: Records, *, folder: Path, captures: Path, clock: Clock) -> None:
        self._records = records
        self._folder = folder
        self._captures = captures
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, OrderedDict[bytes, None]] = {}
        self._name = f"{os.getpid()}-{os.urandom(4).hex()}.jsonl"  # never one whose tail may be torn

    def accept(
        self,
        endpoint: str,
        labels: Sequence[tuple[str, Scalar | Sequence[Scalar]]],
        *,
        principal: str,  # noqa: ARG002 (every service takes it; labels are data, they are no events)
    ) -> Accepted:
        """Keep labels, durably before this returns; all of them or, when one is not valid, none.

        Args:
            endpoint: Which endpoint predicted.
            labels: Row id `<prediction id>#<row>` and its label; or a prediction id and the label of its
                single row, or the labels of all its rows in order.
            principal: Who asks.

        Raises:
            InvalidInput: An id or a label is not one; names the position.
            NotFound: There is no such endpoint.
            Conflict: It captures nothing, so no label could ever be matched.
        """
        rows = [row for position, (key, label) in enumerate(labels) for row in _rows(position, key, label)]
        with self._records.reading() as tx:
            check_captured(tx, tx.get(Kind.ENDPOINT, endpoint), self._captures)
        with self._lock:
            self._write(endpoint, rows)
            seen = self._seen_of(endpoint)
            doubled = 0
            for key, _ in rows:
                mark = _mark(key)
                doubled += mark in seen
                seen[mark] = None
                seen.move_to_end(mark)
            while len(seen) > REMEMBERED_MAX:
                seen.popitem(last=False)
        return Accepted(accepted=len(rows), doubled=doubled)

    def _write(self, endpoint: str, rows: Sequence[tuple[str, Scalar]]) -> None:
        if not rows:
            return
        now = self._clock.now()
        received = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        lines = bytearray()
        for key, label in rows:
            record = GroundTruthRecord(
                ground_truth_data=GroundTruthData(data=msgspec.json.encode(label).decode()),
                event_metadata=GroundTruthMetadata(event_id=key, received_time=received),
            )
            lines += msgspec.json.encode(record) + b"\n"
        # Before the write, so that a file's own lines are not taken for earlier ones.
        self._seen_of(endpoint)
        folder = self._folder / endpoint / now.strftime("%Y/%m/%d/%H")
        _make_folders(folder, self._folder.parent)
        path = folder / self._name
        fresh = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            start = file.tell()
            try:
                file.write(lines)
                file.flush()
                crash_point("labels.before_fsync")
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), start)
                raise
        if fresh:
            fsync_folder(folder)
        crash_point("labels.after_fsync")

    def _seen_of(self, endpoint: str) -> OrderedDict[bytes, None]:
        if endpoint not in self._seen:
            seen: OrderedDict[bytes, None] = OrderedDict()
            for path in sorted((self._folder / endpoint).glob("*/*/*/*/*.jsonl"), reverse=True):
                for key in _ids(path):
                    seen[_mark(key)] = None
                if len(seen) >= REMEMBERED_MAX:
                    break
            self._seen[endpoint] = seen
        return self._seen[endpoint]


def _rows(position: int, key: Any, label: Any) -> Iterator[tuple[str, Scalar]]:
    if not (isinstance(key, str) and 0 < len(key) <= ID_LENGTH_MAX and key.isprintable()):
        raise InvalidInput(
            f"label {position}: {str(key)[:80]!r} is not the id of a prediction",
            hint="use the ids of the reply, <prediction id>#<row>",
            row=position,
        )
    if isinstance(label, list | tuple):
        if "#" in key:
            raise InvalidInput(
                f"label {position}: {key!r} is one row, but {len(label)} labels were given", row=position
            )
        for row, item in enumerate(label):
            _check_label(position, item)
            yield f"{key}#{row}", item
        return
    _check_label(position, label)
    yield (key if "#" in key else f"{key}#0"), label


def _check_label(position: int, label: Any) -> None:
    if not isinstance(label, Scalar) or (isinstance(label, float) and not math.isfinite(label)):
        raise InvalidInput(
            f"label {position} is {label!r}, expected a word, a finite number or true or false", row=position
        )


def _mark(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=8).digest()


def _ids(path: Path) -> Iterator[str]:
    """Read the ids of one file; a torn line is skipped."""
    with path.open("rb") as file:
        for line in file:
            try:
                yield msgspec.json.decode(line, type=GroundTruthRecord).event_metadata.event_id
            except msgspec.DecodeError:
                continue


def _make_folders(folder: Path, top: Path) -> None:
    """Make a folder and what lies above it, each name durable in the one above."""
    if folder == top or folder.is_dir():
        return
    _make_folders(folder.parent, top)
    folder.mkdir(mode=0o700, exist_ok=True)
    fsync_folder(folder.parent)
