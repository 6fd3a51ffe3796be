"""The table of a job's next steps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.domain.job import (
    DataSource,
    JobNotes,
    JobStatus,
    ProcessingSpec,
    ProcessingState,
    S3DataSource,
    TransformInput,
    TransformOutput,
    TransformSpec,
    TransformState,
)
from modelport.domain.planning.job import (
    ATTEMPTS_MAX,
    AskToStop,
    Finish,
    JobObserved,
    Outcome,
    Start,
    plan,
)
from modelport.domain.resource import Kind, Resource

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SPEC = TransformSpec("score", "m", TransformInput(DataSource(S3DataSource("in"))), TransformOutput("out"))


def a_job(*, stop: bool = False, attempts: int = 0, shards_done: int = 0):
    return Resource(
        kind=Kind.TRANSFORM_JOB,
        name="score",
        parent=None,
        spec=SPEC,
        status=TransformState(JobStatus.STOPPING if stop else JobStatus.IN_PROGRESS),
        modelport=JobNotes(stop_requested=stop, attempts=attempts, shards_done=shards_done),
        generation=1 + stop,
        observed_generation=0,
        created_at=NOW,
        modified_at=NOW,
    )


DONE = Outcome(JobStatus.COMPLETED, detail={"rows": 3})


@pytest.mark.parametrize("alive", [False, True])
@pytest.mark.parametrize("stop", [False, True])
def test_result_is_the_truth_whatever_else_is_so(alive, stop) -> None:
    action = plan(a_job(stop=stop), JobObserved(outcome=DONE, alive=alive), NOW)
    assert isinstance(action, Finish)
    assert action.job.status.transform_job_status is JobStatus.COMPLETED
    assert action.job.status.transform_end_time == NOW
    assert action.job.modelport.detail == {"rows": 3}
    assert action.job.settled


def test_living_job_is_left_alone_or_asked_to_stop() -> None:
    assert plan(a_job(), JobObserved(alive=True), NOW) is None
    assert isinstance(plan(a_job(stop=True), JobObserved(alive=True), NOW), AskToStop)


def test_job_is_started_and_its_first_start_is_remembered() -> None:
    action = plan(a_job(), JobObserved(), NOW)
    assert isinstance(action, Start)
    assert action.job.status.transform_start_time == NOW
    later = NOW + timedelta(hours=1)
    again = plan(action.job, JobObserved(seen_alive=True), later)
    assert isinstance(again, Start)
    assert again.job.status.transform_start_time == NOW


def test_stopped_before_it_began_is_stopped() -> None:
    action = plan(a_job(stop=True), JobObserved(), NOW)
    assert isinstance(action, Finish)
    assert action.job.status.transform_job_status is JobStatus.STOPPED


def test_interrupted_is_not_stopped_and_goes_on() -> None:
    action = plan(a_job(), JobObserved(outcome=Outcome(JobStatus.STOPPED)), NOW)
    assert isinstance(action, Start)


def test_job_that_cannot_be_told_what_to_do_fails_with_the_reason() -> None:
    action = plan(a_job(), JobObserved(obstacle="model 'm' does not exist any more"), NOW)
    assert isinstance(action, Finish)
    assert action.job.status.failure_reason == "model 'm' does not exist any more"


def _die(job, *, times: int, shards=lambda death: 0, seen: bool = True):
    """Start a job and let it die, again and again; return how it ended and after how many starts."""
    starts = 0
    for death in range(times):
        action = plan(
            job,
            JobObserved(seen_alive=seen and starts > 0, shards_done=shards(death), last_words="boom"),
            NOW,
        )
        if isinstance(action, Finish):
            return action.job, starts
        job, starts = action.job, starts + 1
    return job, starts


def test_job_that_dies_without_progress_fails_after_some_attempts() -> None:
    job, starts = _die(a_job(), times=20)
    assert starts == ATTEMPTS_MAX
    assert job.status.transform_job_status is JobStatus.FAILED
    assert "died 4 times without progress" in job.status.failure_reason
    assert "boom" in job.status.failure_reason


@given(step=st.integers(1, ATTEMPTS_MAX - 1))
def test_job_that_makes_progress_is_never_given_up(step) -> None:
    job, starts = _die(a_job(), times=50, shards=lambda death: death // step)
    assert starts == 50
    assert not job.settled


def test_restarts_of_the_platform_are_no_deaths() -> None:
    job, starts = _die(a_job(), times=50, seen=False)
    assert starts == 50
    assert job.modelport.attempts == 1


def test_ended_job_is_left_alone() -> None:
    ended = replace(a_job(), observed_generation=1)
    assert plan(ended, JobObserved(), NOW) is None


def test_processing_job_says_its_conclusion() -> None:
    job = Resource(
        kind=Kind.PROCESSING_JOB,
        name="watch",
        parent=None,
        spec=ProcessingSpec("watch"),
        status=ProcessingState(JobStatus.IN_PROGRESS),
        modelport=JobNotes(),
        generation=1,
        observed_generation=0,
        created_at=NOW,
        modified_at=NOW,
    )
    started = plan(job, JobObserved(), NOW)
    assert isinstance(started, Start)
    assert started.job.status.processing_start_time == NOW
    outcome = Outcome(JobStatus.COMPLETED, conclusion="carrier drifted")
    action = plan(started.job, JobObserved(outcome=outcome), NOW)
    assert isinstance(action, Finish)
    assert action.job.status.exit_message == "carrier drifted"
    assert action.message == "Completed: carrier drifted"


@given(
    outcome=st.sampled_from(
        [
            None,
            *(
                Outcome(status)
                for status in JobStatus
                if status in (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.STOPPED)
            ),
        ]
    ),
    alive=st.booleans(),
    seen=st.booleans(),
    stop=st.booleans(),
    attempts=st.integers(0, 9),
    shards=st.integers(0, 9),
)
def test_every_observation_has_an_answer(outcome, alive, seen, stop, attempts, shards) -> None:
    job = a_job(stop=stop, attempts=attempts, shards_done=3)
    observed = JobObserved(outcome=outcome, alive=alive, seen_alive=seen, shards_done=shards)
    action = plan(job, observed, NOW)
    if isinstance(action, Finish):
        assert action.job.settled
    if action is None:
        assert alive
        assert not stop
