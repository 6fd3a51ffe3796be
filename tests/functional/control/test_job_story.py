"""Batch and monitoring jobs: started, found again, stopped, finished."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from fakes.house import ME, House
from modelport.domain.errors import Conflict, InvalidInput, NotFound, Refused
from modelport.domain.job import (
    DataProcessing,
    DataSource,
    JobStatus,
    S3DataSource,
    TransformInput,
    TransformOutput,
    TransformSpec,
)
from modelport.domain.names import parse_version
from modelport.domain.planning.job import ATTEMPTS_MAX
from modelport.domain.registry import ApprovalStatus
from modelport.domain.resource import Kind
from modelport.wire.jobs import JobFile, JobResult, MonitorWork, Progress, TransformWork

SPEC = TransformSpec(
    "score",
    "flights:1",
    TransformInput(DataSource(S3DataSource("/data/in")), "text/csv"),
    TransformOutput("/data/out", "application/x-parquet"),
    DataProcessing("Input"),
)


@pytest.fixture
def house(tmp_path: Path):
    with House(tmp_path / "home") as built:
        built.register("flights", 1)
        yield built


def status(house: House, name: str = "score") -> JobStatus:
    job = house.jobs.describe(name)
    return getattr(job.status, "transform_job_status", None) or job.status.processing_job_status


def told(house: House, name: str) -> JobFile:
    return msgspec.json.decode((house.layout.jobs / name / "job.json").read_bytes(), type=JobFile)


def test_transform_is_told_what_to_do_and_its_result_is_taken_over(house: House) -> None:
    job = house.jobs.create_transform(SPEC, 5, principal=ME)
    assert job.spec.model_name == "flights-1"
    house.run()
    assert house.engine.running == {"score"}
    assert told(house, "score").work == TransformWork(
        digest=house.store_model(1),
        model_version="flights:1",
        input_url="/data/in",
        output_url="/data/out",
        output_format="parquet",
        join=True,
        failed_rows_max=5,
        input_format="csv",
    )
    assert status(house) is JobStatus.IN_PROGRESS
    house.engine.advance(house.layout.jobs / "score", 3)
    assert house.jobs.progress("score") == Progress(shards_done=3)

    result = JobResult("Completed", progress=Progress(rows_done=9), detail={"rows": 9})
    house.engine.finish(house.layout.jobs / "score", result)
    house.run()
    ended = house.jobs.describe("score")
    assert status(house) is JobStatus.COMPLETED
    assert ended.settled
    assert ended.modelport.detail == {"rows": 9}
    assert ended.status.transform_end_time == house.clock.now()
    assert house.jobs.progress("score").rows_done == 9
    assert house.events.list(kind="TransformJob", name="score").items[-1].message == "Completed"


def test_job_that_dies_is_started_again_and_given_up_without_progress(house: House) -> None:
    house.jobs.create_transform(SPEC, principal=ME)
    for _ in range(10):
        house.run()
        house.engine.running.clear()
        (house.layout.jobs / "score" / "log.txt").write_text("…\nMemoryError\n\n")
    assert len(house.engine.started) == ATTEMPTS_MAX
    assert status(house) is JobStatus.FAILED
    assert "MemoryError" in house.jobs.describe("score").status.failure_reason
    assert house.jobs.log("score").endswith("MemoryError\n\n")


def test_job_that_cannot_be_started_says_why(house: House) -> None:
    house.engine.refuses = OSError(11, "Resource temporarily unavailable")
    house.jobs.create_transform(SPEC, principal=ME)
    for _ in range(ATTEMPTS_MAX + 1):
        house.run()
    assert (
        "could not be started: Resource temporarily unavailable"
        in house.jobs.describe("score").status.failure_reason
    )


def test_job_survives_control_and_is_found_again(house: House, tmp_path: Path) -> None:
    house.jobs.create_transform(SPEC, principal=ME)
    house.run()
    house.records.close()
    with House(tmp_path / "home", engine=house.engine, workers=house.workers, clock=house.clock) as again:
        again.run()
        assert again.engine.started == ["score"]
        again.engine.running.clear()  # killed while nobody looked
        again.run()
        assert again.engine.started == ["score", "score"]


def test_stop_asks_until_the_job_has_ended(house: House) -> None:
    house.jobs.create_transform(SPEC, principal=ME)
    house.run()
    assert house.jobs.stop("score", principal=ME).status.transform_job_status is JobStatus.STOPPING
    house.run()
    house.run()
    assert house.engine.asked_to_stop == ["score", "score"]
    house.jobs.stop("score", principal=ME)
    house.engine.finish(house.layout.jobs / "score", JobResult("Stopped"))
    house.run()
    assert status(house) is JobStatus.STOPPED
    with pytest.raises(Conflict, match="it has ended"):
        house.jobs.stop("score", principal=ME)


def test_job_that_finishes_while_it_is_stopped_is_completed(house: House) -> None:
    house.jobs.create_transform(SPEC, principal=ME)
    house.run()
    house.jobs.stop("score", principal=ME)
    house.engine.finish(house.layout.jobs / "score", JobResult("Completed"))
    house.run()
    assert status(house) is JobStatus.COMPLETED


def test_interrupted_job_goes_on(house: House) -> None:
    house.jobs.create_transform(SPEC, principal=ME)
    house.run()
    house.engine.finish(house.layout.jobs / "score", JobResult("Stopped"))  # nobody had asked
    house.run()
    assert house.engine.started == ["score", "score"]
    assert status(house) is JobStatus.IN_PROGRESS
    assert house.jobs.progress("score") == Progress()


def test_model_of_a_job_that_has_not_ended_is_kept(house: House) -> None:
    house.jobs.create_transform(SPEC, principal=ME)
    with pytest.raises(Conflict, match="used by job 'score'"):
        house.registry.delete_version(parse_version("flights:1"), principal=ME)
    with pytest.raises(Conflict, match="used by job 'score'"):
        house.endpoints.delete_model("flights-1", principal=ME)
    house.jobs.stop("score", principal=ME)
    house.run()
    house.registry.delete_version(parse_version("flights:1"), principal=ME)


def test_job_whose_model_was_lost_fails_with_the_reason(house: House) -> None:
    house.jobs.create_transform(SPEC, principal=ME)
    with house.records.transaction() as tx:
        tx.remove(Kind.MODEL, "flights-1")
    house.run()
    assert house.jobs.describe("score").status.failure_reason == "model 'flights-1' does not exist any more"
    assert house.engine.started == []


@pytest.mark.parametrize(
    ("change", "error", "complaint"),
    [
        ({"transform_job_name": "my_job"}, InvalidInput, "'my_job' is not allowed"),
        ({"model_name": "flights:9"}, NotFound, "flights:9"),
        ({"model_name": "boats"}, NotFound, "'boats'"),
        ({"transform_output": TransformOutput("/out", "image/png")}, InvalidInput, "image/png"),
        ({"data_processing": DataProcessing("Output")}, InvalidInput, "join source"),
    ],
)
def test_wish_that_cannot_come_true_is_refused_at_once(house: House, change, error, complaint) -> None:
    with pytest.raises(error, match=complaint):
        house.jobs.create_transform(replace(SPEC, **change), principal=ME)
    assert house.jobs.list().items == ()


def test_other_refusals(house: House) -> None:
    with pytest.raises(InvalidInput, match="at least 0"):
        house.jobs.create_transform(SPEC, -1, principal=ME)
    house.jobs.create_transform(SPEC, principal=ME)
    with pytest.raises(Conflict, match="exists already"):
        house.jobs.create_transform(SPEC, principal=ME)
    house.registry.set_approval(parse_version("flights:1"), ApprovalStatus.REJECTED, principal=ME)
    with pytest.raises(Refused, match="Rejected"):
        house.jobs.create_transform(replace(SPEC, transform_job_name="again"), principal=ME)
    with pytest.raises(NotFound, match="no job 'none'"):
        house.jobs.describe("none")


def test_monitor_knows_every_variant_whose_captures_lie_there(house: House) -> None:
    house.register("flights", 2)
    house.deploy("air", "flights:1", capture_percent=100.0)
    (house.layout.captures / "air" / "v1").mkdir(parents=True)
    house.deploy("air", "flights:2")
    job = house.jobs.create_monitor("air", datetime(2026, 1, 1, tzinfo=UTC), principal=ME)
    house.run()
    assert told(house, job.name).work == MonitorWork(
        endpoint="air",
        variants={"v1": ("flights:1", house.store_model(1)), "v2": ("flights:2", house.store_model(2))},
        since="2026-01-01T00:00:00+00:00",
    )
    detail = {"conclusion": "nothing drifted"}
    house.engine.finish(house.layout.jobs / job.name, JobResult("Completed", detail=detail))
    house.run()
    assert house.jobs.describe(job.name, kind=Kind.PROCESSING_JOB).status.exit_message == "nothing drifted"
    assert [item.name for item in house.jobs.list(kind=Kind.PROCESSING_JOB).items] == [job.name]
    assert house.jobs.create_monitor("air", principal=ME).name != job.name


def test_monitor_needs_captures_and_a_window(house: House) -> None:
    house.deploy("air", "flights:1")
    with pytest.raises(Conflict, match="captures nothing") as caught:
        house.jobs.create_monitor("air", principal=ME)
    assert caught.value.hint == "turn it on: modelport deploy flights:1 --endpoint air --capture 100%"
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(InvalidInput, match="before it begins"):
        house.jobs.create_monitor("air", now, now, principal=ME)
    with pytest.raises(InvalidInput, match="no zone"):
        house.jobs.create_monitor("air", now.replace(tzinfo=None), principal=ME)
    with pytest.raises(NotFound):
        house.jobs.create_monitor("none", principal=ME)
