"""The process table: what should run, how it is, and when a dead one comes back. Pure.

waiting ──▶ starting ──▶ running ──▶ stopping ──▶ stopped
   ▲            │           │
   └────────────┴───────────┘   died: waits for `restart_delay`, then starts again
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from modelport.supervisor.upgrade import Upgrade


class ProcessState(StrEnum):
    """Where a process of the table stands."""

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How soon a process that died is started again. The first time it is at once.

    Args:
        first_delay_s: Seconds before the second restart in a row; doubles with each further one.
        ready_delay_max_s: Longest wait where the process had been ready: it works, so it is wanted back.
        delay_max_s: Longest wait where it died before it was ready.
        stable_s: Seconds of being ready after which earlier deaths are forgotten.
    """

    first_delay_s: float = 0.1
    ready_delay_max_s: float = 1.0
    delay_max_s: float = 30.0
    stable_s: float = 5.0


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One line of the table.

    Args:
        name: Unique, for people and for its log file.
        argv: Program and arguments.
        fds: Inherited descriptors, under the same numbers.
        env: Variables on top of the supervisor's own.
        log: File for its standard output and error.
        restart: When it comes back.
        overlaps: In an upgrade its successor runs beside it until that one is ready; else it ends first.
        once: It does one thing and ends; the others are ready without it, and it does not come back.
        guest: It is not the platform's own, but code that somebody wants to run here: the others are ready
            without it, and its failing start stops nothing; an upgrade leaves it as it is; it is ended last
            and by force, when nobody is left who could ask it.
    """

    name: str
    argv: tuple[str, ...]
    fds: tuple[int, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    log: Path = Path("/dev/null")
    restart: RestartPolicy = RestartPolicy()
    overlaps: bool = False
    once: bool = False
    guest: bool = False


@dataclass(frozen=True, slots=True)
class ProcessView:
    """How one process is.

    Args:
        name: Its name in the table.
        state: Where it stands.
        pid: Process id, None while there is none.
        restarts: How often it was started again.
        since: When it entered this state, UTC.
        last_exit: How the last one before it ended, for people; None when none did.
        beside: It is not the one of its name that counts: in an upgrade, a successor that is not ready yet
            or a predecessor that finishes what it has.
    """

    name: str
    state: ProcessState
    pid: int | None
    restarts: int
    since: datetime
    last_exit: str | None = None
    beside: bool = False


def restart_delay(policy: RestartPolicy, deaths: int, *, was_ready: bool) -> float:
    """Return the seconds to wait before the next start.

    Args:
        policy: The process's policy.
        deaths: Deaths in a row, this one included; at least 1.
        was_ready: It had been ready before it died.
    """
    if deaths <= 1:
        return 0.0
    longest = policy.ready_delay_max_s if was_ready else policy.delay_max_s
    return float(min(policy.first_delay_s * 2 ** min(deaths - 2, 30), longest))


def table_document(
    supervisor_pid: int, version: str, views: list[ProcessView], upgrade: Upgrade | None
) -> dict[str, Any]:
    """Return what `run/processes.json` holds: who supervises, what runs, how far the last upgrade is."""
    return {
        "pid": supervisor_pid,
        "version": version,
        "upgrade": upgrade.document() if upgrade else None,
        "processes": [{**asdict(view), "since": view.since.isoformat()} for view in views],
    }
