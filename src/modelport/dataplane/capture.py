"""Copies of traffic, written beside the traffic: a bounded queue, a thread, JSON Lines.

Nobody waits for a copy: a full queue is a counted drop. Sampled copies are either written (and counted so)
or dropped (and counted by reason), exactly. What was taken from the queue is in the file, whole lines in one
write, within a second; a killed process loses what was still queued and at most tears its last line.

Source: SageMaker, "Data capture" (layout, records, which content types are kept as text).
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
import structlog

from modelport.dataplane.retention import Retention
from modelport.domain.clock import Clock
from modelport.domain.errors import InvalidInput
from modelport.domain.names import check_name
from modelport.durable import crash_point
from modelport.runtime.codecs import Unpacking, unpack
from modelport.settings import Settings
from modelport.telemetry import metrics
from modelport.telemetry.slots import MetricSlot, Series
from modelport.wire.capture import Copy, RecordWriter

if TYPE_CHECKING:
    from modelport.dataplane.variants import ServedVariant

PAUSE_S = 0.25
QUEUED_BYTES_MAX = 64 << 20
FILE_BYTES_MAX = 64 << 20
FILES_PER_LIMIT = 8  # retention removes whole files, so a limit is made of several
DEFAULT_TYPE = "application/json"

WRITTEN_AT_ONCE_BYTES = 8 << 10
"""A small copy becomes its line at once, while it is in the processor's cache; a large one in the thread."""

PIECE = 256
BREATH_S = 0.0005
"""After so many records the thread steps aside for so long: the loop, not it, has the interpreter first."""

HOUR = timedelta(hours=1)

log = structlog.get_logger()


class _Taken(msgspec.Struct, gc=False):
    """One request in the queue."""

    place: tuple[str, str]
    at: datetime
    line: bytes | Callable[[], bytes]
    size: int


class Capture:
    """Keeps copies of requests and replies.

    Args:
        folder: `captures` of the home.
        settings: Queue length and retention.
        clock: Time.
        slot: Where copies written and dropped are counted.
    """

    def __init__(self, folder: Path, settings: Settings, clock: Clock, slot: MetricSlot) -> None:
        self._folder = folder
        self._clock = clock
        self._slot = slot
        self._records_max = settings.capture_queue_records
        self._file_bytes_max = max(1, min(FILE_BYTES_MAX, settings.capture_max_bytes // FILES_PER_LIMIT))
        self._retention = Retention(folder, settings, clock)
        self._queue: deque[_Taken] = deque()
        self._bytes_in = 0  # only the loop adds here …
        self._bytes_out = 0  # … and only the thread here
        self._unpacking = Unpacking(settings.body_bytes_max, settings.unpacked_ratio_max)
        self._files: dict[tuple[str, str], _File] = {}
        self._writer = RecordWriter()
        self._own_writer = RecordWriter()  # the thread's
        self._hour = datetime.min.replace(tzinfo=UTC)  # of the newest record
        self._stopping = False
        self._wake = threading.Event()
        self._wake_at = PIECE  # records in the queue
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    def offer(
        self,
        variant: ServedVariant,
        *,
        prediction_id: bytes,
        inference_id: bytes | None,
        asked: tuple[str | None, bytes] | None,
        answered: tuple[str, bytes] | None,
        encoding: str | None = None,
    ) -> None:
        """Take a copy, or count that there was no room.

        Args:
            variant: Who answered.
            prediction_id: The request's id.
            inference_id: The caller's own id, None when not given.
            asked: Content type and body of the request, None when not kept.
            answered: Content type and body of the reply, None when not kept.
            encoding: How the request's body is packed; it is kept unpacked.
        """
        queue, route, at = self._queue, variant.route, self._clock.now()
        place = (variant.endpoint, route.variant)
        size = (0 if asked is None else len(asked[1])) + (0 if answered is None else len(answered[1]))
        if (
            len(queue) >= self._records_max
            or self._bytes_in - self._bytes_out + size > QUEUED_BYTES_MAX
            or self._stopping
        ):
            self._dropped(place, "queue_full").add()
            return
        self._bytes_in += size
        said = None if asked is None else (asked[0] or DEFAULT_TYPE, asked[1])
        line: bytes | Callable[[], bytes]
        if size <= WRITTEN_AT_ONCE_BYTES and encoding is None:
            line = self._writer.line(
                said,
                answered,
                at,
                event_id=prediction_id,
                inference_id=inference_id,
                model_version=route.model_version,
            )
        else:
            line = partial(
                self._line,
                said,
                answered,
                at,
                encoding=encoding,
                event_id=prediction_id,
                inference_id=inference_id,
                model_version=route.model_version,
            )
        queue.append(_Taken(place, at, line, size))
        if len(queue) >= self._wake_at:
            self._wake_at += PIECE  # once for each piece that waits: waking costs more than queueing
            self._wake.set()

    def close(self) -> None:
        """Write what is queued and end."""
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._wake.wait(PAUSE_S)
            self._wake.clear()
            self._wake_at = PIECE
            stopping = self._stopping
            self._write_queued()
            with suppress(OSError):
                self._retention.enforce_when_due()
            if stopping:
                break
        for file in self._files.values():
            file.close()
        self._retention.close()

    def _write_queued(self) -> None:
        left = len(self._queue)
        while left:
            piece = min(left, PIECE)
            self._write([self._queue.popleft() for _ in range(piece)])
            left -= piece
            if left and not self._stopping:
                time.sleep(BREATH_S)

    def _write(self, piece: list[_Taken]) -> None:
        batches: dict[tuple[tuple[str, str], datetime], list[_Taken]] = {}
        for taken in piece:
            self._bytes_out += taken.size
            if not self._hour <= taken.at < self._hour + HOUR:
                self._hour = taken.at.replace(minute=0, second=0, microsecond=0)
            batches.setdefault((taken.place, self._hour), []).append(taken)
        for (place, hour), batch in batches.items():
            try:
                self._file(place, hour, batch[0].at).write(
                    b"".join([one.line if isinstance(one.line, bytes) else one.line() for one in batch])
                )
            except Exception as error:  # noqa: BLE001 - a full disk costs copies, never predictions
                log.warning("capture.failed", endpoint=place[0], variant=place[1], error=str(error))
                self._dropped(place, "write_failed").add(len(batch))
                self._close_file(place)
            else:
                self._slot.series(metrics.CAPTURED, *place).add(len(batch))

    def _line(
        self, asked: Copy | None, answered: Copy | None, at: datetime, *, encoding: str | None, **about: Any
    ) -> bytes:
        if encoding is not None and asked is not None:
            with suppress(InvalidInput):  # only code in a replica takes what is not packed as it says
                asked = asked[0], unpack(asked[1], encoding, self._unpacking)
        return self._own_writer.line(asked, answered, at, **about)

    def _file(self, place: tuple[str, str], hour: datetime, at: datetime) -> _File:
        file = self._files.get(place)
        if file is not None and file.hour == hour and file.size < self._file_bytes_max and file.linked():
            return file
        self._close_file(place)
        endpoint, variant = place
        folder = (
            self._folder
            / check_name(endpoint, what="endpoint")
            / check_name(variant, what="variant")
            / f"{hour:%Y/%m/%d/%H}"
        )
        file = self._files[place] = _File(
            folder, f"{at:%M-%S}-{at.microsecond // 1000:03d}-{uuid4()}.jsonl", hour
        )
        return file

    def _close_file(self, place: tuple[str, str]) -> None:
        file = self._files.pop(place, None)
        if file is not None:
            file.close()

    def _dropped(self, place: tuple[str, str], reason: str) -> Series:
        return self._slot.series(metrics.CAPTURE_DROPPED, *place, reason)


class _File:
    """One open file of an hour."""

    def __init__(self, folder: Path, name: str, hour: datetime) -> None:
        self.hour = hour
        self.size = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW
        for last_try in (False, True):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                self._descriptor = os.open(folder / name, flags, 0o600)
                break
            except FileNotFoundError:  # retention removed the empty folder in between
                if last_try:
                    raise

    def linked(self) -> bool:
        """Return whether the file still has a name."""
        return os.fstat(self._descriptor).st_nlink > 0

    def write(self, lines: bytes) -> None:
        """Append whole lines, or nothing."""
        written = 0
        try:
            while written < len(lines):
                written += os.write(self._descriptor, lines[written:])
        except OSError:
            with suppress(OSError):  # take back the half of a line that fitted on the disk
                os.ftruncate(self._descriptor, self.size)
            raise
        self.size += written
        crash_point("capture.written")

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)
