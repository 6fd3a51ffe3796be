"""Jobs: finite work with a name, a status and a durable result."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from modelport.domain.resource import Resource, Tag


class JobStatus(StrEnum):
    """Where a job stands. Source: SageMaker, DescribeTransformJob."""

    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    FAILED = "Failed"
    STOPPING = "Stopping"
    STOPPED = "Stopped"


JOB_TRANSITIONS: dict[JobStatus, tuple[JobStatus, ...]] = {
    JobStatus.IN_PROGRESS: (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.STOPPING),
    JobStatus.STOPPING: (JobStatus.STOPPED, JobStatus.COMPLETED, JobStatus.FAILED),
    JobStatus.COMPLETED: (),
    JobStatus.FAILED: (),
    JobStatus.STOPPED: (),
}
"""Which status may follow which. A job that finishes while it is being stopped is Completed."""


@dataclass(frozen=True, slots=True)
class S3DataSource:
    """Where the input lies; any fsspec URL or local path."""

    s3_uri: str
    s3_data_type: str = "S3Prefix"


@dataclass(frozen=True, slots=True)
class DataSource:
    """SageMaker's wrapper."""

    s3_data_source: S3DataSource


@dataclass(frozen=True, slots=True)
class TransformInput:
    """What to score. `content_type` None: told by the extension."""

    data_source: DataSource
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class TransformOutput:
    """Where the predictions go. `accept` None: as the input."""

    s3_output_path: str
    accept: str | None = None


@dataclass(frozen=True, slots=True)
class DataProcessing:
    """`join_source` is None (predictions alone) or Input (input columns first)."""

    join_source: str = "None"


@dataclass(frozen=True, slots=True)
class TransformSpec:
    """The wish for a batch job."""

    transform_job_name: str
    model_name: str
    transform_input: TransformInput
    transform_output: TransformOutput
    data_processing: DataProcessing | None = None
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True, slots=True)
class TransformState:
    """What is so of a batch job."""

    transform_job_status: JobStatus
    failure_reason: str | None = None
    transform_start_time: datetime | None = None
    transform_end_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class JobNotes:
    """Ours.

    Args:
        failed_rows_max: Rows that may fail before the job does.
        stop_requested: Somebody asked to stop it.
        detail: What the job's result says of itself.
        attempts: Times it was started since it last made progress.
        shards_done: How far it was at its last start.
    """

    failed_rows_max: int = 0
    stop_requested: bool = False
    detail: dict[str, Any] = field(default_factory=dict)
    attempts: int = 0
    shards_done: int = 0


@dataclass(frozen=True, slots=True)
class ProcessingSpec:
    """The wish for a processing job; a monitor run names what it watches in `environment`."""

    processing_job_name: str
    environment: dict[str, str] = field(default_factory=dict)
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True, slots=True)
class ProcessingState:
    """What is so of a processing job. `exit_message` is its conclusion in a sentence."""

    processing_job_status: JobStatus
    exit_message: str | None = None
    failure_reason: str | None = None
    processing_start_time: datetime | None = None
    processing_end_time: datetime | None = None


TransformJob = Resource[TransformSpec, TransformState, JobNotes]
ProcessingJob = Resource[ProcessingSpec, ProcessingState, JobNotes]
