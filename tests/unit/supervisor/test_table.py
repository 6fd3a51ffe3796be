"""When a dead process comes back."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from modelport.supervisor.table import (
    ProcessState,
    ProcessView,
    RestartPolicy,
    restart_delay,
    table_document,
)

POLICY = RestartPolicy(first_delay_s=0.1, ready_delay_max_s=1.0, delay_max_s=30.0)


def test_first_death_is_answered_at_once() -> None:
    assert restart_delay(POLICY, 1, was_ready=True) == 0.0
    assert restart_delay(POLICY, 1, was_ready=False) == 0.0


def test_waits_double_up_to_the_limit() -> None:
    assert [restart_delay(POLICY, deaths, was_ready=False) for deaths in (2, 3, 4, 5)] == [0.1, 0.2, 0.4, 0.8]
    assert restart_delay(POLICY, 500, was_ready=False) == 30.0


@given(deaths=st.integers(1, 1000), was_ready=st.booleans())
def test_a_process_that_worked_is_back_soon(*, deaths: int, was_ready: bool) -> None:
    delay = restart_delay(POLICY, deaths, was_ready=was_ready)
    assert 0 <= delay <= (POLICY.ready_delay_max_s if was_ready else POLICY.delay_max_s)
    assert delay <= restart_delay(POLICY, deaths + 1, was_ready=was_ready)


def test_document_names_every_process() -> None:
    view = ProcessView("control", ProcessState.RUNNING, 12, 3, datetime(2026, 1, 2, tzinfo=UTC), "exit 1")
    assert table_document(7, "1.2", [view], None) == {
        "pid": 7,
        "version": "1.2",
        "upgrade": None,
        "processes": [
            {
                "name": "control",
                "state": "running",
                "pid": 12,
                "restarts": 3,
                "since": "2026-01-02T00:00:00+00:00",
                "last_exit": "exit 1",
                "beside": False,
            }
        ],
    }
