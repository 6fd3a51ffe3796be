"""Doing an upgrade, one step per turn of the loop: check, become the new program, replace one by one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelport.domain.clock import Clock
from modelport.domain.errors import ModelportError
from modelport.supervisor.child import Child, last_words
from modelport.supervisor.line import Line
from modelport.supervisor.table import ProcessSpec, ProcessState
from modelport.supervisor.upgrade import Heirloom, Replaced, Request, Upgrade, UpgradeState

UPGRADE_SIGNAL = signal.SIGUSR2
GUESTS_SIGNAL = signal.SIGUSR1
KEPT_BACK = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, UPGRADE_SIGNAL, GUESTS_SIGNAL)
"""Signals that wait for the new program while the old one becomes it."""


@dataclass(frozen=True, slots=True)
class Succession:
    """How a program gives way to a newer one, and what an older one left to it.

    Args:
        version: Of this program.
        read_request: Returns what was asked for, or raises ModelportError.
        check: Returns what to run to learn whether the new program would start and take over.
        become: Becomes the new program with what is left to it; returns only by raising OSError.
        start_timeout_s: Seconds after which a new process that is not ready fails the upgrade.
        upgrade: The one that made this program run; None: it was started afresh.
        inherited: The processes it left.
    """

    version: str
    read_request: Callable[[], Request]
    check: Callable[[Upgrade, Sequence[Heirloom]], ProcessSpec]
    become: Callable[[Upgrade, Sequence[Heirloom]], None]
    start_timeout_s: float
    upgrade: Upgrade | None = None
    inherited: Sequence[Heirloom] = ()


class Upgrading:
    """The upgrade that runs, or the last one.

    Args:
        lines: The table.
        succession: How to become another program.
        clock: Time.
        grace_s: Seconds between SIGTERM and SIGKILL.
        say: Gets a line for people when it fails.
        listen: Listens to the ready pipe of a line's new process.
    """

    def __init__(
        self,
        lines: list[Line],
        succession: Succession,
        clock: Clock,
        *,
        grace_s: float,
        say: Callable[[str], None],
        listen: Callable[[Line, Child], None],
    ) -> None:
        self._lines = lines
        self._succession = succession
        self._clock = clock
        self._grace_s = grace_s
        self._say = say
        self._listen = listen
        self._check: Child | None = None
        self._check_spec = ProcessSpec("", ())
        self._step_ends_at: float | None = None
        self.upgrade = succession.upgrade
        self.asked = False

    @property
    def children(self) -> list[Child]:
        """Return the process that checks the new program, while there is one."""
        return [] if self._check is None else [self._check]

    @property
    def moments(self) -> list[float]:
        """Return when the loop must look again at the latest, in monotonic seconds."""
        runs = self.upgrade is not None and not self.upgrade.over
        return [self._step_ends_at] if runs and self._step_ends_at is not None else []

    def step(self, *, free: bool) -> bool:
        """Take the next step of the one that runs, or begin one that was asked for.

        Args:
            free: The platform has been ready, and does not stop.

        Returns:
            Whether anything changed.
        """
        if self._check is not None:
            return self._judge(self._check)
        if not free:
            return False
        if self.upgrade is None or self.upgrade.over:
            return self.asked and self._begin()
        return self._replace_next(self.upgrade)

    def fail(self, error: str) -> None:
        """End it; what was not replaced runs on."""
        if self.upgrade is not None and not self.upgrade.over:
            self.upgrade.fail(error)
            self._say(f"the upgrade failed: {error}")

    def note_start(self, line: Line) -> None:
        """Take note that a line's process was started; a successor has a time to be ready in."""
        if line.replaced_pid is not None:
            self._limit_step()

    def note_ready(self, replaced: Replaced | None) -> None:
        """Take note that a process is ready, and which one it replaces."""
        if replaced is not None and self.upgrade is not None:
            self._step_ends_at = None
            self.upgrade.replaced.append(replaced)

    def note_death(self, line: Line, how: str) -> None:
        """Take note that a successor ended before it was ready."""
        self.fail(f"the new {line.spec.name} does not start ({how}): {last_words(line.spec)}")

    # ── The new program ──────────────────────────────────────────────────────────────────────────

    def _begin(self) -> bool:
        """Run the check of the program that is to take over."""
        if any(line.successor or line.predecessor for line in self._lines):
            return False  # the rest of an upgrade that failed
        self.asked = False
        try:
            request = self._succession.read_request()
        except ModelportError as error:
            self._say(f"no upgrade: {error}")
            return False
        self.upgrade = Upgrade(request, self._succession.version)
        try:
            self._check_spec = self._succession.check(self.upgrade, self._heirlooms())
            self._check = Child.start(self._check_spec)
            self._limit_step()
        except OSError as error:
            self.fail(f"the check of the new program cannot be started: {error}")
        return True

    def _judge(self, check: Child) -> bool:
        """Become the new program when its check ended well."""
        how, upgrade = check.ended(), self.upgrade
        if how is None:
            if self._step_is_late():
                self.fail(f"the check of the new program did not end within {self._patience()}")
            if upgrade is None or upgrade.over:
                check.send(signal.SIGKILL)
            return False
        check.close()
        self._check = self._step_ends_at = None
        if upgrade is None or upgrade.over:
            return True
        if how != "exit 0":
            self.fail(f"the new program does not start ({how}): {last_words(self._check_spec)}")
            return True
        upgrade.state = UpgradeState.REPLACING
        try:
            self._become(upgrade)
        except OSError as error:
            self.fail(f"the new program cannot be run: {error}")
        return True

    def _become(self, upgrade: Upgrade) -> None:
        """Become the new program.

        Raises:
            OSError: It cannot be run; everything is as it was.
        """
        heirlooms = self._heirlooms()
        descriptors = [number for heirloom in heirlooms for number in heirloom.descriptors]
        signal.pthread_sigmask(signal.SIG_BLOCK, KEPT_BACK)
        try:
            for descriptor in descriptors:
                os.set_inheritable(descriptor, True)
            self._succession.become(upgrade, heirlooms)
        finally:
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, KEPT_BACK)

    def _heirlooms(self) -> list[Heirloom]:
        found = (line.bequeath() for line in self._lines)
        return [heirloom for heirloom in found if heirloom is not None]

    # ── One after the other ──────────────────────────────────────────────────────────────────────

    def _replace_next(self, upgrade: Upgrade) -> bool:
        """Replace one process after the other; done when every line is whole."""
        moving = [line for line in self._lines if not line.whole and not line.spec.guest]
        if not moving:
            upgrade.state = UpgradeState.DONE
            return True
        if any(line.predecessor is not None for line in moving):
            return False  # one at a time: memory holds the models twice as it is
        line = next((line for line in moving if line.outdated), moving[0])
        if self._step_is_late():
            name, log = line.spec.name, line.spec.log
            self.fail(f"the new {name} was not ready within {self._patience()}; its log is {log}")
            if line.successor is not None:
                line.successor.send(signal.SIGKILL)
            return True
        if line.outdated:
            return self._replace(line)
        if self._step_ends_at is None:
            self._limit_step()
        return False

    def _replace(self, line: Line) -> bool:
        if line.child is None or line.state is ProcessState.STOPPING or line.successor is not None:
            return False  # it is under way
        if not line.wanted or not line.spec.overlaps:
            line.retire(self._grace_s)
            return True
        try:
            line.successor = Child.start(line.spec)
        except OSError as error:
            self.fail(f"the new {line.spec.name} cannot be started: {error}")
            return True
        self._listen(line, line.successor)
        self._limit_step()
        return True

    def _limit_step(self) -> None:
        self._step_ends_at = self._clock.monotonic() + self._succession.start_timeout_s

    def _step_is_late(self) -> bool:
        return self._step_ends_at is not None and self._clock.monotonic() >= self._step_ends_at

    def _patience(self) -> str:
        return f"{self._succession.start_timeout_s:g} s"
