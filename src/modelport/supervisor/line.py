"""A line of the process table, as it changes."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from modelport.domain.clock import Clock
from modelport.supervisor.child import Child
from modelport.supervisor.table import ProcessSpec, ProcessState, ProcessView
from modelport.supervisor.upgrade import Heirloom, Replaced


@dataclass(slots=True, eq=False)
class Line:
    """A line of the table.

    Args:
        spec: What should run.
        clock: Time.
        since: When it entered its state.
        state: Where its process stands.
        child: Its process; None while there is none.
        successor: In an upgrade: the next one, while it is not ready.
        predecessor: In an upgrade: the last one, while it finishes what it has.
        due: Monotonic seconds; a waiting line starts then.
        kill_at: Monotonic seconds; a process that was asked to end is killed then.
        ready_at: Monotonic seconds at which the process said so; None before.
        ever_ready: One of its processes has been ready.
        deaths: In a row, of processes that were not asked to end.
        restarts: How often it was started again.
        last_exit: How the last one ended.
        outdated: Its process is of the program that ran before this one.
        replaced_pid: Process id of an outdated one whose successor is not ready yet.
        wanted: It belongs to the table; one that does not any more goes with its process.
    """

    spec: ProcessSpec
    clock: Clock
    since: datetime
    state: ProcessState = ProcessState.WAITING
    child: Child | None = None
    successor: Child | None = None
    predecessor: Child | None = None
    due: float = 0.0
    kill_at: float | None = None
    ready_at: float | None = None
    ever_ready: bool = False
    deaths: int = 0
    restarts: int = 0
    last_exit: str | None = None
    outdated: bool = False
    replaced_pid: int | None = None
    wanted: bool = True

    @property
    def children(self) -> list[Child]:
        """Return all its processes."""
        return [one for one in (self.child, self.successor, self.predecessor) if one is not None]

    @property
    def whole(self) -> bool:
        """Return whether one process of the newest program runs and is ready, and no other."""
        return self.state is ProcessState.RUNNING and not self.outdated and len(self.children) == 1

    def enter(self, state: ProcessState) -> None:
        """Take note of a state that begins now."""
        self.state = state
        self.since = self.clock.now()

    def note_ready(self) -> Replaced | None:
        """Take note that its process is ready; return what that completes."""
        assert self.child is not None  # noqa: S101 - it was heard
        self.ready_at = self.clock.monotonic()
        self.ever_ready = True
        if self.state is ProcessState.STARTING:
            self.enter(ProcessState.RUNNING)
        replaced, self.replaced_pid = self.replaced_pid, None
        return None if replaced is None else Replaced(self.spec.name, replaced, self.child.pid)

    def retire(self, grace_s: float) -> None:
        """Ask its process to end, so that its successor can start."""
        assert self.child is not None  # noqa: S101 - an outdated line has one
        self.replaced_pid = self.child.pid
        self._ask_to_end(self.child, grace_s)
        self.enter(ProcessState.STOPPING)

    def promote(self, *, ready: bool, grace_s: float) -> None:
        """Let its successor be its process; the one before it finishes what it has.

        Args:
            ready: The successor is; else the old one has ended too early.
            grace_s: Seconds the old one may take.
        """
        old, self.child, self.successor = self.child, self.successor, None
        self.outdated = False
        self.enter(ProcessState.RUNNING if ready else ProcessState.STARTING)
        self.ready_at = self.clock.monotonic() if ready else None
        if old is not None:
            self.replaced_pid = old.pid
        if old is not None and ready:
            self.predecessor = old
            self._ask_to_end(old, grace_s)

    def views(self) -> list[ProcessView]:
        """Return how its processes are."""
        pid = self.child.pid if self.child else None
        name = self.spec.name
        found = [ProcessView(name, self.state, pid, self.restarts, self.since, self.last_exit)]
        for child, state in (
            (self.successor, ProcessState.STARTING),
            (self.predecessor, ProcessState.STOPPING),
        ):
            if child is not None:
                found.append(ProcessView(name, state, child.pid, 0, self.since, beside=True))
        return found

    def bequeath(self) -> Heirloom | None:
        """Return its process as another program takes it over; None while there is none."""
        if self.child is None:
            return None
        return Heirloom(
            self.spec.name,
            self.child.pid,
            self.child.ready_fd,
            self.child.tether_fd,
            ready=self.ready_at is not None,
            restarts=self.restarts,
            since=self.since.isoformat(),
            last_exit=self.last_exit,
        )

    @classmethod
    def inherit(cls, spec: ProcessSpec, heirloom: Heirloom, clock: Clock, *, wanted: bool) -> Line:
        """Return the line of a process that another program started.

        Args:
            spec: What should run in its place.
            heirloom: What the other program left.
            clock: Time.
            wanted: The line is still in the table.
        """
        return cls(
            spec,
            clock,
            datetime.fromisoformat(heirloom.since),
            state=ProcessState.RUNNING if heirloom.ready else ProcessState.STARTING,
            child=Child(heirloom.pid, heirloom.ready_fd, heirloom.tether_fd),
            ready_at=clock.monotonic() if heirloom.ready else None,
            ever_ready=True,
            restarts=heirloom.restarts,
            last_exit=heirloom.last_exit,
            outdated=not spec.guest,
            wanted=wanted,
        )

    def _ask_to_end(self, child: Child, grace_s: float) -> None:
        child.send(signal.SIGTERM)
        self.kill_at = self.clock.monotonic() + grace_s


def make_lines(specs: Sequence[ProcessSpec], inherited: Sequence[Heirloom], clock: Clock) -> list[Line]:
    """Return a line for each process that should run, and for each that runs and should not any more.

    Args:
        specs: The table.
        inherited: What another program left.
        clock: Time.
    """
    left = {heirloom.name: heirloom for heirloom in inherited}
    lines = []
    for spec in specs:
        heirloom = left.pop(spec.name, None)
        if heirloom is None:
            lines.append(Line(spec, clock, clock.now()))
        else:
            lines.append(Line.inherit(spec, heirloom, clock, wanted=True))
    return lines + [
        Line.inherit(ProcessSpec(name, ()), heirloom, clock, wanted=False) for name, heirloom in left.items()
    ]
