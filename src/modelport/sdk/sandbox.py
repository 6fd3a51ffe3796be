"""Running one of our modules where it can do no harm: no network, few files, limits; only bytes come out.

Loading a pickle runs whatever code it holds. So it happens in a process of its own, which sees the
interpreter, the libraries and the files it was given, and can write into one folder. Which isolation was
used (`engines/isolation.py`) is told to the user and stands in the proof.
"""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from modelport.domain.errors import CheckFailed, InvalidInput, TimedOut
from modelport.engines.isolation import Isolation, bubblewrap_command, unshare_command

LOG_BYTES_MAX = 4000
INHERITED = ("OMP_NUM_THREADS", "LANG", "LC_ALL", "TZ")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a sandboxed process may use.

    Args:
        wall_s: Seconds from start to end.
        memory_bytes: Address space.
        file_bytes: Largest file it may write.
    """

    wall_s: float = 1800.0
    memory_bytes: int = 32 << 30
    file_bytes: int = 4 << 30


def run_sandboxed(
    module: str,
    inbox: Path,
    outbox: Path,
    *,
    isolation: Isolation,
    readable: Sequence[Path] = (),
    limits: Limits | None = None,
) -> None:
    """Run `python -m MODULE INBOX OUTBOX` and wait for its end.

    Args:
        module: One of ours; it calls `apply_limits` first.
        inbox: Folder it reads its task from.
        outbox: The only folder it can write to.
        isolation: How.
        readable: Further files and folders it may read.
        limits: What it may use.

    Raises:
        CheckFailed: It ended with an error of its own; tells its last words.
        TimedOut: It took longer than allowed.
    """
    limits = limits or Limits()
    command = [
        sys.executable,
        *("-I", "-m", module, str(inbox), str(outbox)),
        *(str(limits.memory_bytes), str(limits.file_bytes)),
    ]
    if isolation is Isolation.BUBBLEWRAP:
        command = [*_bubblewrap(inbox, outbox, readable), *command]
    elif isolation is Isolation.NAMESPACES:
        command = [*unshare_command(), *command]
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment |= {"PATH": "/usr/bin:/bin", "HOME": str(outbox), "TMPDIR": str(outbox)}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            cwd=outbox,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(limits.wall_s)
        except subprocess.TimeoutExpired:
            raise TimedOut(
                f"loading and converting the file took longer than {limits.wall_s:.0f} s",
                hint="convert it in Python with modelport.register, where you see what it does",
            ) from None
        finally:
            _end(process)
        if code != 0:
            raise CheckFailed(
                f"the sandboxed process ended with {_reason(code)}: {_last_words(log.fileno())}",
                hint="load the file in Python and use modelport.register, to see the error where it happens",
            )


def apply_limits(memory_bytes: int, file_bytes: int) -> None:
    """Limit this process: memory, size of files, no core dump. Called first by a sandboxed module."""
    for kind, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (allowed, allowed))


def read_out(outbox: int, name: str, bytes_max: int) -> bytes | None:
    """Return a file that the sandboxed process left, or None when there is none.

    Links, pipes and devices are not followed: whoever wrote there is not trusted.

    Args:
        outbox: Descriptor of the folder, opened before the process was started.
        name: File name, one component.
        bytes_max: Largest accepted size.

    Raises:
        InvalidInput: It is no plain file, or too large.
    """
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=outbox)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidInput(f"the sandboxed process left {name!r} as something that is no file") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(descriptor)
        raise InvalidInput(f"the sandboxed process left {name!r} as something that is no file")
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise InvalidInput(f"the sandboxed process left {name!r} larger than {bytes_max} bytes")
    return content


def import_path() -> tuple[str, ...]:
    """Return the folders that modules are found in, without those that would show the user's whole home."""
    home = Path.home()
    return tuple(
        entry for entry in sys.path if entry and Path(entry).is_dir() and not home.is_relative_to(entry)
    )


def _bubblewrap(inbox: Path, outbox: Path, readable: Sequence[Path]) -> list[str]:
    seen = (sys.prefix, sys.base_prefix, *import_path(), str(inbox), *(str(path) for path in readable))
    return [*bubblewrap_command(seen), "--bind", str(outbox), str(outbox), "--chdir", str(outbox), "--"]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the process and its session."""
    with suppress(ProcessLookupError, PermissionError):  # everything of it may be gone already
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _reason(code: int) -> str:
    number = -code if code < 0 else code - 128  # bubblewrap and unshare answer like a shell
    try:
        return f"signal {signal.Signals(number).name}"
    except ValueError:
        return f"exit code {code}"


def _last_words(log: int) -> str:
    size = os.fstat(log).st_size
    text = os.pread(log, LOG_BYTES_MAX, max(0, size - LOG_BYTES_MAX)).decode(errors="replace").strip()
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
