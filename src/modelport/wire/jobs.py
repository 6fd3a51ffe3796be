"""What a job is told, and what it leaves: the files of a job's folder.

jobs/{name}/job.json        what to do (written by control before the start)
jobs/{name}/process.json    which process does it (written by the engine)
jobs/{name}/progress.json   how far it is (replaced by the job about twice a second)
jobs/{name}/result.json     how it ended; durable, and the only truth about the outcome
jobs/{name}/stop            exists when the job was asked to stop
jobs/{name}/log.txt         standard output and error
jobs/{name}/log.marks       when it was how long (written by control)
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

JOB_FILE = "job.json"
PROCESS_FILE = "process.json"
PROGRESS_FILE = "progress.json"
RESULT_FILE = "result.json"
STOP_FILE = "stop"
LOG_FILE = "log.txt"
LOG_MARKS_FILE = "log.marks"


class TransformWork(msgspec.Struct, frozen=True, tag="transform"):
    """Score files.

    Args:
        digest: The model.
        model_version: `NAME:3`.
        input_url: A file, folder or fsspec URL.
        output_url: Folder or fsspec URL to write to.
        output_format: "parquet", "csv" or "jsonl"; None keeps the input's.
        join: Write the input's columns before the predictions.
        failed_rows_max: Rows that may fail before the job does; at least 0.
        input_format: None: told by the file's extension.
    """

    digest: str
    model_version: str
    input_url: str
    output_url: str
    output_format: Literal["parquet", "csv", "jsonl"] | None = None
    join: bool = False
    failed_rows_max: int = 0
    input_format: Literal["parquet", "csv", "jsonl"] | None = None


class MonitorWork(msgspec.Struct, frozen=True, tag="monitor"):
    """Compare captured traffic with the training data, and predictions with labels.

    Args:
        endpoint: Whose captures.
        variants: Variant name to (model version, model digest).
        since: RFC 3339 start of the window in UTC, None: all that is kept.
        until: RFC 3339 end of the window in UTC, None: now.
    """

    endpoint: str
    variants: dict[str, tuple[str, str]]
    since: str | None = None
    until: str | None = None


Work = TransformWork | MonitorWork


class JobFile(msgspec.Struct, frozen=True):
    """`job.json`: name and work."""

    name: str
    work: Work


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """`progress.json`: rows done of rows known, in which phase."""

    rows_done: int = 0
    rows_total: int | None = None
    rows_failed: int = 0
    rows_per_second: float | None = None
    seconds_left: float | None = None
    shards_done: int = 0
    shards_total: int | None = None
    phase: str = ""


class JobResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """`result.json`: how the job ended; `detail` is the kind's own summary."""

    status: Literal["Completed", "Failed", "Stopped"]
    failure_reason: str | None = None
    progress: Progress = msgspec.field(default_factory=Progress)
    detail: dict[str, Any] = msgspec.field(default_factory=dict)
