"""kill -9 of everything that runs, at random moments during work."""

from __future__ import annotations

import os
import signal
import time

import pytest

from fakes.harm import (
    CONNECTIONS,
    ENDPOINT,
    kill_repeatedly,
    kill_supervisor_repeatedly,
    rounds,
    serve_truthfully,
)
from fakes.platform import Platform
from fakes.truthful import TruthfulLoad

pytestmark = pytest.mark.processes
BACK_WITHIN_S = 15.0  # three times the promise, for a busy machine; bench/kills.py measures the promise


def test_a_killed_worker_costs_the_requests_it_held_and_no_more(platform: Platform) -> None:
    serve_truthfully(platform)
    times = rounds(3)
    harm = kill_repeatedly(platform, "inference-0", times)
    assert max(harm.back_after_s) < BACK_WITHIN_S
    assert harm.load.misrouted == []
    assert set(harm.load.failed) <= {"lost: ConnectionResetError", "lost: closed without an answer"}
    assert sum(harm.load.failed.values()) <= times * CONNECTIONS
    assert harm.lost == []


def test_a_killed_control_process_loses_no_wish_and_no_request(platform: Platform) -> None:
    serve_truthfully(platform)
    harm = kill_repeatedly(platform, "control", rounds(3))
    assert max(harm.back_after_s) < BACK_WITHIN_S
    assert (harm.load.failed, harm.load.misrouted) == ({}, [])
    assert harm.lost == []
    assert harm.acknowledged > 0


def test_after_a_killed_supervisor_nothing_is_left_and_the_next_serves_at_once(platform: Platform) -> None:
    serve_truthfully(platform)
    harm = kill_supervisor_repeatedly(platform, rounds(2))
    assert max(harm.back_after_s) < BACK_WITHIN_S
    assert harm.lost == []
    assert harm.acknowledged > 0


def test_workers_serve_without_control_also_across_their_own_restart(platform: Platform) -> None:
    serve_truthfully(platform)
    control = platform.pid("control")
    os.kill(control, signal.SIGSTOP)  # silent, and not restarted: worse than dead
    try:
        for name in ("inference-0", "inference-1"):
            assert platform.kill_process(name) < BACK_WITHIN_S
        with TruthfulLoad(platform.inference_url, ENDPOINT) as load:
            time.sleep(0.5)
        assert (load.report.failed, load.report.misrouted) == ({}, [])
        assert load.report.answered > 0
    finally:
        os.kill(control, signal.SIGCONT)
    assert platform.settled(ENDPOINT)["status"]["endpoint_status"] == "InService"
