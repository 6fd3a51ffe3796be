"""Which process it is, also after its number was given to another one.

A pid alone may be recycled; a pid with the time it started, on this boot of the machine, may not.

Source: proc_pid_stat(5), field 22 `starttime`; random(4), `boot_id`.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process, for ever.

    Args:
        pid: Process id.
        started: When it started, as the kernel writes it.
        boot: Which boot of the machine.
    """

    pid: int
    started: str
    boot: str


def identify(pid: int) -> ProcessIdentity | None:
    """Return the identity of a running process; None when there is none, or only its zombie is left."""
    if sys.platform == "linux":
        try:
            stat = (PROC / str(pid) / "stat").read_text("utf-8", "replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The name stands in parentheses and may hold anything; the state follows the last one.
        fields = stat[stat.rindex(")") + 2 :].split()
        state, started = fields[0], fields[19]
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
    else:
        answer = _ask("ps", "-o", "state=,lstart=", "-p", str(pid))
        if not answer:
            return None
        state, started = answer.split(maxsplit=1)
        boot = _ask("sysctl", "-n", "kern.boottime")
    return None if state.startswith(("Z", "X")) else ProcessIdentity(pid, started, boot)


def _ask(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
