"""A job's process: its outcome is the file it leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from modelport.bootstrap import job, program
from modelport.bootstrap.home import make_folders
from modelport.domain.errors import Conflict, NotFound
from modelport.engines.local import take_lock
from modelport.settings import Settings
from modelport.wire.jobs import JOB_FILE, RESULT_FILE, JobFile, JobResult, TransformWork


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    layout = Settings(home=tmp_path).layout
    make_folders(layout)
    made = layout.jobs / "scoring"
    made.mkdir()
    work = TransformWork("0" * 64, "flights:1", str(tmp_path / "in.csv"), str(tmp_path / "out.csv"))
    (made / JOB_FILE).write_bytes(msgspec.json.encode(JobFile("scoring", work)))
    return made


def read_result(folder: Path) -> JobResult:
    return msgspec.json.decode((folder / RESULT_FILE).read_bytes(), type=JobResult)


@pytest.mark.processes
def test_failure_is_an_outcome_with_its_reason(folder: Path) -> None:
    done = subprocess.run(program("job", str(folder)), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    result = read_result(folder)
    assert result.status == "Failed"
    assert "no artifact" in str(result.failure_reason)


@pytest.mark.processes
def test_work_that_cannot_be_read_is_a_failure_too(folder: Path) -> None:
    (folder / JOB_FILE).write_text('{"name": "x", "work": {"type": "unheard-of"}}')
    done = subprocess.run(program("job", str(folder)), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "unheard-of" in str(read_result(folder).failure_reason)


@pytest.mark.processes
def test_a_finished_job_is_not_done_again(folder: Path) -> None:
    whole = msgspec.json.encode(JobResult("Completed"))
    (folder / RESULT_FILE).write_bytes(whole)
    assert subprocess.run(program("job", str(folder)), check=False).returncode == 0
    assert (folder / RESULT_FILE).read_bytes() == whole


def test_a_job_that_runs_is_not_done_twice(folder: Path) -> None:
    lock = take_lock(folder)
    assert lock is not None
    try:
        with pytest.raises(Conflict, match="another process"):
            job.run(folder)
    finally:
        os.close(lock)


def test_a_folder_without_a_job_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        job.run(tmp_path)


def test_programs_are_started_by_this_python() -> None:
    assert program("job", "x") == (sys.executable, "-m", "modelport.bootstrap", "job", "x")
