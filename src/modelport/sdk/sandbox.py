"""Running one of our modules where it can do no harm: no network, few files, limits; only bytes come out.

Loading a pickle runs whatever code it holds. So it happens in a process of its own, which sees the
interpreter, the libraries and the files it was given, and can write into one folder. Three isolations, best
first; which one was used is told to the user and stands in the proof:

* bubblewrap (Linux): own namespaces, no capabilities, a file system of only what is needed, read-only;
* namespaces (`unshare`, Linux): no network and own processes; files are those of the user;
* limits: memory, time and file size only, where the machine has neither.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from modelport.domain.errors import CheckFailed, InvalidInput, TimedOut

SYSTEM_FOLDERS = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/localtime")
PROBE_TIMEOUT_S = 10.0
LOG_BYTES_MAX = 4000
INHERITED = ("OMP_NUM_THREADS", "LANG", "LC_ALL", "TZ")


class Isolation(StrEnum):
    """What stands between the loaded file and this machine."""

    BUBBLEWRAP = "bubblewrap"
    NAMESPACES = "namespaces"
    LIMITS = "limits"

    @property
    def meaning(self) -> str:
        """Return what it keeps out, in words."""
        return {
            Isolation.BUBBLEWRAP: "no network, no files but the libraries and what it was given",
            Isolation.NAMESPACES: "no network, own processes; it could read and write your files",
            Isolation.LIMITS: "limits of memory and time only; it could reach your files and the network",
        }[self]


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


def find_isolation() -> Isolation:
    """Return the best isolation that works here; each is tried on a command that does nothing."""
    trials = {
        Isolation.BUBBLEWRAP: ("bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"),
        Isolation.NAMESPACES: (*_unshare(), "true"),
    }
    for isolation, command in trials.items():
        if shutil.which(command[0]) and _works(command):
            return isolation
    return Isolation.LIMITS


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
        command = [*_unshare(), *command]
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
    libraries = [sys.prefix, sys.base_prefix, *import_path()]
    seen = dict.fromkeys(path for path in (*SYSTEM_FOLDERS, *libraries) if Path(path).exists())
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    command += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108 - the sandbox's own
    command += ["--ro-bind-try", "/sys/devices/system/cpu", "/sys/devices/system/cpu"]
    for path in (*seen, str(inbox), *(str(path) for path in readable)):
        command += ["--ro-bind", path, path]
    return [*command, "--bind", str(outbox), str(outbox), "--chdir", str(outbox), "--"]


def _unshare() -> tuple[str, ...]:
    return (
        *("unshare", "--user", "--map-root-user", "--net", "--ipc", "--uts"),
        *("--pid", "--fork", "--kill-child", "--mount-proc"),
    )


def _works(command: Sequence[str]) -> bool:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


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
