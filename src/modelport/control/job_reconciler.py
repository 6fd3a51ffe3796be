"""Makes the wishes about jobs true: start, find again, stop, take over the result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog

from modelport.control.engine import Engine
from modelport.control.job_folder import (
    forget_result,
    read_last_words,
    read_outcome,
    read_progress,
    write_job,
)
from modelport.control.ownership import Ownership
from modelport.control.work import work_of
from modelport.domain.clock import Clock
from modelport.domain.errors import Corrupted, InvalidInput
from modelport.domain.planning.job import AskToStop, Finish, Job, JobObserved, Start, plan
from modelport.domain.resource import Kind
from modelport.durable import crash_point
from modelport.stores.records.records import Records
from modelport.wire.jobs import Work

RESYNC_S = 1.0
RUNNING_S = 0.2  # how late the end of a job found again may be noticed; one that was started here tells
KINDS = (Kind.TRANSFORM_JOB, Kind.PROCESSING_JOB)

_log = structlog.get_logger("modelport.jobs")


class JobReconciler:
    """Jobs that have not ended.

    Args:
        records: Where wishes are kept.
        ownership: Which of them this process may write back.
        engine: Runs jobs.
        folder: Folder of all job folders.
        captures: Folder of captured traffic.
        clock: Time.
        wake: Called when a job that was started here ends.
    """

    def __init__(
        self,
        records: Records,
        ownership: Ownership,
        engine: Engine,
        *,
        folder: Path,
        captures: Path,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        self._records = records
        self._ownership = ownership
        self._engine = engine
        self._folder = folder
        self._captures = captures
        self._clock = clock
        self._wake = wake
        self._seen_alive: set[str] = set()
        self._refusals: dict[str, str] = {}

    def step(self) -> float:
        """Do what can be done now; return the seconds after which to look again, 0: at once."""
        changed = False
        jobs = self._unfinished()
        for job, work in jobs:
            action = plan(job, self._observe(job, work), self._clock.now())
            if action is None:
                continue
            if not self._ownership.hold(job):
                changed |= self._ownership.holds(job)  # it was written in between: look again
                continue
            if isinstance(action, Start):
                changed |= self._start(action, work)
            elif isinstance(action, AskToStop):
                self._engine.stop(self._folder / job.name)
            else:
                changed |= self._finish(action)
        if changed:
            return 0.0
        return RUNNING_S if jobs else RESYNC_S

    def _unfinished(self) -> list[tuple[Job, Work | str]]:
        found: list[tuple[Job, Work | str]] = []
        with self._records.reading() as tx:
            for kind in KINDS:
                for name in tx.unsettled(kind):
                    try:
                        job: Job = tx.get(kind, name)
                        found.append((job, work_of(tx, job, self._captures)))
                    except Corrupted as error:
                        _log.error("record.damaged", kind=kind.value, name=name, error=error.message)
                    except InvalidInput as error:
                        found.append((job, error.message))
        return found

    def _observe(self, job: Job, work: Work | str) -> JobObserved:
        folder = self._folder / job.name
        outcome = read_outcome(folder)
        alive = outcome is None and self._engine.alive(folder)
        if alive:
            self._seen_alive.add(job.name)
        return JobObserved(
            outcome=outcome,
            alive=alive,
            seen_alive=job.name in self._seen_alive,
            shards_done=0 if alive else read_progress(folder).shards_done,
            last_words="" if alive else self._refusals.get(job.name) or read_last_words(folder),
            obstacle=work if isinstance(work, str) else None,
        )

    def _start(self, action: Start, work: Work | str) -> bool:
        job = action.job
        folder = self._folder / job.name
        if isinstance(work, str) or not self._ownership.write_back(job, release=False):
            return True
        crash_point("job.before_start")
        write_job(folder, job.name, work)
        forget_result(folder)
        self._seen_alive.add(job.name)
        try:
            self._engine.start(folder, self._wake)
            self._refusals.pop(job.name, None)
        except OSError as error:
            self._refusals[job.name] = f"it could not be started: {error.strerror or error}"
        crash_point("job.started")
        _log.info("job.started", job=job.name, attempt=job.modelport.attempts)
        return False

    def _finish(self, action: Finish) -> bool:
        crash_point("job.before_finish")
        name = action.job.name
        if self._ownership.write_back(action.job, action.message):
            self._seen_alive.discard(name)
            self._refusals.pop(name, None)
            _log.info("job.ended", job=name, message=action.message)
        return True
