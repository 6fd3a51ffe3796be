"""Reading captured traffic and labels. A record that cannot be read is counted, never an error."""

from __future__ import annotations

from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from modelport.wire.capture import CaptureRecord, GroundTruthRecord, Side

Copy = tuple[str, bytes]
"""Content type and body."""


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time; open where None.

    Args:
        since: First moment in it, aware.
        until: First moment after it, aware.
    """

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, moment: datetime) -> bool:
        """Return whether the moment lies in it."""
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)


@dataclass(frozen=True, slots=True)
class Captured:
    """One request.

    Args:
        event_id: Its prediction id; row i has the id `<event_id>#<i>`.
        at: When it was answered, UTC.
        model_version: Which version answered; None where the record does not say.
        asked: What was asked; None where it was not kept.
        answered: What was answered; None where it was not kept.
    """

    event_id: str
    at: datetime
    model_version: str | None
    asked: Copy | None
    answered: Copy | None


@dataclass(slots=True)
class Labels:
    """Labels by row id; of several for one row the last received counts.

    Args:
        by_row: Row id to label.
        received: Labels read.
        doubled: Labels for rows that had one already.
    """

    by_row: dict[str, Any] = field(default_factory=dict)
    received: int = 0
    doubled: int = 0


def read_captures(folder: Path, window: Window, bad: Counter[str]) -> Iterator[Captured]:
    """Read the captures of one variant, in the order of their files.

    Args:
        folder: `captures/{endpoint}/{variant}`.
        window: Which ones.
        bad: Counts lines that cannot be read, by reason; grows.
    """
    decoder = msgspec.json.Decoder(CaptureRecord)
    for line in _lines(folder, bad):
        try:
            record = decoder.decode(line)
            at = _moment(record.event_metadata.inference_time)
            exchange = record.capture_data
            captured = Captured(
                record.event_metadata.event_id,
                at,
                record.event_metadata.model_version,
                _copy(exchange.endpoint_input),
                _copy(exchange.endpoint_output),
            )
        except ValueError:  # msgspec's, base64's and datetime's errors are ones
            bad["unreadable capture lines"] += 1
            continue
        if window.holds(at):
            yield captured


def read_labels(folder: Path, bad: Counter[str]) -> Labels:
    """Read all labels of an endpoint, whenever they came.

    Args:
        folder: `labels/{endpoint}`.
        bad: Counts lines that cannot be read, by reason; grows.
    """
    decoder = msgspec.json.Decoder(GroundTruthRecord)
    labels = Labels()
    received_at: dict[str, datetime] = {}
    for line in _lines(folder, bad):
        try:
            record = decoder.decode(line)
            truth = record.ground_truth_data
            label = msgspec.json.decode(truth.data) if truth.encoding == "JSON" else truth.data
            told = record.event_metadata.received_time
            at = datetime.min.replace(tzinfo=UTC) if told is None else _moment(told)
        except ValueError:
            bad["unreadable label lines"] += 1
            continue
        row = record.event_metadata.event_id
        if "#" not in row:
            row += "#0"
        labels.received += 1
        if row in labels.by_row:
            labels.doubled += 1
            if at < received_at[row]:
                continue
        labels.by_row[row] = label
        received_at[row] = at
    return labels


def _lines(folder: Path, bad: Counter[str]) -> Iterator[bytes]:
    """Return the lines of all files below a folder, oldest folder first."""
    for path in sorted(folder.rglob("*.jsonl")):
        try:
            with path.open("rb") as file:
                yield from (line for line in file if not line.isspace())
        except OSError:  # retention removed it, or the disk has a bad place
            bad["unreadable files"] += 1


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _copy(side: Side | None) -> Copy | None:
    if side is None:
        return None
    body = b64decode(side.data, validate=True) if side.encoding == "BASE64" else side.data.encode()
    return side.observed_content_type, body
