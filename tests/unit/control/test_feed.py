"""Control's end of the feed, met by workers that are slow, late, dead or no workers at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.feed import FeedTalk
from modelport.control.feed import Feed
from modelport.domain.planning.rollout import PrepareFailure
from modelport.wire.feed import (
    FRAME_BYTES_MAX,
    Activate,
    Activated,
    Drained,
    ModelState,
    Prepare,
    Prepared,
    PrepareFailed,
    frame,
)


class Listening:
    """A feed, and whoever waits for its news."""

    def __init__(self, path: Path, active: int) -> None:
        self.path = path
        self.news = threading.Condition()
        self.feed = Feed(path, active, self._wake)
        self.feed.start()

    def _wake(self) -> None:
        with self.news:
            self.news.notify_all()

    def wait_for(self, goal: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 5
        with self.news:
            while not goal():
                assert self.news.wait(deadline - time.monotonic()), f"stays at {self.feed.workers()}"

    def wait_for_workers(self, *indices: int) -> None:
        self.wait_for(lambda: tuple(view.index for view in self.feed.workers()) == indices)


@pytest.fixture
def listening(tmp_path: Path):
    built = Listening(tmp_path / "run" / "feed.sock", active=3)
    yield built
    built.feed.close()


def test_a_table_drains_until_its_worker_says_so_in_whatever_order(listening: Listening) -> None:
    with FeedTalk(listening.path) as late, FeedTalk(listening.path) as soon:
        late.hello(0, 3)
        soon.hello(1, 3)
        listening.wait_for_workers(0, 1)
        for talk in (late, soon):
            talk.say(Prepared(4))
        soon.say(Drained(3))  # nothing was open: it is said before the news
        for talk in (late, soon):
            talk.say(Activated(4))
        listening.wait_for(lambda: [view.active_revision for view in listening.feed.workers()] == [4, 4])
        assert [view.draining for view in listening.feed.workers()] == [{3}, set()]
        late.say(Activated(5))
        late.say(Drained(3))
        listening.wait_for(lambda: listening.feed.workers()[0].draining == {4})


def test_table_goes_to_all_workers_and_their_answers_come_back(listening: Listening) -> None:
    with FeedTalk(listening.path) as one, FeedTalk(listening.path) as two:
        one.hello(0, revision=3)
        two.hello(1, revision=3)
        listening.wait_for_workers(0, 1)
        listening.feed.prepare(4)
        for worker in (one, two):
            assert worker.hear() == Prepare(4)
            worker.say(ModelState("a" * 64, "loading"), ModelState("a" * 64, "ready"), Prepared(4))
        listening.wait_for(lambda: all(view.prepared_revision == 4 for view in listening.feed.workers()))
        listening.feed.activate(4)
        for worker in (one, two):
            assert worker.hear() == Activate(4)
            worker.say(Activated(4), Drained(3))
        listening.wait_for(lambda: all(view.active_revision == 4 for view in listening.feed.workers()))


def test_worker_that_cannot_is_heard(listening: Listening) -> None:
    with FeedTalk(listening.path) as worker:
        worker.hello(0, revision=3)
        worker.say(ModelState("b" * 64, "failed", "why"), PrepareFailed(4, "b" * 64, "why"))
        listening.wait_for(
            lambda: bool(listening.feed.workers()) and listening.feed.workers()[0].failure is not None
        )
        (view,) = listening.feed.workers()
        assert view.failure == PrepareFailure(4, "b" * 64, "why")
        assert view.failed == {"b" * 64: "why"}
        worker.say(ModelState("b" * 64, "ready"))
        listening.wait_for(lambda: not listening.feed.workers()[0].failed)


def test_failure_of_no_model_names_none(listening: Listening) -> None:
    with FeedTalk(listening.path) as worker:
        worker.hello(0, revision=3)
        worker.say(PrepareFailed(4, "", "its route file cannot be read"))
        listening.wait_for(
            lambda: bool(listening.feed.workers()) and listening.feed.workers()[0].failure is not None
        )
        failure = listening.feed.workers()[0].failure
        assert failure is not None
        assert failure.digest is None


def test_worker_that_comes_late_is_told_what_serves_and_what_is_on_its_way(listening: Listening) -> None:
    listening.feed.prepare(5)
    with FeedTalk(listening.path) as worker:
        worker.hello(0, revision=2)
        assert worker.hear() == Prepare(3)
        assert worker.hear() == Prepare(5)
        worker.say(Prepared(3))
        assert worker.hear() == Activate(3)


def test_worker_that_prepares_late_is_activated_when_it_has(listening: Listening) -> None:
    with FeedTalk(listening.path) as worker:
        worker.hello(0, revision=3)
        listening.wait_for_workers(0)
        listening.feed.prepare(4)
        assert worker.hear() == Prepare(4)
        listening.feed.activate(4)
        assert worker.hears_nothing()
        worker.say(Prepared(4))
        assert worker.hear() == Activate(4)


def test_abandoned_table_is_not_asked_of_newcomers(listening: Listening) -> None:
    listening.feed.prepare(5)
    listening.feed.abandon(5)
    with FeedTalk(listening.path) as worker:
        worker.hello(0, revision=3)
        listening.wait_for_workers(0)
        assert worker.hears_nothing()


def test_worker_that_dies_no_longer_counts(listening: Listening) -> None:
    with FeedTalk(listening.path) as stays:
        stays.hello(0)
        with FeedTalk(listening.path) as dies:
            dies.hello(1)
            listening.wait_for_workers(0, 1)
        listening.wait_for_workers(0)


def test_silent_worker_can_be_let_go(listening: Listening) -> None:
    with FeedTalk(listening.path) as worker:
        worker.hello(0, revision=3)
        listening.wait_for_workers(0)
        listening.feed.drop(0)
        assert worker.is_closed()
        listening.wait_for_workers()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
        (FRAME_BYTES_MAX + 1).to_bytes(4, "big"),
        (2).to_bytes(4, "big") + b"{}",
        frame(Prepared(1)),
        (5).to_bytes(4, "big") + b"\xff\xff\xff\xff\xff",
    ],
    ids=["http", "pickle", "huge", "empty", "no hello", "no text"],
)
def test_nonsense_closes_its_connection_and_nothing_else(listening: Listening, nonsense: bytes) -> None:
    with FeedTalk(listening.path) as worker:
        worker.hello(0, revision=3)
        listening.wait_for_workers(0)
        with FeedTalk(listening.path) as stranger:
            stranger.send(nonsense)
            assert stranger.is_closed()
        listening.feed.prepare(4)
        assert worker.hear() == Prepare(4)
        assert [view.index for view in listening.feed.workers()] == [0]


def test_second_hello_closes_the_connection(listening: Listening) -> None:
    with FeedTalk(listening.path) as worker:
        worker.hello(0, revision=3)
        worker.hello(1, revision=3)
        assert worker.is_closed()
        listening.wait_for_workers()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(min_size=1, max_size=200))
def test_no_bytes_end_the_feed(listening: Listening, content: bytes) -> None:
    with FeedTalk(listening.path) as stranger:
        stranger.send(content)
    with FeedTalk(listening.path) as worker:
        worker.hello(7, revision=2)
        assert worker.hear() == Prepare(3)
    listening.wait_for_workers()


def test_socket_is_for_this_user_alone(listening: Listening) -> None:
    assert listening.path.stat().st_mode & 0o777 == 0o600
    assert listening.path.parent.stat().st_mode & 0o777 == 0o700


def test_socket_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    feed = Feed(tmp_path / "run" / "feed.sock", 0, lambda: None)
    with pytest.raises(OSError, match="run"):
        feed.start()
