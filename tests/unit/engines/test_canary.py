"""What a first load says, and what is told from how it ended."""

from __future__ import annotations

import os
import sys
import time

import pytest

from modelport.engines.canary import CanaryLimits, read_outcome, run_canary

LIMITS = CanaryLimits(timeout_s=10.0, memory_bytes=1 << 30)


def run(program: str, limits: CanaryLimits = LIMITS) -> str | None:
    return run_canary([sys.executable, "-c", program], limits, dict(os.environ)).reason


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import os; os.abort()", "aborted the process"),
        ("import ctypes; ctypes.string_at(0)", "segmentation fault"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "memory ran out"),
        ("raise SystemExit('the graph is odd')", "exit code 1 and no answer: the graph is odd"),
        ("import json; print(json.dumps({'reason': 'no such operator'}))", "no such operator"),
        ("print('not json')", "exit code 0 and no answer"),
    ],
)
def test_reason_is_told_in_words(program: str, words: str) -> None:
    started = time.monotonic()
    reason = run(program)
    assert reason is not None
    assert words in reason
    assert time.monotonic() - started < 5


def test_a_model_that_works_has_no_reason() -> None:
    assert run("""print('talk'); print('{"reason": null}')""") is None


def test_hanging_model_is_ended_with_its_group_at_the_limit() -> None:
    started = time.monotonic()
    reason = run("import time; time.sleep(60)", CanaryLimits(timeout_s=0.3, memory_bytes=1 << 30))
    assert reason == "it did not load and answer once within 0.3 s"
    assert time.monotonic() - started < 5


def test_memory_limit_holds() -> None:
    program = (
        "import json; from modelport.engines.canary import CanaryLimits, limit_this_process\n"
        "limit_this_process(CanaryLimits(timeout_s=5, memory_bytes=256 << 20))\n"
        "try:\n    bytearray(1 << 30)\nexcept MemoryError:\n    print(json.dumps({'reason': 'too big'}))"
    )
    assert run(program) == "too big"


def test_a_canary_ends_by_itself_when_nobody_is_left_to_end_it() -> None:
    program = (
        "import time; from modelport.engines import canary\n"
        "canary.ALARM_AFTER_S = 0.0\n"
        "canary.limit_this_process(canary.CanaryLimits(timeout_s=0.2, memory_bytes=1 << 30))\n"
        "time.sleep(60)"
    )
    assert run(program) == "it did not load and answer once in time"


def test_long_complaints_are_shortened() -> None:
    reason = read_outcome(-6, b"", b"x" * 10_000).reason
    assert reason is not None
    assert len(reason) <= 500
