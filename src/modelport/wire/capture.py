"""Captured traffic and labels, as JSON Lines in SageMaker's record shapes.

Captures lie at `{captures}/{endpoint}/{variant}/yyyy/mm/dd/hh/{mm-ss-ms-uuid}.jsonl`, labels at
`{labels}/{endpoint}/yyyy/mm/dd/hh/{name}.jsonl`. A torn last line loses that line only.

Source: SageMaker Model Monitor, "Interpret captured data" and "Ingest ground truth labels".
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

EVENT_VERSION = "0"
KEPT_MAX = 64
MILLISECOND = timedelta(milliseconds=1)

Copy = tuple[str, bytes]
"""Content type and body."""

Encoding = Literal["CSV", "JSON", "BASE64"]
_encode = msgspec.json.Encoder().encode


class Side(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What was asked or answered. `data` is text, or base64 of the bytes."""

    observed_content_type: str
    mode: Literal["INPUT", "OUTPUT"]
    data: str
    encoding: Encoding


class Exchange(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Both sides of one request; one is absent where the config does not capture it."""

    endpoint_input: Side | None = None
    endpoint_output: Side | None = None


class CaptureMetadata(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Which request it was.

    `event_id` is the request's prediction id; row i of it has the id `<event_id>#<i>`.
    `inference_time` is RFC 3339 in UTC. `model_version` is ours: `NAME:3`.
    """

    event_id: str
    inference_time: str
    inference_id: str | None = None
    model_version: str | None = None


class CaptureRecord(msgspec.Struct, frozen=True, rename="camel"):
    """One captured request."""

    capture_data: Exchange
    event_metadata: CaptureMetadata
    event_version: str = EVENT_VERSION


class RecordWriter:
    """Writes records as lines: the bytes that encoding a `CaptureRecord` gives, at a third of its cost.

    What repeats from request to request is encoded once; only the data, the ids and the time are written into
    it.
    """

    def __init__(self) -> None:
        self._mark = secrets.token_hex(16)  # stands for what is filled in; nobody can guess it
        self._templates: dict[tuple[str | None, ...], bytes] = {}
        self._texts: dict[str, Encoding | None] = {}
        self._now = self._next = datetime.min.replace(
            tzinfo=UTC
        )  # the millisecond of the last record, and the next
        self._now_said = b""

    def line(
        self,
        asked: Copy | None,
        answered: Copy | None,
        at: datetime,
        *,
        event_id: bytes,
        inference_id: bytes | None,
        model_version: str,
    ) -> bytes:
        """Return one record and the end of its line.

        Args:
            asked: The request; None where it is not kept.
            answered: The reply; None where it is not kept.
            at: When it was answered, in UTC.
            event_id: Its prediction id, ASCII.
            inference_id: The caller's own id, ASCII; None where there was none.
            model_version: `NAME:3`.
        """
        values: list[bytes] = []
        asked_type = asked_encoding = answered_type = answered_encoding = None
        if asked is not None:
            asked_type = asked[0]
            asked_encoding = self._fill(asked, values)
        if answered is not None:
            answered_type = answered[0]
            answered_encoding = self._fill(answered, values)
        values += (_encode(event_id.decode("ascii")), self._moment(at))
        if inference_id is not None:
            values.append(_encode(inference_id.decode("ascii")))
        key = (
            asked_type,
            asked_encoding,
            answered_type,
            answered_encoding,
            None if inference_id is None else "",
            model_version,
        )
        template = self._templates.get(key)
        if template is None:
            template = self._make(*key)
        return template % tuple(values)

    def _fill(self, copy: Copy, values: list[bytes]) -> Encoding:
        """Append the data of a side as JSON; return how it is encoded."""
        content_type, body = copy
        if content_type not in self._texts:
            if len(self._texts) >= KEPT_MAX:
                self._texts.clear()
            self._texts[content_type] = _text_encoding(content_type)
        encoding = self._texts[content_type]
        if encoding is not None:
            try:
                values.append(_encode(body.decode()))
            except UnicodeDecodeError:
                pass
            else:
                return encoding
        values.append(b'"%b"' % b64encode(body))
        return "BASE64"

    def _moment(self, at: datetime) -> bytes:
        if not self._now <= at < self._next:
            self._now = at.replace(microsecond=at.microsecond // 1000 * 1000)
            self._next = self._now + MILLISECOND
            said = self._now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            self._now_said = f'"{said}"'.encode("ascii")
        return self._now_said

    def _make(
        self,
        asked_type: str | None,
        asked_encoding: Encoding | None,
        answered_type: str | None,
        answered_encoding: Encoding | None,
        inference_id: str | None,
        model_version: str | None,
    ) -> bytes:
        mark = self._mark
        asked = answered = None
        if asked_type is not None and asked_encoding is not None:
            asked = Side(asked_type, "INPUT", mark, asked_encoding)
        if answered_type is not None and answered_encoding is not None:
            answered = Side(answered_type, "OUTPUT", mark, answered_encoding)
        about = CaptureMetadata(mark, mark, None if inference_id is None else mark, model_version)
        whole = _encode(CaptureRecord(Exchange(asked, answered), about))
        template = whole.replace(b"%", b"%%").replace(b'"%b"' % mark.encode("ascii"), b"%b") + b"\n"
        if len(self._templates) >= KEPT_MAX:
            self._templates.clear()
        self._templates[
            asked_type, asked_encoding, answered_type, answered_encoding, inference_id, model_version
        ] = template
        return template


def _text_encoding(content_type: str) -> Encoding | None:
    """Return how a body of this type is kept as text; None: its bytes are kept."""
    media = content_type.partition(";")[0].strip().lower()
    if media == "text/csv":
        return "CSV"
    return "JSON" if media.startswith("application/") and "json" in media else None


class GroundTruthData(msgspec.Struct, frozen=True, rename="camel"):
    """The label of one row, as JSON text."""

    data: str
    encoding: Literal["CSV", "JSON"] = "JSON"


class GroundTruthMetadata(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """`event_id` is the row's id `<prediction id>#<row>`; `received_time` is RFC 3339 in UTC."""

    event_id: str
    received_time: str | None = None


class GroundTruthRecord(msgspec.Struct, frozen=True, rename="camel"):
    """One label that came in."""

    ground_truth_data: GroundTruthData
    event_metadata: GroundTruthMetadata
    event_version: str = EVENT_VERSION
