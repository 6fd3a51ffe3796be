"""The loop: start what is due, notice what became ready, bring back what died, stop when asked."""

from __future__ import annotations

import os
import selectors
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from modelport.domain.clock import Clock
from modelport.domain.errors import ModelportError
from modelport.supervisor.child import Child
from modelport.supervisor.table import ProcessSpec, ProcessState, ProcessView, restart_delay

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LOG_TAIL_BYTES = 2000
ENDED_WELL = "exit 0"
HOPELESS = ("exit 2", "exit 4")
"""Ends before the first ready that trying again cannot change: a wrong setting, a refusal."""


@dataclass(slots=True)
class _Line:
    """A line of the table, as it changes."""

    spec: ProcessSpec
    since: datetime
    state: ProcessState = ProcessState.WAITING
    child: Child | None = None
    due: float = 0.0
    ready_at: float | None = None
    ever_ready: bool = False
    deaths: int = 0
    restarts: int = 0
    last_exit: str | None = None

    def view(self) -> ProcessView:
        pid = self.child.pid if self.child else None
        return ProcessView(self.spec.name, self.state, pid, self.restarts, self.since, self.last_exit)


@dataclass(frozen=True, slots=True)
class Hooks:
    """Whom the loop tells.

    Args:
        publish: Gets the table after each change.
        ready: Called once, when every process has been ready.
        say: Gets a line for people when a process dies.
    """

    publish: Callable[[list[ProcessView]], None]
    ready: Callable[[], None]
    say: Callable[[str], None]


class Supervisor:
    """Keeps the processes of a table running until a stop signal.

    Args:
        specs: The table.
        clock: Time.
        hooks: Whom to tell.
        grace_s: Seconds between SIGTERM and SIGKILL when stopping.
        first_deaths_max: Deaths in a row of a process that was never ready, after which the start fails.
        stop_on_eof: A descriptor whose end of file stops the platform like SIGTERM; None for none.
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        *,
        clock: Clock,
        hooks: Hooks,
        grace_s: float,
        first_deaths_max: int = 3,
        stop_on_eof: int | None = None,
    ) -> None:
        self._clock = clock
        self._hooks = hooks
        self._grace_s = grace_s
        self._first_deaths_max = first_deaths_max
        self._stop_on_eof = stop_on_eof
        self._lines = [_Line(spec, clock.now()) for spec in specs]
        self._selector = selectors.DefaultSelector()
        self._stops_asked = 0
        self._kill_at: float | None = None
        self._announced = False
        self._failure: ModelportError | None = None

    def run(self) -> None:
        """Run until a stop signal came and every process has ended.

        Raises:
            ModelportError: A process died again and again before it was ready for the first time.
        """
        with self._wakeups(), self._selector:
            while True:
                changed = self._start_due() | self._reap() | self._stop()
                if changed:
                    self._hooks.publish([line.view() for line in self._lines])
                self._announce()
                if self._kill_at is not None and not any(line.child for line in self._lines):
                    break
                self._wait()
        if self._failure is not None:
            raise self._failure

    def _start_due(self) -> bool:
        if self._stops_asked:
            return False
        changed = False
        for line in list(self._lines):
            if line.state is ProcessState.WAITING and line.due <= self._clock.monotonic():
                changed = True
                line.ready_at = None
                try:
                    line.child = Child(line.spec)
                except OSError as error:  # no memory, no disk, no descriptors: it may pass
                    self._bring_back(line, f"it cannot be started: {error}")
                    continue
                self._selector.register(line.child.ready_fd, selectors.EVENT_READ, line)
                self._enter(line, ProcessState.STARTING)
        return changed

    def _reap(self) -> bool:
        changed = False
        for line in list(self._lines):
            how = line.child.ended() if line.child else None
            if line.child is None or how is None:
                continue
            changed = True
            with suppress(KeyError):
                self._selector.unregister(line.child.ready_fd)
            line.child.close()
            line.child = None
            if self._stops_asked:
                line.last_exit = how
                self._enter(line, ProcessState.STOPPED)
                continue
            self._bring_back(line, how)
        return changed

    def _bring_back(self, line: _Line, how: str) -> None:
        if line.spec.once:
            self._lines.remove(line)
            if how != ENDED_WELL:
                self._hooks.say(f"{line.spec.name} failed ({how}): {_last_words(line.spec)}")
            return
        line.last_exit = how
        now = self._clock.monotonic()
        was_ready = line.ready_at is not None
        if line.ready_at is not None and now - line.ready_at >= line.spec.restart.stable_s:
            line.deaths = 0
        line.deaths += 1
        if not line.ever_ready and (line.deaths >= self._first_deaths_max or how in HOPELESS):
            self._failure = ModelportError(
                f"{line.spec.name} does not start ({how}): {_last_words(line.spec)}",
                hint=f"see {line.spec.log}",
            )
            self._stops_asked += 1
            self._enter(line, ProcessState.STOPPED)
            return
        line.restarts += 1
        line.due = now + restart_delay(line.spec.restart, line.deaths, was_ready=was_ready)
        self._hooks.say(f"{line.spec.name} ended ({how}); starting it again")
        self._enter(line, ProcessState.WAITING)

    def _stop(self) -> bool:
        """Begin to stop when asked to; finish by force after the grace, or when asked twice."""
        if not self._stops_asked:
            return False
        now = self._clock.monotonic()
        if self._kill_at is None:
            self._kill_at = now + self._grace_s
            for line in self._lines:
                if line.child is not None:
                    line.child.send(signal.SIGTERM)
                    self._enter(line, ProcessState.STOPPING)
                else:
                    self._enter(line, ProcessState.STOPPED)
            return True
        if now >= self._kill_at or self._stops_asked > 1:
            for line in self._lines:
                if line.child is not None:
                    line.child.send(signal.SIGKILL)
        return False

    def _announce(self) -> None:
        ready = all(line.ever_ready or line.spec.once for line in self._lines)
        if ready and not self._announced and not self._stops_asked:
            self._announced = True
            self._hooks.ready()

    def _wait(self) -> None:
        now = self._clock.monotonic()
        moments = [line.due for line in self._lines if line.state is ProcessState.WAITING]
        if self._kill_at is not None:
            # A killed process ends in its own time; SIGCHLD tells, this only bounds the wait.
            moments = [max(self._kill_at, now + 0.05)]
        timeout = max(0.0, min(moments) - now) if moments else None
        changed = False
        for key, _ in self._selector.select(timeout):
            if isinstance(key.data, _Line):
                changed |= self._hear(key.data)
            else:
                key.data()
        if changed:
            self._hooks.publish([line.view() for line in self._lines])

    def _hear(self, line: _Line) -> bool:
        """Read a ready pipe. At its end the process is dying, and SIGCHLD will say so."""
        if line.child is None:
            return False
        ready = line.child.said_ready()
        self._selector.unregister(line.child.ready_fd)
        if ready:
            line.ready_at = self._clock.monotonic()
            line.ever_ready = True
            if line.state is ProcessState.STARTING:
                self._enter(line, ProcessState.RUNNING)
        return ready

    def _enter(self, line: _Line, state: ProcessState) -> None:
        line.state = state
        line.since = self._clock.now()

    @contextmanager
    def _wakeups(self) -> Iterator[None]:
        """Let signals, and the end of the watched descriptor, end the wait of the loop."""
        inner, outer = socket.socketpair()
        inner.setblocking(False)
        outer.setblocking(False)

        def stop(*_: object) -> None:
            self._stops_asked += 1

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
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, drop)
        wakeup_before = signal.set_wakeup_fd(outer.fileno(), warn_on_full_buffer=False)
        self._selector.register(inner, selectors.EVENT_READ, swallow)
        if self._stop_on_eof is not None:
            self._selector.register(self._stop_on_eof, selectors.EVENT_READ, ended)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            inner.close()
            outer.close()


def _last_words(spec: ProcessSpec) -> str:
    """Return the last line a process wrote; where that is a hint, the error before it."""
    try:
        with spec.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
            lines = log.read().decode("utf-8", "replace").strip().splitlines()
    except OSError:
        return "it left no log"
    errors = [line for line in lines[-2:-1] if line.startswith("error: ") and lines[-1].startswith("hint: ")]
    if errors:
        return f"{errors[0].removeprefix('error: ')} ({lines[-1].removeprefix('hint: ')})"
    return lines[-1] if lines else "it said nothing"
