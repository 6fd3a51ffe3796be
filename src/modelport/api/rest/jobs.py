"""Batch and monitoring jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter
from fastapi.responses import FileResponse, PlainTextResponse, Response

from modelport.access.principals import Principal
from modelport.access.scopes import Scope
from modelport.api.callers import may
from modelport.api.platform import Here
from modelport.api.rest.bodies import answer, body
from modelport.api.rest.schemas import Patience, serves
from modelport.control.services.jobs import status_of
from modelport.control.services.page import Page
from modelport.domain.errors import NotFound
from modelport.domain.job import (
    DataProcessing,
    ProcessingJob,
    TransformInput,
    TransformJob,
    TransformOutput,
    TransformSpec,
)
from modelport.domain.resource import Kind, Tag
from modelport.wire.jobs import Progress

router = APIRouter(prefix="/api/v1", tags=["jobs"])
Reader = Annotated[Principal, may(Scope.JOBS_READ)]
Writer = Annotated[Principal, may(Scope.JOBS_WRITE)]

REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
)
"""A report is one file with its style inside, and runs nothing."""


class NewTransform(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The wish for a batch job; `model_name` is a Model, or a version: `flights:3`."""

    transform_job_name: str
    model_name: str
    transform_input: TransformInput
    transform_output: TransformOutput
    data_processing: DataProcessing | None = None
    tags: tuple[Tag, ...] = ()
    failed_rows_max: int = 0


class NewMonitor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The wish that captured traffic be compared with the training data, and predictions with labels.

    `since` and `until` are RFC 3339 with a time zone; null: all that is kept, now.
    """

    endpoint: str
    since: datetime | None = None
    until: datetime | None = None
    name: str | None = None


@router.get("/transform-jobs", **serves(Page[TransformJob]))
def list_transforms(
    platform: Here, _: Reader, after: str | None = None, limit: int | None = None
) -> Response:
    """List the batch jobs."""
    return answer(platform.jobs.list(kind=Kind.TRANSFORM_JOB, after=after, limit=limit))


@router.post("/transform-jobs", **serves(TransformJob, status=202))
def create_transform(
    platform: Here, caller: Writer, wish: Annotated[NewTransform, body(NewTransform)]
) -> Response:
    """Wish that a version score files."""
    spec = TransformSpec(
        transform_job_name=wish.transform_job_name,
        model_name=wish.model_name,
        transform_input=wish.transform_input,
        transform_output=wish.transform_output,
        data_processing=wish.data_processing,
        tags=wish.tags,
    )
    job = platform.jobs.create_transform(spec, wish.failed_rows_max, principal=caller.name)
    return answer(job, status=202)


@router.get("/transform-jobs/{name}", **serves(TransformJob))
def describe_transform(platform: Here, _: Reader, name: str, wait_s: Patience = 0.0) -> Response:
    """Describe a batch job; `wait_s`: wait so many seconds, at most, for it to end."""
    return answer(platform.jobs.describe(name, kind=Kind.TRANSFORM_JOB, wait_s=wait_s))


@router.post("/transform-jobs/{name}/stop", **serves(TransformJob, status=202))
def stop_transform(platform: Here, caller: Writer, name: str) -> Response:
    """Wish that a batch job stop; finished shards stay."""
    job = platform.jobs.stop(name, kind=Kind.TRANSFORM_JOB, principal=caller.name)
    return answer(job, status=202)


@router.get("/transform-jobs/{name}/progress", **serves(Progress))
def transform_progress(platform: Here, _: Reader, name: str) -> Response:
    """Tell how far a batch job is."""
    return answer(platform.jobs.progress(name, kind=Kind.TRANSFORM_JOB))


@router.get("/transform-jobs/{name}/log", **serves(str))
def transform_log(platform: Here, _: Reader, name: str) -> Response:
    """Return the end of a batch job's log."""
    return PlainTextResponse(platform.jobs.log(name, kind=Kind.TRANSFORM_JOB))


@router.get("/processing-jobs", **serves(Page[ProcessingJob]))
def list_processing(
    platform: Here, _: Reader, after: str | None = None, limit: int | None = None
) -> Response:
    """List the monitoring jobs."""
    return answer(platform.jobs.list(kind=Kind.PROCESSING_JOB, after=after, limit=limit))


@router.post("/processing-jobs", **serves(ProcessingJob, status=202))
def create_monitor(platform: Here, caller: Writer, wish: Annotated[NewMonitor, body(NewMonitor)]) -> Response:
    """Wish that an endpoint be looked at."""
    job = platform.jobs.create_monitor(
        wish.endpoint, wish.since, wish.until, name=wish.name, principal=caller.name
    )
    return answer(job, status=202)


@router.get("/processing-jobs/{name}", **serves(ProcessingJob))
def describe_processing(platform: Here, _: Reader, name: str, wait_s: Patience = 0.0) -> Response:
    """Describe a monitoring job; `wait_s`: wait so many seconds, at most, for it to end."""
    return answer(platform.jobs.describe(name, kind=Kind.PROCESSING_JOB, wait_s=wait_s))


@router.post("/processing-jobs/{name}/stop", **serves(ProcessingJob, status=202))
def stop_processing(platform: Here, caller: Writer, name: str) -> Response:
    """Wish that a monitoring job stop."""
    job = platform.jobs.stop(name, kind=Kind.PROCESSING_JOB, principal=caller.name)
    return answer(job, status=202)


@router.get("/processing-jobs/{name}/progress", **serves(Progress))
def processing_progress(platform: Here, _: Reader, name: str) -> Response:
    """Tell how far a monitoring job is."""
    return answer(platform.jobs.progress(name, kind=Kind.PROCESSING_JOB))


@router.get("/processing-jobs/{name}/reports/{file}", **serves(bytes))
def processing_report(platform: Here, _: Reader, name: str, file: str) -> Response:
    """Return one of the files that a monitoring job's `detail` lists under `reports`."""
    job = platform.jobs.describe(name, kind=Kind.PROCESSING_JOB)
    if file not in job.modelport.detail.get("reports", ()):
        raise NotFound(
            f"job {job.name!r} has no report {file!r}", hint=f"it is {status_of(job).value}: see its detail"
        )
    return FileResponse(
        platform.settings.layout.jobs / job.name / file, headers={"Content-Security-Policy": REPORT_POLICY}
    )


@router.get("/processing-jobs/{name}/log", **serves(str))
def processing_log(platform: Here, _: Reader, name: str) -> Response:
    """Return the end of a monitoring job's log."""
    return PlainTextResponse(platform.jobs.log(name, kind=Kind.PROCESSING_JOB))
