"""The loop: start what is due, notice what became ready, bring back what died, replace, stop when asked."""

from __future__ import annotations

import os
import selectors
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from modelport.domain.clock import Clock
from modelport.domain.errors import ModelportError
from modelport.supervisor.child import Child, last_words
from modelport.supervisor.line import Line, make_lines
from modelport.supervisor.table import ProcessSpec, ProcessState, ProcessView, restart_delay
from modelport.supervisor.upgrade import Upgrade
from modelport.supervisor.upgrading import GUESTS_SIGNAL, UPGRADE_SIGNAL, Succession, Upgrading

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ENDED_WELL = "exit 0"
HOPELESS = ("exit 2", "exit 4")
"""Ends before the first ready that trying again cannot change: a wrong setting, a refusal."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """Whom the loop tells.

    Args:
        publish: Gets the table, and the last upgrade, after each change.
        ready: Called once, when every process has been ready.
        say: Gets a line for people when a process dies.
        stopping: Called once, before the processes are asked to stop.
    """

    publish: Callable[[list[ProcessView], Upgrade | None], None]
    ready: Callable[[], None]
    say: Callable[[str], None]
    stopping: Callable[[], None] = lambda: None


class Supervisor:
    """Keeps the processes of a table running until a stop signal.

    Args:
        specs: The table.
        clock: Time.
        hooks: Whom to tell.
        guests: Returns the guests that should run beside them; asked at the start and at SIGUSR1.
        grace_s: Seconds between SIGTERM and SIGKILL.
        first_deaths_max: Deaths in a row of a process that was never ready, after which the start fails.
        stop_on_eof: A descriptor whose end of file stops the platform like SIGTERM; None for none.
        succession: How it gives way to a newer program at SIGUSR2, and what an older one left to it.
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        *,
        clock: Clock,
        hooks: Hooks,
        guests: Callable[[], Sequence[ProcessSpec]] = tuple,
        grace_s: float,
        first_deaths_max: int = 3,
        stop_on_eof: int | None = None,
        succession: Succession,
    ) -> None:
        self._clock = clock
        self._hooks = hooks
        self._grace_s = grace_s
        self._first_deaths_max = first_deaths_max
        self._stop_on_eof = stop_on_eof
        self._selector = selectors.DefaultSelector()
        self._guests = guests
        self._guests_asked = False
        self._lines = make_lines([*specs, *self._find_guests(())], succession.inherited, clock)
        self._upgrading = Upgrading(
            self._lines, succession, clock, grace_s=grace_s, say=hooks.say, listen=self._listen
        )
        self._stops_asked = 0
        self._kill_at: float | None = None
        self._announced = succession.upgrade is not None
        self._failure: ModelportError | None = None

    def run(self) -> None:
        """Run until a stop signal came and every process has ended.

        Raises:
            ModelportError: A process died again and again before it was ready for the first time.
        """
        with self._wakeups(), self._selector:
            for line in self._lines:
                self._listen(line, line.child if line.state is ProcessState.STARTING else None)
            self._publish()
            while True:
                if self._welcome() | self._start_due() | self._reap() | self._stop() | self._upgrade():
                    self._publish()
                self._announce()
                if self._kill_at is not None and not self._children():
                    break
                self._wait()
        if self._failure is not None:
            raise self._failure

    # ── Guests ───────────────────────────────────────────────────────────────────────────────────

    def _find_guests(self, otherwise: Sequence[ProcessSpec]) -> Sequence[ProcessSpec]:
        """Return the guests that should run; those there are, where that cannot be learnt."""
        try:
            return self._guests()
        except ModelportError as error:
            self._hooks.say(f"what else should run cannot be read: {error}")
            return otherwise

    def _welcome(self) -> bool:
        """Let the guests come and go, when they changed."""
        if not self._guests_asked or self._stops_asked:
            return False
        self._guests_asked = False
        known = {line.spec.name: line for line in self._lines if line.spec.guest}
        found = self._find_guests([line.spec for line in known.values() if line.wanted])
        wanted = {spec.name: spec for spec in found}
        for name, line in known.items():
            line.wanted = name in wanted
            if line.wanted:
                continue
            if line.child is None:
                self._lines.remove(line)
            else:
                line.enter(ProcessState.STOPPING)
                line.child.send(signal.SIGKILL)
        self._lines += [
            Line(spec, self._clock, self._clock.now()) for name, spec in wanted.items() if name not in known
        ]
        return True

    # ── Starting, dying, coming back ─────────────────────────────────────────────────────────────

    def _start_due(self) -> bool:
        if self._stops_asked:
            return False
        changed = False
        for line in list(self._lines):
            if line.state is ProcessState.WAITING and line.due <= self._clock.monotonic():
                changed = True
                line.ready_at = None
                line.outdated = False
                try:
                    line.child = Child.start(line.spec)
                except OSError as error:  # no memory, no disk, no descriptors: it may pass
                    self._bring_back(line, f"it cannot be started: {error}")
                    continue
                self._listen(line, line.child)
                line.enter(ProcessState.STARTING)
                self._upgrading.note_start(line)
        return changed

    def _reap(self) -> bool:
        changed = False
        for line in list(self._lines):
            now = self._clock.monotonic()
            if line.kill_at is not None and now >= line.kill_at:
                line.kill_at = None
                stopping = line.child if line.state is ProcessState.STOPPING else line.predecessor
                if stopping is not None:
                    stopping.send(signal.SIGKILL)
            if line.predecessor is not None and (how := line.predecessor.ended()) is not None:
                changed = True
                self._forget(line.predecessor)
                line.predecessor, line.last_exit, line.kill_at = None, how, None
            if line.successor is not None and (how := line.successor.ended()) is not None:
                changed = True
                self._forget(line.successor)
                line.successor = None
                self._upgrading.note_death(line, how)
            if line.child is not None and (how := line.child.ended()) is not None:
                changed = True
                self._bury(line, line.child, how)
        return changed

    def _bury(self, line: Line, child: Child, how: str) -> None:
        """Let a process that ended go, and decide what comes after it."""
        self._forget(child)
        if self._stops_asked:
            line.child, line.last_exit = None, how
            line.enter(ProcessState.STOPPED)
        elif not line.wanted:
            self._lines.remove(line)
        elif line.successor is not None:  # it would have been asked to end a moment later
            line.last_exit = how
            line.promote(ready=False, grace_s=self._grace_s)
        elif line.state is ProcessState.STOPPING:  # it was asked to, for its successor; or is wanted again
            line.child, line.kill_at = None, None
            line.last_exit = None if line.spec.guest else how
            line.due = self._clock.monotonic()
            line.enter(ProcessState.WAITING)
        else:
            line.child = None
            if line.outdated:
                line.replaced_pid = child.pid
            elif line.replaced_pid is not None:
                self._upgrading.note_death(line, how)
            self._bring_back(line, how)

    def _bring_back(self, line: Line, how: str) -> None:
        if line.spec.once:
            self._lines.remove(line)
            if how != ENDED_WELL:
                self._hooks.say(f"{line.spec.name} failed ({how}): {last_words(line.spec)}")
            return
        line.last_exit = how
        now = self._clock.monotonic()
        was_ready = line.ready_at is not None
        if line.ready_at is not None and now - line.ready_at >= line.spec.restart.stable_s:
            line.deaths = 0
        line.deaths += 1
        hopeless = line.deaths >= self._first_deaths_max or how in HOPELESS
        if hopeless and not line.ever_ready and not self._announced and not line.spec.guest:
            self._failure = ModelportError(
                f"{line.spec.name} does not start ({how}): {last_words(line.spec)}",
                hint=f"see {line.spec.log}",
            )
            self._stops_asked += 1
            line.enter(ProcessState.STOPPED)
            return
        line.restarts += 1
        line.due = now + restart_delay(line.spec.restart, line.deaths, was_ready=was_ready)
        self._hooks.say(f"{line.spec.name} ended ({how}); starting it again")
        line.enter(ProcessState.WAITING)

    def _stop(self) -> bool:
        """Begin to stop when asked to; finish by force after the grace, or when asked twice."""
        if not self._stops_asked:
            return False
        now = self._clock.monotonic()
        if self._kill_at is None:
            self._kill_at = now + self._grace_s
            self._begin_to_stop()
            return True
        only_guests = all(line.spec.guest for line in self._lines if line.children)
        if only_guests or now >= self._kill_at or self._stops_asked > 1:
            for child in self._children():
                child.send(signal.SIGKILL)
        return False

    def _begin_to_stop(self) -> None:
        """Ask everything of the platform's own to end; guests go when nobody is left who could ask them."""
        self._hooks.stopping()
        self._upgrading.fail("the platform was asked to stop")
        for line in self._lines:
            line.kill_at = None
            line.enter(ProcessState.STOPPING if line.child else ProcessState.STOPPED)
        own = [child for line in self._lines if not line.spec.guest for child in line.children]
        for child in (*own, *self._upgrading.children):
            child.send(signal.SIGTERM)

    def _upgrade(self) -> bool:
        """Take the next step of an upgrade that runs, or begin one that was asked for."""
        return self._upgrading.step(free=self._announced and not self._stops_asked)

    # ── Waiting ──────────────────────────────────────────────────────────────────────────────────

    def _children(self) -> list[Child]:
        found = [child for line in self._lines for child in line.children]
        return [*found, *self._upgrading.children]

    def _publish(self) -> None:
        self._hooks.publish([view for line in self._lines for view in line.views()], self._upgrading.upgrade)

    def _announce(self) -> None:
        ready = all(line.ever_ready or line.spec.once or line.spec.guest for line in self._lines)
        if ready and not self._announced and not self._stops_asked:
            self._announced = True
            self._hooks.ready()

    def _wait(self) -> None:
        now = self._clock.monotonic()
        moments = [line.due for line in self._lines if line.state is ProcessState.WAITING]
        moments += [line.kill_at for line in self._lines if line.kill_at is not None]
        moments += self._upgrading.moments
        if self._kill_at is not None:
            # A killed process ends in its own time; SIGCHLD tells, this only bounds the wait.
            moments = [max(self._kill_at, now + 0.05)]
        timeout = max(0.0, min(moments) - now) if moments else None
        changed = False
        for key, _ in self._selector.select(timeout):
            if isinstance(key.data, tuple):
                changed |= self._hear(*key.data)
            else:
                key.data()
        if changed:
            self._publish()

    def _listen(self, line: Line, child: Child | None) -> None:
        if child is not None:
            self._selector.register(child.ready_fd, selectors.EVENT_READ, (line, child))

    def _hear(self, line: Line, child: Child) -> bool:
        """Read a ready pipe. At its end the process is dying, and SIGCHLD will say so."""
        ready = child.said_ready()
        self._selector.unregister(child.ready_fd)
        if not ready:
            return False
        if child is line.successor:
            line.promote(ready=True, grace_s=self._grace_s)
        if child is line.child:
            self._upgrading.note_ready(line.note_ready())
        return True

    def _forget(self, child: Child) -> None:
        with suppress(KeyError):
            self._selector.unregister(child.ready_fd)
        child.close()

    @contextmanager
    def _wakeups(self) -> Iterator[None]:
        """Let signals, and the end of the watched descriptor, end the wait of the loop."""
        inner, outer = socket.socketpair()
        inner.setblocking(False)
        outer.setblocking(False)

        def stop(*_: object) -> None:
            self._stops_asked += 1

        def upgrade(*_: object) -> None:
            self._upgrading.asked = True

        def welcome(*_: object) -> None:
            self._guests_asked = True

        def drop(*_: object) -> None:
            """Do nothing: the wake-up is what counts."""

        def swallow() -> None:
            with suppress(BlockingIOError):
                inner.recv(4096)

        def ended() -> None:
            if self._stop_on_eof is not None and not os.read(self._stop_on_eof, 4096):
                self._selector.unregister(self._stop_on_eof)
                self._stops_asked = max(self._stops_asked, 1)

        before = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
        before[UPGRADE_SIGNAL] = signal.signal(UPGRADE_SIGNAL, upgrade)
        before[GUESTS_SIGNAL] = signal.signal(GUESTS_SIGNAL, welcome)
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, drop)
        wakeup_before = signal.set_wakeup_fd(outer.fileno(), warn_on_full_buffer=False)
        # The program before this one blocked them until somebody listens.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*STOP_SIGNALS, UPGRADE_SIGNAL, GUESTS_SIGNAL))
        self._selector.register(inner, selectors.EVENT_READ, swallow)
        if self._stop_on_eof is not None:
            self._selector.register(self._stop_on_eof, selectors.EVENT_READ, ended)
        try:
            yield
        finally:
            # They would end this process.
            signal.pthread_sigmask(signal.SIG_BLOCK, (UPGRADE_SIGNAL, GUESTS_SIGNAL))
            signal.set_wakeup_fd(wakeup_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            inner.close()
            outer.close()
