"""Captured traffic and labels, as JSON Lines in SageMaker's record shapes.

Captures lie at `{captures}/{endpoint}/{variant}/yyyy/mm/dd/hh/{mm-ss-ms-uuid}.jsonl`, labels at
`{labels}/{endpoint}/yyyy/mm/dd/hh/{name}.jsonl`. A torn last line loses that line only.

Source: SageMaker Model Monitor, "Interpret captured data" and "Ingest ground truth labels".
"""

from __future__ import annotations

from typing import Literal

import msgspec

EVENT_VERSION = "0"


class Side(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What was asked or answered. `data` is text, or base64 of the bytes."""

    observed_content_type: str
    mode: Literal["INPUT", "OUTPUT"]
    data: str
    encoding: Literal["CSV", "JSON", "BASE64"]


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
