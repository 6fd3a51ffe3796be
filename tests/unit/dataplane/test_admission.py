"""Patience keeps a queue, overload does not: days of requests, on a clock of their own."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelport.dataplane.admission import Admission


class Shop:
    """One model that answers a request at a time, and its queue."""

    def __init__(self, call_s, row_s=None):
        self.call_s = call_s
        self.now = 0.0
        self.free_at = 0.0
        self.queue = deque()
        self.admission = Admission(row_s or call_s, 0.0)
        self.waits, self.refused = [], 0

    def serve_until(self, now):
        self.now = now
        while self.queue and self.free_at + self.call_s <= now:
            came = self.queue.popleft()
            self.free_at = max(self.free_at, came) + self.call_s
            self.admission.answer(1, self.call_s)
            self.waits.append(self.free_at - came)
        if not self.queue:
            self.free_at = max(self.free_at, now)

    def come(self, now):
        self.serve_until(now)
        if self.admission.offer(now, len(self.queue) * self.call_s):
            self.queue.append(now)
            return True
        self.refused += 1
        self.shed()
        return False

    def shed(self):
        """Turn those away who have waited longest, as whoever keeps a queue does in overload."""
        if self.admission.overloaded and len(self.queue) * self.call_s > 2 * self.admission.wait_s:
            while len(self.queue) > 1 and len(self.queue) * self.call_s > self.admission.wait_s:
                self.queue.popleft()
                self.refused += 1


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([0.0005, 0.005, 0.05]), st.integers(1, 300))
def test_clients_that_wait_for_their_answers_are_never_refused(call_s, clients):
    shop = Shop(call_s)
    for _ in range(clients):
        assert shop.come(0.0)
    for turn in range(1, 6 * clients + 2000):  # each answer brings one more question
        now = turn * call_s
        shop.serve_until(now)
        assert shop.come(now), (turn, len(shop.queue))


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from([0.002, 0.01, 0.05]),
    st.integers(1, 64),
    st.lists(st.tuples(st.integers(0, 40), st.floats(0.0, 30.0)), min_size=10, max_size=60),
)
def test_clients_that_wait_are_not_refused_where_calls_are_long_and_the_machine_stalls(
    call_s, clients, stalls
):
    shop = Shop(call_s, row_s=call_s / 200)  # their requests have many rows
    now, asking = 0.0, clients
    for calls, stall in stalls:
        for _ in range(calls):
            now += call_s
            before = len(shop.waits)
            shop.serve_until(now)
            asking += len(shop.waits) - before
            while asking:
                assert shop.come(now)
                asking -= 1
        now += stall * call_s  # nobody asks meanwhile, but the model may answer
        before = len(shop.waits)
        shop.serve_until(now)
        asking += len(shop.waits) - before


@pytest.mark.parametrize("call_s", [0.005, 0.05])
def test_overload_by_requests_of_many_rows_serves_as_many_as_the_model_can(call_s):
    shop = Shop(call_s, row_s=call_s / 200)
    gap, now = call_s / 5.0, 0.0
    for _ in range(5_000):
        now += gap
        shop.come(now)
    assert shop.refused > 0
    assert len(shop.waits) * call_s >= 0.97 * now
    assert shop.waits[-1] <= shop.admission.wait_s + 2 * call_s


@pytest.mark.parametrize("call_s", [0.0005, 0.005])
@pytest.mark.parametrize("times", [1.5, 5.0, 20.0])
def test_in_overload_the_taken_are_answered_soon_and_the_model_never_rests(call_s, times):
    shop = Shop(call_s)
    gap, now, settled = call_s / times, 0.0, None
    for _ in range(int(5_000 * times)):
        now += gap
        shop.come(now)
        if settled is None and shop.admission.overloaded:
            settled = len(shop.waits)
    assert settled is not None
    assert max(shop.waits[settled:]) <= shop.admission.wait_s + 2 * call_s
    assert len(shop.waits) * call_s >= 0.97 * now
    assert shop.refused > 0


def test_overload_ends_when_less_comes():
    shop = Shop(0.0005)
    now = 0.0
    for _ in range(20_000):
        now += 0.0001
        shop.come(now)
    assert shop.admission.overloaded
    refused = shop.refused
    for _ in range(5_000):
        now += 0.001
        shop.come(now)
    assert not shop.admission.overloaded
    assert shop.refused - refused < 200


def test_a_burst_is_taken():
    shop = Shop(0.001)
    assert all(shop.come(0.0) for _ in range(500))
