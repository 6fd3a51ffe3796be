"""What stands between code that nobody here wrote and this machine.

Three ways, best first:

* bubblewrap (Linux): own namespaces, no capabilities, a file system of only what is needed, read-only;
* namespaces (`unshare`, Linux): no network and own processes; files are those of the user;
* limits: memory, time and file size only, where the machine has neither.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

SYSTEM_FOLDERS = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/localtime")
PROBE_TIMEOUT_S = 10.0
MOUNTED_UNDER = "/opt"


class Isolation(StrEnum):
    """What stands between the code and this machine."""

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


def find_isolation() -> Isolation:
    """Return the best isolation that works here; each is tried on a command that does nothing."""
    trials = {
        Isolation.BUBBLEWRAP: ("bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"),
        Isolation.NAMESPACES: (*unshare_command(), "true"),
    }
    for isolation, command in trials.items():
        if shutil.which(command[0]) and _works(command):
            return isolation
    return Isolation.LIMITS


def bubblewrap_command(readable: Iterable[str], *, network: bool = False) -> list[str]:
    """Return the beginning of a command that runs in a file system of its own; `--` and a program end it.

    Args:
        readable: Files and folders it sees where they are, read-only; those that are not there are left out.
        network: It sees this machine's network.
    """
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    command += ["--share-net"] if network else []
    command += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108 - the sandbox's own
    command += ["--ro-bind-try", "/sys/devices/system/cpu", "/sys/devices/system/cpu"]
    for path in dict.fromkeys((*SYSTEM_FOLDERS, *readable)):
        if Path(path).exists():
            command += ["--ro-bind", path, path]
    return command


def unshare_command(*, network: bool = False) -> tuple[str, ...]:
    """Return the beginning of a command that runs in namespaces of its own.

    Args:
        network: It sees this machine's network.
    """
    return (
        *("unshare", "--user", "--map-root-user", *(() if network else ("--net",)), "--ipc", "--uts"),
        *("--pid", "--fork", "--kill-child", "--mount-proc"),
    )


def mounting_command(mounts: Mapping[str, Path]) -> list[str]:
    """Return the beginning of a command that sees folders elsewhere, inside `unshare_command`.

    Args:
        mounts: Where, below /opt, to which folder. The rest of /opt is hidden.
    """
    script = f"mount -t tmpfs tmpfs {MOUNTED_UNDER}"
    folders: list[str] = []
    for number, (goal, folder) in enumerate(mounts.items(), start=1):
        script += f' && mkdir -p {goal} && mount --bind "${{{number}}}" {goal}'
        script += f" && mount -o remount,bind,ro {goal}"
        folders.append(str(folder))
    shift = f" && shift {len(folders)}" if folders else ""
    return ["sh", "-c", f'{script}{shift} && exec "$@"', "sh", *folders]


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
