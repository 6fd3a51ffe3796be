"""The replicas of custom code: which should run, and how those are that do.

Control writes a list that the supervisor reads, and reads the table that the supervisor writes. Both outlive
either, so replicas run on while control is down.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from modelport.control.log_places import announce_logs
from modelport.domain.clock import Clock
from modelport.domain.errors import InvalidInput
from modelport.domain.planning.endpoint import Trial, TrialState
from modelport.domain.planning.replicas import VariantReplicas
from modelport.domain.registry import Code
from modelport.durable import crash_point, write_durably
from modelport.settings import Settings
from modelport.wire.replicas import PREFIX, STARTED, ReplicaSpec, encode_replicas, read_replicas

LOG_TAIL_BYTES = 8_000
REASON_LENGTH_MAX = 500
TIMED_OUT = ("killed by SIGALRM", "exit 142")
OUT_OF_MEMORY = ("killed by SIGKILL", "exit 137")
SAID = "error: "
HINT = "hint: "
SHELLS_SIGNAL = 128

_log = structlog.get_logger("modelport.replicas")


class Replicas:
    """The replicas of a home.

    Args:
        settings: Where the list, the table and the logs lie; how long a start may take.
        clock: Time.
        notify: Tells the supervisor that the list has changed.
    """

    def __init__(self, settings: Settings, clock: Clock, notify: Callable[[], None]) -> None:
        self._layout = settings.layout
        self._start_timeout_s = settings.replica_start_timeout_s
        self._clock = clock
        self._notify = notify
        self._wanted: dict[str, ReplicaSpec] = {}
        self._since: dict[str, datetime] = {}
        self._told = False  # a process before this one may have died between the list and the word
        try:
            self._wanted = {spec.name: spec for spec in read_replicas(self._layout.replicas_file)}
            announce_logs(self._layout.log_marks, self._wanted.values())
        except InvalidInput as error:
            _log.warning("replicas.unreadable", reason=error.message)

    def names(self) -> frozenset[str]:
        """Return the names of those that should run."""
        return frozenset(self._wanted)

    def observe(self) -> Mapping[str, Trial]:
        """Return how those are that should run; one that the supervisor has not heard of is absent."""
        if not self._wanted:
            return {}
        lines = _read_table(self._layout.processes_file)
        return {
            name: self._judge(name, lines[PREFIX + name]) for name in self._wanted if PREFIX + name in lines
        }

    def want(self, runs: Sequence[VariantReplicas], serving: Iterable[str]) -> None:
        """Let these run, those that serve too, and no others.

        Args:
            runs: Replicas to be started, or that run already.
            serving: Names of those that some request may still go to.
        """
        wanted = {name: self._wanted[name] for name in serving if name in self._wanted}
        for run in runs:
            wanted |= {name: self._wanted.get(name) or self._spec(run, name) for name in run.names}
        if wanted == self._wanted:
            if not self._told:
                self._tell()
            return
        now = self._clock.now()
        self._since = {name: self._since.get(name, now) for name in wanted.keys() - self._wanted.keys()} | {
            name: since for name, since in self._since.items() if name in wanted and name in self._wanted
        }
        _log.info(
            "replicas.changed",
            started=sorted(wanted.keys() - self._wanted.keys()),
            ended=sorted(self._wanted.keys() - wanted.keys()),
        )
        self._wanted = wanted
        announce_logs(self._layout.log_marks, wanted.values())
        write_durably(self._layout.replicas_file, encode_replicas([wanted[name] for name in sorted(wanted)]))
        crash_point("replicas.written")
        self._tell()

    def _tell(self) -> None:
        self._told = True
        self._notify()

    def _spec(self, run: VariantReplicas, name: str) -> ReplicaSpec:
        container = run.model.spec.containers[run.step]
        code = run.model.modelport.steps[run.step].code or Code()
        return ReplicaSpec(
            name,
            endpoint=run.endpoint,
            variant=run.variant,
            model=run.model.name,
            image=container.image or "",
            archive=code.archive,
            source=code.source,
            environment=dict(container.environment),
            start_timeout_s=run.start_timeout_s or self._start_timeout_s,
            invocation_timeout_s=run.invocation_timeout_s,
        )

    def _judge(self, name: str, line: Mapping[str, Any]) -> Trial:
        """Return how one is; what happened before it was wanted says nothing."""
        if line["state"] == "running":
            return Trial(TrialState.PASSED)
        wanted_at = self._since.get(name)
        if line["last_exit"] is None or (
            wanted_at is not None and datetime.fromisoformat(line["since"]) < wanted_at
        ):
            return Trial(TrialState.RUNNING)
        return Trial(TrialState.FAILED, self._reason(name, line["last_exit"]))

    def _reason(self, name: str, how: str) -> str:
        if how in TIMED_OUT:
            return f"it was not ready within {self._wanted[name].start_timeout_s:g} s"
        lines = _last_words(self._layout.logs / f"{PREFIX}{name}.log")
        errors = [number for number, line in enumerate(lines) if line.startswith(SAID)]
        if errors:
            told = lines[errors[-1]].removeprefix(SAID)
            hint = "".join(lines[errors[-1] + 1 : errors[-1] + 2])
            return _cut(f"{told}; {hint.removeprefix(HINT)}" if hint.startswith(HINT) else told)
        if how in OUT_OF_MEMORY:
            return "its process was killed, most likely because memory ran out"
        return _cut(f"its process ended ({_spell(how)}): {lines[-1] if lines else 'it said nothing'}")


def _spell(how: str) -> str:
    """Return how a process ended; a sandbox tells a signal as a shell does."""
    code = how.removeprefix("exit ")
    with suppress(ValueError):
        return f"killed by {signal.Signals(int(code) - SHELLS_SIGNAL).name}"
    return how


def _read_table(path: Path) -> dict[str, dict[str, Any]]:
    """Return the supervisor's table by name; empty while there is none."""
    try:
        lines = json.loads(path.read_bytes())["processes"]
    except (FileNotFoundError, ValueError, KeyError):
        return {}
    return {line["name"]: line for line in lines}


def _last_words(log: Path) -> list[str]:
    """Return what a replica's log tells of its last start."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
            lines = [line for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        return []
    starts = [number for number, line in enumerate(lines) if line.startswith(STARTED)]
    return lines[starts[-1] + 1 :] if starts else lines


def _cut(text: str) -> str:
    return text if len(text) <= REASON_LENGTH_MAX else text[: REASON_LENGTH_MAX - 1] + "…"
