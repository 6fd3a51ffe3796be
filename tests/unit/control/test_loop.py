"""The loop goes on, whatever happens."""

from __future__ import annotations

import threading

import pytest

from fakes.house import HandClock
from modelport.control.loop import PASSES_MAX, Loop, Periodic
from modelport.domain.clock import SystemClock


class Scripted:
    """A reconciler that says how long to rest, and fails where the script says so."""

    def __init__(self, *script: float | Exception) -> None:
        self.script = list(script)
        self.steps = 0
        self.done = threading.Event()

    def step(self) -> float:
        self.steps += 1
        if not self.script:
            self.done.set()
            return 60.0
        said = self.script.pop(0)
        if isinstance(said, Exception):
            raise said
        return said


def loop_of(*reconcilers, wake: threading.Event | None = None) -> Loop:
    return Loop(reconcilers, clock=SystemClock(), wake=wake or threading.Event())


def test_it_passes_until_nobody_has_anything_to_do() -> None:
    one, two = Scripted(0.0, 0.0, 5.0), Scripted(3.0, 9.0, 9.0)
    assert loop_of(one, two).run_until_quiet() == 5.0
    assert (one.steps, two.steps) == (3, 3)


def test_one_that_never_rests_does_not_hold_the_loop_for_ever() -> None:
    restless = Scripted(*[0.0] * 500)
    loop_of(restless).run_until_quiet()
    assert restless.steps == PASSES_MAX


def test_wake_up_is_never_lost_and_a_failure_is_survived() -> None:
    wake = threading.Event()
    scripted = Scripted(60.0, OSError("disk full"), 60.0)
    loop = loop_of(scripted, wake=wake)
    loop.start()
    try:
        while not scripted.done.wait(0.01):
            wake.set()
        assert scripted.steps >= 4
        assert loop.idle_s() < 30
    finally:
        loop.close()


def test_one_that_fails_does_not_hold_up_the_others() -> None:
    failing, other = Scripted(OSError("disk full"), OSError("disk full")), Scripted(0.0, 9.0)
    assert loop_of(failing, other).run_until_quiet() == 1.0
    assert other.steps == 2


def test_it_can_be_closed_before_it_began() -> None:
    loop_of(Scripted()).close()


def test_what_is_periodic_is_done_once_a_period_and_no_sooner() -> None:
    clock, done = HandClock(), []
    periodic = Periodic(lambda: done.append(clock.monotonic()), 10.0, clock)
    assert periodic.step() == 10.0
    clock.turn(4.0)
    assert periodic.step() == pytest.approx(6.0)
    assert len(done) == 1
    clock.turn(6.0)
    assert periodic.step() == 10.0
    assert done[1] - done[0] == pytest.approx(10.0)


def test_what_is_periodic_may_begin_later() -> None:
    clock, done = HandClock(), []
    periodic = Periodic(lambda: done.append(1), 10.0, clock, first_s=30.0)
    assert periodic.step() == pytest.approx(30.0)
    assert not done
    clock.turn(30.0)
    periodic.step()
    assert done == [1]


def test_what_fails_has_its_next_turn_a_period_later() -> None:
    clock = HandClock()

    def fail() -> None:
        raise OSError("disk full")

    periodic = Periodic(fail, 10.0, clock)
    with pytest.raises(OSError, match="disk full"):
        periodic.step()
    assert periodic.step() == pytest.approx(10.0)
