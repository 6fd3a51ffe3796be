"""What a job's folder tells about it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from modelport.domain.job import JobStatus
from modelport.domain.planning.job import Outcome
from modelport.durable import fsync_folder, write_durably
from modelport.wire.jobs import (
    JOB_FILE,
    LOG_FILE,
    PROGRESS_FILE,
    RESULT_FILE,
    JobFile,
    JobResult,
    Progress,
    Work,
)

LOG_BYTES_MAX = 256 << 10
LAST_WORDS_BYTES = 4 << 10
CONCLUSION = "conclusion"
"""Key of a result's detail that holds what the job found, in a sentence."""


def write_job(folder: Path, name: str, work: Work) -> None:
    """Make a job's folder and write down what to do; nothing happens where that stands already."""
    content = msgspec.json.encode(JobFile(name, work))
    path = folder / JOB_FILE
    if path.is_file() and path.read_bytes() == content:
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    fsync_folder(folder.parent)
    write_durably(path, content)


def read_result(folder: Path) -> JobResult | None:
    """Return how a job ended; None while it has not."""
    try:
        return msgspec.json.decode((folder / RESULT_FILE).read_bytes(), type=JobResult)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def read_outcome(folder: Path) -> Outcome | None:
    """Return how a job ended, as planners see it; None while it has not."""
    result = read_result(folder)
    if result is None:
        return None
    conclusion = result.detail.get(CONCLUSION)
    return Outcome(
        status=JobStatus(result.status),
        failure_reason=result.failure_reason,
        conclusion=conclusion if isinstance(conclusion, str) else None,
        detail=result.detail,
    )


def forget_result(folder: Path) -> None:
    """Remove the result of a job that is to go on."""
    (folder / RESULT_FILE).unlink(missing_ok=True)


def read_progress(folder: Path) -> Progress:
    """Return how far a job is, as it last said; nothing done when it has not said yet."""
    result = read_result(folder)
    if result is not None:
        return result.progress
    try:
        return msgspec.json.decode((folder / PROGRESS_FILE).read_bytes(), type=Progress)
    except (FileNotFoundError, msgspec.DecodeError):
        return Progress()


def read_log(folder: Path, bytes_max: int = LOG_BYTES_MAX) -> str:
    """Return the end of what a job wrote to its log."""
    try:
        with (folder / LOG_FILE).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - bytes_max))
            return file.read(bytes_max).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def read_last_words(folder: Path) -> str:
    """Return the last line of a job's log that is not empty."""
    lines = [line.strip() for line in read_log(folder, LAST_WORDS_BYTES).splitlines()]
    return next((line for line in reversed(lines) if line), "")
