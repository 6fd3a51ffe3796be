"""Short calls share a turn of the loop, long ones leave it, and nobody answers for a neighbour."""

from __future__ import annotations

import asyncio
import struct
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from fakes.costs import line
from modelport.dataplane.batching import Batcher
from modelport.dataplane.costs import INLINE_S
from modelport.dataplane.exchange import Exchange, Plan
from modelport.dataplane.flights import Flight
from modelport.dataplane.suspects import Suspects
from modelport.domain.clock import SystemClock
from modelport.domain.errors import InvalidInput, ModelFailed, TimedOut, Unavailable
from modelport.runtime.outputs import Outputs
from modelport.runtime.rows import Rows
from modelport.telemetry import metrics
from modelport.telemetry.metrics import METRICS
from modelport.telemetry.slots import Series

QUICK, SLOW = line(1e-6, 1e-6), line(1.0, 0.0)


class Model:
    """Doubles its one feature; refuses 13, and waits at a gate when it has one."""

    features = 1
    digest = "ab" * 32

    def __init__(self, gate=None):
        self.gate = gate
        self.calls = []
        self.stops = []

    def new_stop(self):
        self.stops.append(SimpleNamespace(asked=False))
        return SimpleNamespace(now=partial(setattr, self.stops[-1], "asked", True))

    def run(self, matrix, stop=None):
        if self.gate is not None:
            assert self.gate.wait(10)
        self.calls.append((len(matrix), threading.current_thread().name))
        if 13.0 in matrix:
            raise RuntimeError("unlucky\nin two lines")
        return Outputs(predictions=matrix * 2)


class Desk:
    """A batcher, and what came of each exchange."""

    def __init__(self, model, costs, rows_max=256, home=None):
        self.finished = {}
        self.news = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        home = home or Path(tempfile.mkdtemp())
        self.suspects = Suspects(home / "suspects", home / "flights", SystemClock())
        self.stuck = asyncio.Event()
        self.batcher = Batcher(
            model,
            costs,
            rows_max=rows_max,
            loop=self.loop,
            now=time.monotonic,
            finish=self.finish,
            suspects=self.suspects,
            flight=Flight(home / "flights", "loop"),
            new_flight=lambda: Flight(home / "flights", "model"),
            on_stuck=self.stuck.set,
        )
        self.variant = SimpleNamespace(
            inference=Series(("", ()), METRICS[metrics.INFERENCE_DURATION]),
            batch_rows=Series(("", ()), METRICS[metrics.BATCH_SIZE]),
            route=SimpleNamespace(shadow=False),
        )
        self.lane = SimpleNamespace(
            variant=self.variant,
            decode=self.decode,
            encode=lambda outputs, start, stop: repr(outputs.predictions[start:stop, 0].tolist()).encode(),
        )

    @staticmethod
    def decode(body):
        if body == b"bad":
            raise InvalidInput("row 0: bad")
        values = [float(word) for word in body.split()]
        return Rows(struct.pack(f"<{len(values)}d", *values), len(values))

    def submit(self, body, *, decoded=True, deadline_s=60.0):
        exchange = Exchange(lambda *_: None, Plan(lambda _: None, length=0, keep_alive=True), body, 0.0)
        exchange.lane = self.lane
        exchange.rows = self.decode(body) if decoded else None
        exchange.deadline = time.monotonic() + deadline_s
        self.batcher.submit(exchange)
        return exchange

    def finish(self, exchange, answer):
        assert exchange not in self.finished
        self.finished[exchange] = answer
        self.news.set()

    async def wait(self, count):
        async with asyncio.timeout(10):
            while len(self.finished) < count:
                self.news.clear()
                await self.news.wait()


def run(story):
    asyncio.run(story())


def test_one_turn_of_the_loop_is_one_call():
    async def story():
        model = Model()
        desk = Desk(model, QUICK)
        exchanges = [desk.submit(b"%d %d" % (n, n + 1)) for n in range(20, 40)]
        assert desk.finished == {}
        await desk.wait(20)
        assert [rows for rows, _ in model.calls] == [40]
        for number, exchange in enumerate(exchanges, start=20):
            assert desk.finished[exchange] == repr([number * 2.0, number * 2.0 + 2]).encode()
        assert desk.variant.batch_rows.values[-1] == 40

    run(story)


def test_a_call_has_a_largest_size():
    async def story():
        model = Model()
        desk = Desk(model, QUICK, rows_max=8)
        for _ in range(20):
            desk.submit(b"1 2 3")
        await desk.wait(20)
        assert [rows for rows, _ in model.calls] == [6] * 10

    run(story)


def test_a_failing_row_fails_its_own_request_only():
    async def story():
        desk = Desk(Model(), QUICK)
        exchanges = [desk.submit(body) for body in (b"1", b"13", b"2")]
        await desk.wait(3)
        first, unlucky, last = (desk.finished[exchange] for exchange in exchanges)
        assert (first, last) == (b"[2.0]", b"[4.0]")
        assert isinstance(unlucky, ModelFailed)
        assert unlucky.message == "the model failed: unlucky"

    run(story)


@pytest.mark.parametrize(("costs", "inline"), [(QUICK, True), (SLOW, False), (line(0.0, INLINE_S), True)])
def test_long_calls_leave_the_loop(costs, inline):
    async def story():
        model = Model()
        desk = Desk(model, costs)
        desk.submit(b"1")
        await desk.wait(1)
        assert (model.calls[0][1] == threading.current_thread().name) == inline

    run(story)


def test_many_rows_leave_the_loop_where_few_do_not():
    async def story():
        model = Model()
        desk = Desk(model, line(0.0, INLINE_S / 10))
        desk.submit(b"1 " * 11)
        desk.submit(b"1")
        await desk.wait(2)
        threads = dict(model.calls)
        assert threads[1] == threading.current_thread().name
        assert threads[11] == "model"

    run(story)


def test_a_turn_of_the_loop_runs_no_more_of_one_model_than_its_share():
    async def story():
        model = Model(gate := threading.Event())
        gate.set()
        desk = Desk(model, line(0.0, INLINE_S / 4))
        first = [desk.submit(b"1") for _ in range(10)]
        await asyncio.sleep(0)
        gate.clear()
        later = desk.submit(b"2")  # queues behind those that found no room on the loop
        gate.set()
        await desk.wait(11)
        on_loop = sum(rows for rows, name in model.calls if name == threading.current_thread().name)
        assert on_loop == 4
        assert model.calls[-1][1] == "model"
        assert list(desk.finished)[-1] is later
        assert set(desk.finished) == {*first, later}

    run(story)


def test_the_loop_turns_while_a_model_is_slow_and_those_who_come_share_the_next_call():
    async def story():
        gate = threading.Event()
        model = Model(gate)
        desk = Desk(model, SLOW)
        desk.submit(b"1")
        await asyncio.sleep(0.02)
        for _ in range(5):
            desk.submit(b"2 3")
        await asyncio.sleep(0.02)
        assert desk.finished == {}
        gate.set()
        await desk.wait(6)
        assert [rows for rows, _ in model.calls] == [1, 10]

    run(story)


def test_a_body_left_undecoded_is_decoded_off_the_loop():
    async def story():
        desk = Desk(Model(), QUICK)
        good, bad = desk.submit(b"1 2", decoded=False), desk.submit(b"bad", decoded=False)
        await desk.wait(2)
        assert desk.finished[good] == b"[2.0, 4.0]"
        assert isinstance(desk.finished[bad], InvalidInput)

    run(story)


def test_a_deadline_is_kept_and_what_expired_is_never_run():
    async def story():
        gate = threading.Event()
        model = Model(gate)
        desk = Desk(model, SLOW)
        running, waiting = desk.submit(b"1", deadline_s=0.05), None
        await asyncio.sleep(0.01)
        waiting = desk.submit(b"2", deadline_s=0.05)
        late = desk.submit(b"3")
        await desk.wait(2)
        assert isinstance(desk.finished[running], TimedOut)
        assert isinstance(desk.finished[waiting], TimedOut)
        gate.set()
        await desk.wait(3)
        assert desk.finished[late] == b"[6.0]"
        assert [rows for rows, _ in model.calls] == [1, 1]

    run(story)


def test_work_for_a_client_that_went_is_dropped():
    async def story():
        gate = threading.Event()
        model = Model(gate)
        desk = Desk(model, SLOW)
        desk.submit(b"1")
        await asyncio.sleep(0.01)
        gone = desk.submit(b"2")
        gone.answered = None
        gate.set()
        await desk.wait(2)
        assert [rows for rows, _ in model.calls] == [1]

    run(story)


def test_the_books_on_a_client_that_went_are_closed_at_once():
    async def story():
        gate = threading.Event()
        model = Model(gate)
        desk = Desk(model, SLOW)
        begun = desk.submit(b"1")
        await asyncio.sleep(0.01)
        waiting = [desk.submit(b"2"), desk.submit(b"3")]
        for exchange in (begun, waiting[0]):
            exchange.answered = None
            exchange.drop(exchange)
        assert list(desk.finished) == [begun, waiting[0]]  # while the model is still at it
        gate.set()
        await desk.wait(3)
        assert [rows for rows, _ in model.calls] == [1, 1]
        assert desk.finished[waiting[1]] == b"[6.0]"
        for exchange in (begun, *waiting):
            exchange.drop(exchange)  # too late, and no harm
        assert len(desk.finished) == 3

    run(story)


def test_a_call_that_nobody_waits_for_is_told_to_stop_and_then_given_up(monkeypatch):
    monkeypatch.setattr("modelport.dataplane.batching.STUCK_S", 0.05)

    async def story():
        gate = threading.Event()
        model = Model(gate)
        desk = Desk(model, SLOW)
        first, second = desk.submit(b"1", deadline_s=0.02), desk.submit(b"2", deadline_s=0.05)
        async with asyncio.timeout(10):
            await desk.stuck.wait()
        assert isinstance(desk.finished[first], TimedOut)
        assert isinstance(desk.finished[second], TimedOut)
        assert [stop.asked for stop in model.stops] == [True]
        gate.set()
        await asyncio.sleep(0)

    run(story)


def test_what_expired_before_it_was_asked_is_not_run_on_the_loop():
    async def story():
        model = Model()
        desk = Desk(model, QUICK)
        late, in_time = desk.submit(b"1", deadline_s=0.0), desk.submit(b"2")
        await desk.wait(2)
        assert isinstance(desk.finished[late], TimedOut)
        assert desk.finished[in_time] == b"[4.0]"
        assert [rows for rows, _ in model.calls] == [1]

    run(story)


def crashed(home, *values, alone=False):
    """Leave the record of a process that died while these requests shared a call."""
    folder = home / "flights"
    folder.mkdir(parents=True, exist_ok=True)
    for group in [[value] for value in values] if alone else [values]:
        flight = Flight(folder, "dead")
        data = b"".join(struct.pack("<d", value) for value in group)
        flight.take_off(bytes.fromhex(Model.digest), [8] * len(group), data)
        flight._map.close()


def test_a_suspect_runs_alone_and_is_innocent_when_it_comes_back(tmp_path):
    async def story():
        crashed(tmp_path, 1.0, 2.0)
        model = Model()
        desk = Desk(model, QUICK, home=tmp_path)
        desk.suspects.look()
        exchanges = [desk.submit(b"%d" % n) for n in (1, 2, 3, 4)]
        await desk.wait(4)
        assert sorted(rows for rows, _ in model.calls) == [1, 1, 2]
        assert [desk.finished[each] for each in exchanges] == [b"[2.0]", b"[4.0]", b"[6.0]", b"[8.0]"]
        assert desk.suspects.of(Model.digest) is None

    run(story)


@pytest.mark.parametrize("costs", [QUICK, SLOW])
@pytest.mark.parametrize("decoded", [True, False])
def test_who_was_alone_at_a_second_crash_is_not_run_again(tmp_path, costs, decoded):
    async def story():
        model = Model()
        desk = Desk(model, costs, home=tmp_path)
        crashed(tmp_path, 1.0, 2.0)
        desk.suspects.look()
        crashed(tmp_path, 2.0, alone=True)
        desk.suspects.look()
        exchanges = [desk.submit(b"%d" % n, decoded=decoded) for n in (1, 2, 3)]
        await desk.wait(3)
        innocent, culprit, neighbour = (desk.finished[each] for each in exchanges)
        assert (innocent, neighbour) == (b"[2.0]", b"[6.0]")
        assert isinstance(culprit, ModelFailed)
        assert "2 times; it is not run again" in culprit.message
        assert all(rows == 1 for rows, _ in model.calls)

    run(story)


def test_in_overload_a_queue_is_kept_short_and_the_rest_is_turned_away():
    async def story():
        gate = threading.Event()
        model = Model(gate)
        desk = Desk(model, line(0.0, 0.01))
        desk.submit(b"0")
        await asyncio.sleep(0.01)
        admission = desk.batcher._admission
        admission.overloaded = True
        admission._began = float("inf")  # however slow the machine, nothing is measured anew meanwhile
        queued = [desk.submit(b"1") for _ in range(40)]
        assert not desk.batcher.admits()
        gate.set()
        await desk.wait(41)
        refused = [each for each in queued if isinstance(desk.finished[each], Unavailable)]
        assert len(refused) >= 40 - admission.wait_s / 0.01 - 2
        assert queued[-1] not in refused

    run(story)
