"""Models come into memory one at a time, and those idle longest leave it for others."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.costs import line
from modelport.dataplane.loading import CRASHED, HANGING_S, LoadingMarks, Models, Use, choose_leavers
from modelport.domain.errors import ModelportError
from modelport.telemetry import metrics
from modelport.telemetry.slots import MetricSlot

SIZE = 10 << 20


def digest(letter):
    return letter * 64


class Batcher:
    """Stands for a model in memory."""

    def __init__(self):
        self.idle = True
        self.used_at = 0.0
        self.model = SimpleNamespace(signature=None)
        self.closed = False

    def close(self):
        self.closed = True


class Memory:
    """Models whose loads wait at a gate, in a worker of room for so many."""

    def __init__(self, folder, room, **options):
        self.gate = threading.Event()
        self.gate.set()
        self.loads = []
        self.measured = []
        self.failing = {}
        self.told = []
        self.time = 0.0
        self.slot = MetricSlot(folder / "metrics", "test")
        self.marks = LoadingMarks(folder / "marks", 0)
        self.models = Models(
            self.load,
            lambda *_: Batcher(),
            self.marks,
            self.slot,
            now=self.now,
            bytes_max=room * SIZE + SIZE // 2,
            **{"timeout_s": 30.0, **options},
        )
        self.settled = asyncio.Event()
        self.loading = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self.models.on_settled = lambda _: self.settled.set()

    def now(self):
        self.time += 1.0
        return self.time

    def load(self, name, costs):
        self.loads.append(name[0])
        if costs is None:
            self.measured.append(name[0])
        self.loop.call_soon_threadsafe(self.loading.set)
        assert self.gate.wait(30)
        if name in self.failing:
            raise self.failing[name]
        return SimpleNamespace(graph_bytes=SIZE, executor="stand-in", why=""), costs or line(1e-6, 1e-6)

    async def deploy(self, *names):
        await self.models.ensure([digest(name) for name in names], self.report)

    def report(self, name, state, reason):
        self.told.append((name[0], state))

    async def ask(self, name):
        """Wait for a model as a request does, and use it."""
        handle = self.models.handle(digest(name))
        while handle.batcher is None and handle.failure is None:
            self.settled.clear()
            self.models.wake(handle)
            await self.settled.wait()
        if handle.batcher is not None:
            handle.batcher.used_at = self.now()
        return handle

    def held(self):
        return "".join(name for name in "abcdefgh" if digest(name) in self.models)

    def count(self, metric, *labels):
        return self.slot.series(metric, *labels).values[0]


@pytest.fixture
def story(tmp_path):
    def play(scenes, room=2, **options):
        async def run():
            memory = Memory(tmp_path, room, **options)
            async with asyncio.timeout(30):
                try:
                    await scenes(memory)
                finally:
                    memory.gate.set()
                    memory.models.close()
                    memory.slot.close()

        asyncio.run(run())

    return play


def test_a_deploy_loads_what_is_new_and_the_longest_idle_leave(story):
    async def scenes(memory):
        await memory.deploy("a", "b")
        await memory.ask("a")
        await memory.deploy("a", "b", "c")
        assert memory.held() == "ac"  # b was used before a
        await memory.deploy("a", "b", "c")  # b is known to work: it stays where it is
        assert memory.loads == ["a", "b", "c"]
        assert memory.told == [(name, state) for name in "abc" for state in ("loading", "ready")]
        assert memory.count(metrics.MODEL_UNLOADS, "memory") == 1

    story(scenes)


def test_a_dormant_model_comes_back_for_whoever_asks(story):
    async def scenes(memory):
        await memory.deploy("a", "b", "c")
        memory.told.clear()
        handles = await asyncio.gather(memory.ask("a"), memory.ask("a"), memory.ask("a"))
        assert memory.loads == list("abca")
        assert memory.measured == list("abc")
        assert len({id(handle.batcher) for handle in handles}) == 1
        assert memory.held() == "ac"
        assert memory.told == []  # control was told that it is ready, and it was

    story(scenes)


def test_nobody_who_waits_loses_a_model(story):
    async def scenes(memory):
        await memory.deploy("a", "b")
        busy = [memory.models.handle(digest(name)).batcher for name in "ab"]
        for batcher in busy:
            batcher.idle = False
        await memory.deploy("c")
        await memory.ask("d")
        assert memory.held() == "abd"
        for batcher in busy:
            batcher.idle = True
        memory.models.make_room()
        assert memory.held() == "bd"
        assert [batcher.closed for batcher in busy] == [True, False]

    story(scenes)


def test_a_model_larger_than_all_the_room_serves_alone(story):
    async def scenes(memory):
        for name in "abab":
            await memory.ask(name)
            memory.models.make_room()
            assert memory.held() == name
        assert memory.count(metrics.MODEL_LOADS, "loaded") == 4

    story(scenes, room=0)


def test_a_worker_starts_with_what_fits_and_within_its_time(story):
    async def scenes(memory):
        for name in "abcde":
            memory.models.handle(digest(name)).expect()
        memory.gate.clear()
        await memory.models.preload([digest(name) for name in "abcde"], 0.01)
        assert memory.held() == ""
        waiting = asyncio.create_task(memory.ask("e"))
        await asyncio.sleep(0)
        memory.gate.set()
        await waiting
        assert "e" in memory.held()
        assert memory.loads[:2] == ["a", "e"]  # who waits comes first
        await memory.models.preload([], 30.0)
        assert len(memory.held()) == 2
        assert len(memory.loads) <= 4  # one more than fits told that it is full

    story(scenes)


def test_a_model_that_does_not_come_back_has_failed_until_it_is_deployed_again(story):
    async def scenes(memory):
        await memory.deploy("a", "b", "c")
        failures = []
        memory.models.on_failed = lambda name, reason: failures.append((name[0], reason))
        memory.failing[digest("a")] = ModelportError("artifact is damaged")
        handle = await memory.ask("a")
        assert handle.failure == "artifact is damaged"
        assert failures == [("a", "artifact is damaged")]
        assert memory.models.failures == {digest("a"): "artifact is damaged"}
        assert (await memory.ask("a")).failure
        assert memory.loads == list("abca")
        memory.failing.clear()
        await memory.deploy("a")
        assert handle.batcher is not None
        assert memory.models.failures == {}
        assert memory.count(metrics.MODEL_LOADS, "failed") == 1

    story(scenes)


def test_whatever_a_load_raises_concerns_that_model_alone(story):
    async def scenes(memory):
        memory.failing[digest("a")] = MemoryError("no room")
        await memory.deploy("a", "b")
        assert memory.models.failures == {digest("a"): "MemoryError: no room"}
        assert memory.held() == "b"

    story(scenes)


def test_a_load_that_hangs_is_left_behind(story):
    async def scenes(memory):
        memory.gate.clear()
        await memory.deploy("a")
        assert memory.models.failures == {digest("a"): "it did not load within 0.05 s"}
        assert memory.marks.found() == {digest("a")}
        memory.gate.set()
        await memory.deploy("b")
        assert memory.held() == "b"

    story(scenes, timeout_s=0.05)


def test_a_worker_that_ends_in_order_blames_no_model_it_was_loading(story):
    async def scenes(memory):
        memory.gate.clear()
        memory.models.wake(memory.models.handle(digest("a")))
        await memory.loading.wait()
        assert memory.marks.exists(digest("a"))
        memory.models.close()
        assert not memory.marks.exists(digest("a"))
        with pytest.raises(ModelportError, match="the worker ends"):
            memory.marks.put(digest("b"), memory.time)

    story(scenes)


def test_a_worker_that_ends_in_order_goes_on_blaming_a_load_that_hangs(story):
    async def scenes(memory):
        memory.gate.clear()
        await memory.deploy("a")
        memory.time += HANGING_S
        memory.models.close()
        assert memory.marks.found() == {digest("a")}

    story(scenes, timeout_s=0.05)


def test_a_model_is_forgotten_while_it_is_loaded(story):
    async def scenes(memory):
        memory.models.handle(digest("b")).expect()
        memory.gate.clear()
        memory.models.wake(memory.models.handle(digest("a")))
        memory.models.wake(memory.models.handle(digest("b")))
        await memory.loading.wait()
        memory.models.keep_only({digest("b")})
        memory.gate.set()
        await memory.ask("b")
        assert memory.held() == "b"
        assert memory.models.find(digest("a")) is None
        await memory.deploy("a")
        assert memory.held() == "ab"

    story(scenes)


def test_what_nobody_wants_any_more_is_not_loaded(story):
    async def scenes(memory):
        await memory.deploy("a", "b", "c", "d")
        memory.models.is_wanted = lambda handle: handle.digest != digest("a")
        memory.models.wake(memory.models.handle(digest("a")))
        await memory.ask("b")
        assert memory.loads == list("abcdb")

    story(scenes)


def test_a_deploy_does_not_wait_for_all_who_ask(story):
    async def scenes(memory):
        await memory.deploy(*"abcdefg")
        memory.gate.clear()
        memory.loads.clear()
        memory.loading.clear()
        for name in "abcde":
            memory.models.wake(memory.models.handle(digest(name)))
        await memory.loading.wait()
        deploying = asyncio.create_task(memory.deploy("h"))
        await asyncio.sleep(0)
        memory.gate.set()
        await deploying
        assert memory.loads == ["a", "h"]

    story(scenes)


def test_a_mark_is_left_for_the_first_load_only(story):
    async def scenes(memory):
        seen = []
        load = memory.models._load
        memory.models._load = lambda name, costs: (seen.append(memory.marks.exists(name)), load(name, costs))[
            1
        ]
        await memory.deploy("a", "b", "c")
        await memory.ask("a")
        assert seen == [True, True, True, False]
        memory.marks.put(digest("d"), memory.time)
        await memory.deploy("d")
        assert memory.models.failures == {digest("d"): CRASHED}

    story(scenes)


def test_a_model_that_left_is_let_go_of(story):
    async def scenes(memory):
        await memory.deploy("a", "b")
        keeper = Keeper()
        handle = memory.models.handle(digest("a"))
        handle.keep(keeper)
        await memory.deploy("c")
        assert keeper.forgot == 1
        assert handle.batcher is None
        await memory.ask("a")
        memory.models.keep_only(frozenset())
        assert (keeper.forgot, memory.held()) == (1, "")
        assert memory.count(metrics.MODEL_UNLOADS, "unneeded") == 2

    story(scenes)


class Keeper:
    """Keeps parts of a model."""

    forgot = 0

    def forget(self):
        self.forgot += 1


models_in_memory = st.dictionaries(
    st.text("abcdef", min_size=1),
    st.builds(Use, st.floats(0, 100), st.integers(0, 1000), st.booleans()),
    max_size=20,
)


@given(models_in_memory, st.integers(-100, 5000))
def test_leavers_are_the_longest_idle_and_no_more_than_it_takes(uses, excess):
    leavers = choose_leavers(uses, excess)
    freed = sum(uses[name].size for name in leavers)
    stay = [name for name in uses if name not in leavers and uses[name].idle]
    assert len(set(leavers)) == len(leavers)
    assert all(uses[name].idle for name in leavers)
    assert freed >= excess or len(stay) <= 1
    assert not leavers or freed - uses[leavers[-1]].size < excess
    assert all(uses[gone].at <= uses[kept].at for gone in leavers for kept in stay)
    assert not leavers or max(uses.values()).at >= max(uses[name].at for name in leavers)
    assert len(leavers) < max(1, len(uses))


def test_loads_are_timed_by_the_clock_that_was_handed_in(story):
    async def scenes(memory):
        await memory.deploy("a")
        # a second for each look at that clock: when it began, at the mark, when it ended
        assert memory.slot.series(metrics.MODEL_LOAD_DURATION).values[-1] == 2_000_000_000

    story(scenes)
