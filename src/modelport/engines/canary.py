"""The first load of a model, or the first look into an archive, in a process with limits that may die of it.

That process prints one JSON object as its last line: `{"reason": null, …}` or `{"reason": "…"}`. What
it cannot say itself (an abort, a segmentation fault, silence) is told from how it ended.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REASON_LENGTH_MAX = 500
ALARM_AFTER_S = 1.0
_OUTCOMES = {
    signal.SIGABRT: "it aborted the process that loaded it",
    signal.SIGSEGV: "it crashed the process that loaded it (segmentation fault)",
    signal.SIGBUS: "it crashed the process that loaded it (bus error)",
    signal.SIGILL: "it crashed the process that loaded it (illegal instruction)",
    signal.SIGFPE: "it crashed the process that loaded it (arithmetic fault)",
    signal.SIGKILL: "the process that loaded it was killed, most likely because memory ran out",
    signal.SIGXCPU: "it used up its processor time while loading",
    signal.SIGALRM: "it did not load and answer once in time",
}


@dataclass(frozen=True, slots=True)
class CanaryLimits:
    """What the first load of a model may use.

    Args:
        timeout_s: Seconds, by the clock and of processor time for each core.
        memory_bytes: Address space.
    """

    timeout_s: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a canary ended: `reason` in plain words, or None and what it `said`."""

    reason: str | None
    said: Mapping[str, Any] = field(default_factory=dict)


def run_canary(command: Sequence[str], limits: CanaryLimits, environment: Mapping[str, str]) -> Outcome:
    """Do something that may go wrong in a process that may die of it.

    Args:
        command: Program and arguments.
        limits: The time it may take; it sets its memory limit itself, by `limit_this_process`.
        environment: Its variables.

    Returns:
        What became of it.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            said, complained = process.communicate(timeout=limits.timeout_s)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return Outcome(f"it did not load and answer once within {limits.timeout_s:g} s")
    return read_outcome(process.returncode, said, complained)


def read_outcome(code: int, said: bytes, complained: bytes) -> Outcome:
    """Tell from how a canary ended what became of it.

    Args:
        code: Exit code; negative: the signal that ended it.
        said: Its standard output.
        complained: Its standard error.

    Returns:
        What became of it.
    """
    if code >= 0:
        lines = said.decode("utf-8", "replace").strip().splitlines()
        with suppress(json.JSONDecodeError, KeyError, TypeError, IndexError):
            answer = json.loads(lines[-1])
            reason = answer["reason"]
            return Outcome(None, answer) if reason is None and code == 0 else _failed(str(reason))
    last = complained.decode("utf-8", "replace").strip().splitlines()[-1:]
    detail = f": {last[0]}" if last else ""
    if code >= 0:
        return _failed(f"the process that loaded it ended with exit code {code} and no answer{detail}")
    try:
        number = signal.Signals(-code)
    except ValueError:
        return Outcome(f"signal {-code} ended the process that loaded it")
    outcome = _OUTCOMES.get(number, f"{number.name} ended the process that loaded it")
    return _failed(outcome + detail)


def limit_this_process(limits: CanaryLimits) -> None:
    """Bound what this process may use, for good: memory, processor time, no core file.

    When the machine itself runs out of memory, this process is to be the first to go. When whoever
    started it is gone and cannot end it, an alarm does.
    """
    signal.setitimer(signal.ITIMER_REAL, limits.timeout_s + ALARM_AFTER_S)
    seconds = int(limits.timeout_s * (os.cpu_count() or 1)) + 1
    for kind, amount in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, limits.memory_bytes),
    ):
        _, hard = resource.getrlimit(kind)
        allowed = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
        with suppress(ValueError, OSError):  # macOS knows no limit of the address space
            resource.setrlimit(kind, (allowed, hard))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _failed(reason: str) -> Outcome:
    return Outcome(reason if len(reason) <= REASON_LENGTH_MAX else reason[: REASON_LENGTH_MAX - 1] + "…")
