"""Jobs as processes of this machine, which outlive whoever started them.

A job is one session (and process group) of its own. Its folder tells everything, so that a control
process that starts later finds it again: `process.json` who it is, `lock` held as long as it lives,
`stop` that it should end, `result.json` how it did.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from modelport.domain.clock import Clock
from modelport.durable import crash_point, write_durably
from modelport.engines.canary import CanaryLimits, Outcome, run_canary
from modelport.engines.identity import ProcessIdentity, identify
from modelport.wire.jobs import LOG_FILE, PROCESS_FILE, STOP_FILE

LOCK_FILE = "lock"
POLL_S = 0.02
PRIVATE_VARIABLES = ("MODELPORT_READY_FD", "MODELPORT_TETHER_FD")


class LocalEngine:
    """Runs jobs and first loads of models on this machine.

    Args:
        clock: Time.
        canary_command: Program and arguments that try the model whose digest is added to them.
        archive_command: Program and arguments that look into the archive whose digest is added to them.
        canary_limits: What such a try or look may use.
        job_command: Program and arguments; the job's folder and `--lock-fd N` are added.
        grace_s: Seconds between asking a job to stop and ending it by force.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        canary_command: Sequence[str],
        archive_command: Sequence[str] = (),
        canary_limits: CanaryLimits,
        job_command: Sequence[str] = (sys.executable, "-m", "modelport.bootstrap", "job"),
        grace_s: float = 10.0,
    ) -> None:
        self._clock = clock
        self._canary_command = tuple(canary_command)
        self._archive_command = tuple(archive_command)
        self._canary_limits = canary_limits
        self._job_command = tuple(job_command)
        self._grace_s = grace_s

    def start(self, folder: Path, on_exit: Callable[[], None]) -> None:
        """Start the job of a folder; nothing happens while it runs.

        Args:
            folder: Holds `job.json`.
            on_exit: Called, from a thread of its own, when the process has ended.

        Raises:
            OSError: The process cannot be started.
        """
        if self.alive(folder):
            return
        self._kill_group(folder)
        lock = take_lock(folder)
        if lock is None:  # started by a control process that died before it wrote down whom
            return
        try:
            with (folder / LOG_FILE).open("ab") as log:
                process = subprocess.Popen(
                    (*self._job_command, str(folder), "--lock-fd", str(lock)),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=(lock,),
                    start_new_session=True,
                    env=_environment(),
                )
        finally:
            os.close(lock)  # the job holds it now

        def reap() -> None:  # as soon as there is a status to collect: no zombie, no warning
            process.wait()
            on_exit()

        threading.Thread(target=reap, name=f"reap-{process.pid}", daemon=True).start()
        crash_point("job.spawned")
        record_process(folder, process.pid)

    def alive(self, folder: Path) -> bool:
        """Return whether the folder's job runs, whoever started it."""
        known = _read_process(folder)
        if known is not None and identify(known.pid) == known:
            return True
        # Between its start and its name being written down, only the lock tells. A group that outlived
        # its leader holds the lock too, but it is not the job: `start` ends it.
        return known is None and _locked(folder)

    def stop(self, folder: Path) -> None:
        """Ask a job to stop; when it was asked long ago, end it by force. Call until it is not `alive`.

        Args:
            folder: The job's.
        """
        marker = folder / STOP_FILE
        try:
            asked = marker.stat().st_mtime
        except FileNotFoundError:
            write_durably(marker, b"")
            crash_point("job.stop_written")
            self._signal(folder, signal.SIGTERM)
            return
        if self._clock.now().timestamp() - asked >= self._grace_s:
            self._kill_group(folder)
        else:
            self._signal(folder, signal.SIGTERM)

    def interrupt(self, folders: Iterable[Path]) -> None:
        """Let jobs save what they have and end without a result, so that they are resumed later.

        Args:
            folders: Of jobs that may run. Returns when none does.
        """
        running = [folder for folder in folders if self.alive(folder)]
        for folder in running:
            self._signal(folder, signal.SIGTERM)
        deadline = self._clock.monotonic() + self._grace_s
        while running and self._clock.monotonic() < deadline:
            self._clock.sleep(POLL_S)
            running = [folder for folder in running if self.alive(folder)]
        for folder in running:
            self._kill_group(folder)

    def try_model(self, digest: str) -> str | None:
        """Load and warm up a model once, in a process that it may crash.

        Args:
            digest: SHA-256 of the model's manifest.

        Returns:
            None when it works, else the reason in plain words.
        """
        return self._run_canary(self._canary_command, digest).reason

    def open_archive(self, digest: str, code: str) -> Outcome:
        """Look into an archive, in a process that may die of it, and store the bundle of the model in it.

        Args:
            digest: SHA-256 of the archive.
            code: When it is code of its own instead, which is left unpacked; see `domain.registry.CodeUse`.

        Returns:
            Its `digest` is that of the bundle's manifest; or its `code` is true.
        """
        return self._run_canary((*self._archive_command, "--code", code), digest)

    def _run_canary(self, command: Sequence[str], digest: str) -> Outcome:
        return run_canary((*command, digest), self._canary_limits, _environment())

    def _signal(self, folder: Path, number: signal.Signals) -> None:
        known = _read_process(folder)
        if known is not None and identify(known.pid) == known:
            with suppress(ProcessLookupError):
                os.kill(known.pid, number)

    def _kill_group(self, folder: Path) -> None:
        """Kill the job's whole process group, also one whose leader has already ended.

        The kernel does not reuse a pid while a group is named after it, so a group without a leader is ours.
        """
        known = _read_process(folder)
        if known is None or identify(known.pid) not in (None, known):
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(known.pid, signal.SIGKILL)


def record_process(folder: Path, pid: int) -> None:
    """Write down which process does the job; nothing happens when it has ended, or stands there."""
    identity = identify(pid)
    if identity is not None and identity != _read_process(folder):
        write_durably(folder / PROCESS_FILE, msgspec.json.encode(identity))
        crash_point("job.process_written")


def take_lock(folder: Path) -> int | None:
    """Return a descriptor that holds the job's lock until every copy of it is closed; None when held."""
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _locked(folder: Path) -> bool:
    if not (folder / LOCK_FILE).exists():
        return False
    descriptor = take_lock(folder)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def _read_process(folder: Path) -> ProcessIdentity | None:
    try:
        return msgspec.json.decode((folder / PROCESS_FILE).read_bytes(), type=ProcessIdentity)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _environment() -> dict[str, str]:
    """Return the environment of a child, without what was meant for this process alone."""
    return {name: value for name, value in os.environ.items() if name not in PRIVATE_VARIABLES}
