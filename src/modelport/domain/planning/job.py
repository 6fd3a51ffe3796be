"""What to do next about one job. The truth about its outcome is the result it leaves, never how it ended.

result  process  wish    next
yes     any      any     take over its status
no      lives    run     nothing
no      lives    stop    ask it to stop
no      gone     run     start it (again); after several deaths without progress: Failed
no      gone     stop    Stopped
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from modelport.domain.job import JobStatus, ProcessingJob, TransformJob, TransformState

ATTEMPTS_MAX = 4
REASON_LENGTH_MAX = 1_024

Job = TransformJob | ProcessingJob


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job says it ended.

    Args:
        status: Completed, Failed or Stopped.
        failure_reason: Why, where it Failed.
        conclusion: What it found, in a sentence; None where it says nothing.
        detail: Its own summary.
    """

    status: JobStatus
    failure_reason: str | None = None
    conclusion: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobObserved:
    """What is so of a job.

    Args:
        outcome: Its result, None while there is none.
        alive: Its process lives.
        seen_alive: This control process started it or saw it alive; so when it is gone, it died.
        shards_done: How far it is.
        last_words: The last line of its log, or why it could not be started; empty when there is none.
        obstacle: Why it cannot be started at all (its model is gone), None when it can.
    """

    outcome: Outcome | None = None
    alive: bool = False
    seen_alive: bool = False
    shards_done: int = 0
    last_words: str = ""
    obstacle: str | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Write the job back (it counts the attempt), then start its process."""

    job: Job


@dataclass(frozen=True, slots=True)
class AskToStop:
    """Ask its process to stop; by force when it was asked long ago."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Write the job back: it has ended."""

    job: Job
    message: str


JobAction = Start | AskToStop | Finish


def plan(job: Job, observed: JobObserved, now: datetime) -> JobAction | None:
    """Return what to do now about a job that has not ended; None: nothing.

    Args:
        job: Wish and last known state.
        observed: What is so.
        now: The time, aware, UTC.
    """
    if job.settled:
        return None
    stop = job.modelport.stop_requested
    outcome = observed.outcome
    if outcome is not None and (outcome.status is not JobStatus.STOPPED or stop):
        return _finish(job, outcome, now)
    if observed.alive:
        return AskToStop() if stop else None
    if stop:
        return _finish(job, Outcome(JobStatus.STOPPED), now)
    if observed.obstacle is not None:
        return _finish(job, Outcome(JobStatus.FAILED, observed.obstacle), now)
    # Gone without a word although nobody asked: it died, or it was interrupted by `down`. Only a death this
    # process has seen counts, so that no number of restarts of the platform fails a job.
    notes = job.modelport
    moved = observed.shards_done > notes.shards_done
    attempts = 0 if moved else notes.attempts - (0 if observed.seen_alive or not notes.attempts else 1)
    if attempts >= ATTEMPTS_MAX:
        words = f"; its last words: {observed.last_words}" if observed.last_words else ""
        reason = f"its process died {attempts} times without progress{words}"
        return _finish(job, Outcome(JobStatus.FAILED, reason), now)
    started = replace(
        job,
        modelport=replace(notes, attempts=attempts + 1, shards_done=observed.shards_done),
        modified_at=now,
    )
    return Start(_with_times(started, now, None))


def _finish(job: Job, outcome: Outcome, now: datetime) -> Finish:
    reason = outcome.failure_reason
    if reason is not None and len(reason) > REASON_LENGTH_MAX:
        reason = reason[: REASON_LENGTH_MAX - 1] + "…"
    ended = _with_times(job, None, now)
    if isinstance(ended.status, TransformState):
        status: Any = replace(ended.status, transform_job_status=outcome.status, failure_reason=reason)
    else:
        status = replace(
            ended.status,
            processing_job_status=outcome.status,
            failure_reason=reason,
            exit_message=outcome.conclusion,
        )
    ended = replace(
        ended,
        status=status,
        modelport=replace(job.modelport, detail=dict(outcome.detail)),
        observed_generation=job.generation,
        modified_at=now,
    )
    told = reason or outcome.conclusion
    return Finish(ended, outcome.status.value + (f": {told}" if told else ""))


def _with_times(job: Job, start: datetime | None, end: datetime | None) -> Job:
    """Return a job with its start (only the first one counts) or its end set."""
    if isinstance(job.status, TransformState):
        transform = replace(
            job.status,
            transform_start_time=job.status.transform_start_time or start,
            transform_end_time=end,
        )
        return replace(job, status=transform)
    processing = replace(
        job.status,
        processing_start_time=job.status.processing_start_time or start,
        processing_end_time=end,
    )
    return replace(job, status=processing)
