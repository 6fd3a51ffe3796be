"""One job: its work done, its outcome left in its folder."""

from __future__ import annotations

import os
import signal
import traceback
from pathlib import Path

import msgspec

from modelport.bootstrap.home import saved_settings
from modelport.domain.clock import SystemClock
from modelport.domain.errors import Conflict, NotFound
from modelport.durable import crash_point, write_durably
from modelport.engines.local import record_process, take_lock
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.wire.jobs import JOB_FILE, RESULT_FILE, STOP_FILE, JobFile, JobResult, TransformWork


def run(folder: Path, lock_fd: int | None = None) -> int:
    """Do the work of a job's folder and leave its result there.

    A job that is interrupted (SIGTERM without a stop file) leaves none, and is resumed by its next start.

    Args:
        folder: The job's.
        lock_fd: Holds the job's lock already; None: take it.

    Returns:
        The exit code: 1 when the job failed.

    Raises:
        Conflict: Another process does this job.
        NotFound: There is no job in this folder.
    """
    folder = folder.absolute()
    if not (folder / JOB_FILE).is_file():
        raise NotFound(f"no job in {folder}", hint="expected a folder of HOME/jobs")
    lock = take_lock(folder) if lock_fd is None else lock_fd
    if lock is None:
        raise Conflict(
            f"another process does the job in {folder}", hint="`modelport jobs` shows how far it is"
        )
    os.set_inheritable(lock, False)
    record_process(folder, os.getpid())
    asked = Asked()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, asked.ask)
    if (folder / RESULT_FILE).exists():  # the last one died just after it had finished
        return 0
    try:
        result = _work(folder, asked)
    except Exception as error:  # noqa: BLE001 - whatever happened, it is this job's outcome
        traceback.print_exc()
        result = JobResult("Failed", f"{type(error).__name__}: {error}")
    if result.status == "Stopped" and not (folder / STOP_FILE).exists():
        return 0
    crash_point("job.before_result")
    write_durably(folder / RESULT_FILE, msgspec.json.encode(result))
    crash_point("job.after_result")
    return 1 if result.status == "Failed" else 0


class Asked:
    """Whether a signal asked this process to stop."""

    def __init__(self) -> None:
        self._asked = False

    def ask(self, *_: object) -> None:
        """Note it; a signal handler."""
        self._asked = True

    def is_set(self) -> bool:
        """Return whether it was asked."""
        return self._asked


def _work(folder: Path, asked: Asked) -> JobResult:
    work = msgspec.json.decode((folder / JOB_FILE).read_bytes(), type=JobFile).work
    settings, clock = saved_settings(folder.parent.parent), SystemClock()
    artifacts = LocalArtifacts(settings.layout.artifacts)
    if isinstance(work, TransformWork):
        from modelport.jobs import transform  # a job imports its own body only

        memory = settings.batch_memory_bytes
        return transform.run(
            work, folder, artifacts, clock, stop=asked, memory_bytes=memory, kernels=settings.kernels
        )
    from modelport.jobs import monitor

    return monitor.run(work, folder, settings.layout, artifacts, clock, stop=asked)
