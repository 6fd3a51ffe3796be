"""Batch and monitoring jobs: wishes for finite work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from modelport.control.job_folder import read_log, read_progress
from modelport.control.services.models import check_approved, find_or_create_model
from modelport.control.services.page import Page, bounded
from modelport.control.services.references import resolve
from modelport.control.services.resources import make
from modelport.control.work import ENDPOINT, MONITOR, SINCE, TASK, UNTIL, format_of
from modelport.domain.endpoint import Endpoint, EndpointConfig
from modelport.domain.errors import Conflict, InvalidInput, NotFound
from modelport.domain.job import (
    JobNotes,
    JobStatus,
    ProcessingJob,
    ProcessingSpec,
    ProcessingState,
    TransformJob,
    TransformSpec,
    TransformState,
)
from modelport.domain.names import NAME_LENGTH_MAX, check_name, parse_version
from modelport.domain.planning.job import Job
from modelport.domain.registry import Model, ModelPackage
from modelport.domain.resource import Kind
from modelport.stores.records.records import Records
from modelport.stores.records.transaction import Transaction
from modelport.wire.jobs import Progress

JOB_KINDS = (Kind.TRANSFORM_JOB, Kind.PROCESSING_JOB)


class Jobs:
    """Finite work.

    Args:
        records: Where wishes are kept.
        folder: Folder of all job folders.
        captures: Folder of captured traffic.
        wake: Called after each new wish.
    """

    def __init__(self, records: Records, *, folder: Path, captures: Path, wake: Callable[[], None]) -> None:
        self._records = records
        self._folder = folder
        self._captures = captures
        self._wake = wake

    def create_transform(
        self, spec: TransformSpec, failed_rows_max: int = 0, *, principal: str
    ) -> TransformJob:
        """Wish that a Model score files.

        Args:
            spec: The wish. `model_name` is a Model, or a version as users write it: `flights:3`.
            failed_rows_max: Rows that may fail before the job does.
            principal: Who asks.

        Raises:
            InvalidInput: A name is not allowed, or a value is out of range.
            NotFound: There is no such Model or version.
            Refused: The version is not approved.
            Conflict: The name is taken.
        """
        check_name(spec.transform_job_name, what="job")
        if failed_rows_max < 0:
            raise InvalidInput(f"failed_rows_max is {failed_rows_max}, expected at least 0")
        join = "None" if spec.data_processing is None else spec.data_processing.join_source
        if join not in ("None", "Input"):
            raise InvalidInput(f"join source {join!r} is not known", hint="None or Input")
        format_of(spec.transform_input.content_type)
        format_of(spec.transform_output.accept)
        with self._records.transaction(principal=principal) as tx:
            _check_free(tx, spec.transform_job_name)
            model = _find_model(tx, spec.model_name)
            source = spec.transform_input.data_source.s3_data_source.s3_uri
            job: TransformJob = make(
                tx,
                Kind.TRANSFORM_JOB,
                spec.transform_job_name,
                replace(spec, model_name=model.name),
                status=TransformState(JobStatus.IN_PROGRESS),
                notes=JobNotes(failed_rows_max=failed_rows_max),
                settled=False,
                told=f"{model.modelport.model_version}: {source}",
            )
        self._wake()
        return job

    def create_monitor(
        self,
        endpoint: str,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        name: str | None = None,
        principal: str,
    ) -> ProcessingJob:
        """Wish that an endpoint's captured traffic be compared with its training data and labels.

        Args:
            endpoint: Whose traffic.
            since: Start of the window, aware; None: all that is kept.
            until: End of the window, aware; None: now.
            name: Of the job; None: a fresh one.
            principal: Who asks.

        Raises:
            InvalidInput: The name is not allowed, or the window is empty or without a time zone.
            NotFound: There is no such endpoint.
            Conflict: It captures nothing, or the name is taken.
        """
        for moment in (since, until):
            if moment is not None and moment.tzinfo is None:
                raise InvalidInput(
                    f"time {moment.isoformat()} has no zone", hint="write 2013-07-01T00:00:00Z"
                )
        if since is not None and until is not None and since >= until:
            raise InvalidInput(f"the window ends at {until.isoformat()}, before it begins")
        with self._records.transaction(principal=principal) as tx:
            check_captured(tx, tx.get(Kind.ENDPOINT, endpoint), self._captures)
            name = check_name(name, what="job") if name else _free_job_name(tx, endpoint)
            _check_free(tx, name)
            environment = {TASK: MONITOR, ENDPOINT: endpoint}
            for variable, moment in ((SINCE, since), (UNTIL, until)):
                if moment is not None:
                    environment[variable] = moment.astimezone(UTC).isoformat()
            job: ProcessingJob = make(
                tx,
                Kind.PROCESSING_JOB,
                name,
                ProcessingSpec(name, environment),
                status=ProcessingState(JobStatus.IN_PROGRESS),
                notes=JobNotes(),
                settled=False,
                told=f"monitor {endpoint}",
            )
        self._wake()
        return job

    def stop(self, name: str, *, kind: Kind | None = None, principal: str) -> Job:
        """Wish that a job stop. Nothing happens when it is stopping already.

        Raises:
            NotFound: There is no such job.
            Conflict: It has ended.
        """
        with self._records.transaction(principal=principal) as tx:
            job = _find_job(tx, name, kind)
            status = status_of(job)
            if status not in (JobStatus.IN_PROGRESS, JobStatus.STOPPING):
                raise Conflict(f"job {name!r} is {status.value}: it has ended")
            if not job.modelport.stop_requested:
                job = with_status(job, JobStatus.STOPPING)
                job = replace(
                    job,
                    modelport=replace(job.modelport, stop_requested=True),
                    generation=job.generation + 1,
                    modified_at=tx.now,
                )
                tx.put(job)
                tx.event("stop", job.kind, name)
        self._wake()
        return job

    def describe(self, name: str, *, kind: Kind | None = None, wait_s: float = 0.0) -> Job:
        """Return a job.

        Args:
            name: Of the job; unique among jobs of all kinds.
            kind: Only of this kind; None: of any.
            wait_s: Seconds to wait, at most, for it to end.

        Raises:
            NotFound: There is no such job.
        """

        def look() -> Job:
            with self._records.reading() as tx:
                return _find_job(tx, name, kind)

        return self._records.look_until(look, lambda job: job.settled, wait_s)

    def list(
        self, *, kind: Kind = Kind.TRANSFORM_JOB, after: str | None = None, limit: int | None = None
    ) -> Page[Job]:
        """Return the jobs of a kind, by name."""
        size = bounded(limit)
        with self._records.reading() as tx:
            found = tx.all(kind, after=after, limit=size + 1)
        return Page(tuple(found[:size]), found[size - 1].name if len(found) > size else None)

    def progress(self, name: str, *, kind: Kind | None = None) -> Progress:
        """Return how far a job is, as it last said; nothing done when it has not said yet.

        Raises:
            NotFound: There is no such job.
        """
        return read_progress(self._folder / self.describe(name, kind=kind).name)

    def log(self, name: str, *, kind: Kind | None = None) -> str:
        """Return the end of what a job wrote to its log.

        Raises:
            NotFound: There is no such job.
        """
        return read_log(self._folder / self.describe(name, kind=kind).name)


def status_of(job: Job) -> JobStatus:
    """Return where a job stands."""
    if isinstance(job.status, TransformState):
        return job.status.transform_job_status
    return job.status.processing_job_status


def with_status(job: Job, status: JobStatus) -> Job:
    """Return a job that stands elsewhere."""
    if isinstance(job.status, TransformState):
        return replace(job, status=replace(job.status, transform_job_status=status))
    return replace(job, status=replace(job.status, processing_job_status=status))


def check_captured(tx: Transaction, endpoint: Endpoint, captures: Path) -> None:
    """Refuse to work on traffic that nobody keeps.

    Raises:
        Conflict: The endpoint captures nothing and has captured nothing; the hint turns it on.
    """
    config: EndpointConfig | None = tx.find(Kind.ENDPOINT_CONFIG, endpoint.spec.endpoint_config_name)
    capture = None if config is None else config.spec.data_capture_config
    on = capture is not None and capture.enable_capture and capture.initial_sampling_percentage > 0
    if on or (captures / endpoint.name).is_dir():
        return
    version = "NAME:VERSION"
    if config is not None:
        if config.spec.holds_components:
            raise Conflict(
                f"endpoint {endpoint.name!r} captures nothing",
                hint="turn it on: update it to a config with a DataCaptureConfig",
            )
        model: Model | None = tx.find(Kind.MODEL, config.spec.production_variants[0].model_name)
        version = version if model is None else model.modelport.model_version
    raise Conflict(
        f"endpoint {endpoint.name!r} captures nothing",
        hint=f"turn it on: modelport deploy {version} --endpoint {endpoint.name} --capture 100%",
    )


def _find_model(tx: Transaction, name: str) -> Model:
    model: Model | None = None if set(name) & {":", "@"} else tx.find(Kind.MODEL, name)
    if model is None:
        return _known(find_or_create_model(tx, resolve(tx, parse_version(name))))
    if model.spec.primary_container.model_package_name is not None:
        package: ModelPackage | None = tx.find(Kind.MODEL_PACKAGE, model.modelport.model_version)
        if package is None:
            raise NotFound(f"model {name!r} points at {model.modelport.model_version}, which was deleted")
        check_approved(package)
    return _known(model)


def _known(model: Model) -> Model:
    """Return a Model whose archive, where it has one, was looked into."""
    if model.spec.further_containers:
        raise InvalidInput(
            f"model {model.name!r} has {len(model.spec.containers)} containers, which jobs do not run",
            hint="make one model of the steps, and register that",
        )
    if model.modelport.models is not None:
        raise InvalidInput(
            f"model {model.name!r} stands for many, and a job runs one",
            hint="make a Model of the archive of the one",
        )
    if model.modelport.code is not None:
        raise InvalidInput(
            f"model {model.name!r} is code of its own, which jobs do not run",
            hint="convert the model: modelport register PATH --name NAME",
        )
    if not model.modelport.known:
        raise Conflict(
            f"nobody knows yet what the archive of model {model.name!r} holds",
            hint="an endpoint looks into it: deploy the model once, then score with it",
        )
    return model


def _find_job(tx: Transaction, name: str, kind: Kind | None) -> Job:
    for option in JOB_KINDS if kind is None else (kind,):
        found: Job | None = tx.find(option, name)
        if found is not None:
            return found
    raise NotFound(f"there is no job {name!r}", hint="`modelport jobs` lists what is there")


def _check_free(tx: Transaction, name: str) -> None:
    """Refuse a name that a job of any kind has: they share one folder of job folders."""
    for kind in JOB_KINDS:
        if tx.find(kind, name) is not None:
            raise Conflict(f"job {name!r} exists already", hint="choose another name")


def _free_job_name(tx: Transaction, endpoint: str) -> str:
    number = tx.next_number("monitor")
    suffix = f"-monitor-{number}"
    return endpoint[: NAME_LENGTH_MAX - len(suffix)].rstrip("-") + suffix
