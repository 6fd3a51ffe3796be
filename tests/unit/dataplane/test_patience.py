"""Slow clients are cut in time, others never; each connection is looked at when it said so."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from modelport.dataplane.patience import Patience, Rounds

RATE = 1024
LONGEST_S = 30.0


@given(st.integers(0, 10**9), st.floats(0, 10_000))
def test_who_stops_is_cut_after_the_pause_whatever_came_before(count, at):
    patience = Patience(LONGEST_S, RATE, 0.0)
    patience.moved(count, at)
    assert patience.over(at + LONGEST_S + 0.001)


@given(st.lists(st.floats(0.01, LONGEST_S / 2), min_size=1, max_size=200))
def test_who_keeps_the_rate_is_never_cut(pauses):
    patience, now = Patience(LONGEST_S, RATE, 0.0), 0.0
    for pause in pauses:
        now += pause
        assert not patience.over(now)
        patience.moved(int(RATE * pause) + 1, now)


def test_who_stays_below_the_rate_is_cut_however_regularly_bytes_come():
    patience, now = Patience(LONGEST_S, RATE, 0.0), 0.0
    while not patience.over(now):
        now += 1.0
        patience.moved(RATE // 2, now)
    assert now <= 2 * LONGEST_S + 1


class Looked:
    def __init__(self, rests):
        self.place = None
        self.rests = rests
        self.at = []
        self.also = None

    def check(self, now):
        self.at.append(now)
        if self.also is not None:
            self.also()
        return now + self.rests


def run(rounds, *, until, step=1.0):
    for turn in range(1, int(until / step) + 1):
        rounds.tick(turn * step)


def test_each_is_looked_at_when_it_said_so():
    rounds = Rounds(1.0, 0.0)
    rests = {seconds: Looked(seconds) for seconds in (0.0, 5.0, 75.0)}
    for one in rests.values():
        rounds.add(one)
    run(rounds, until=200)
    assert rests[0.0].at == [float(second) for second in range(1, 201)]
    assert rests[5.0].at[:3] == [1.0, 7.0, 13.0]  # at the first tick after it is due
    assert rests[75.0].at == [1.0, 77.0, 153.0]


def test_who_is_added_again_is_looked_at_next_and_who_is_dropped_never():
    rounds = Rounds(1.0, 0.0)
    again, gone, one = Looked(50.0), Looked(50.0), Looked(0.0)
    for each in (again, gone, one):
        rounds.add(each)
    run(rounds, until=3)
    rounds.add(again)
    rounds.add(again)
    rounds.drop(gone)
    rounds.tick(4.0)
    assert again.at == [1.0, 4.0]
    one.also = lambda: rounds.drop(again)
    rounds.add(again)
    for second in range(5, 120):
        rounds.tick(float(second))
    assert gone.at == [1.0]
    assert len(again.at) <= 3
    assert again.place is None


def test_a_clock_that_jumps_ahead_forgets_nobody():
    rounds, one = Rounds(0.25, 0.0), Looked(10.0)
    rounds.add(one)
    rounds.tick(0.25)
    rounds.tick(100_000.0)
    assert one.at == [0.25, 100_000.0]
