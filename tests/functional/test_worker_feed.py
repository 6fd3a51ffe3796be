"""The worker's side of the feed: prepares, activates, reports, and serves on when control is away."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from fakes.bundles import truthful_bundle
from fakes.serving import WorkerInThread, endpoint
from modelport.wire.feed import (
    Activate,
    Activated,
    Drained,
    Hello,
    ModelState,
    Prepare,
    Prepared,
    PrepareFailed,
    decode_from_worker,
    frame,
)
from modelport.wire.sockets import listen


class Control:
    """The other end of the feed."""

    def __init__(self, connection):
        self.connection = connection
        self.connection.settimeout(10.0)

    def say(self, message):
        self.connection.sendall(frame(message))

    def hear(self):
        return decode_from_worker(self._read(int.from_bytes(self._read(4), "big")))

    def hear_until(self, kind):
        heard = [self.hear()]
        while not isinstance(heard[-1], kind):
            heard.append(self.hear())
        return heard

    def _read(self, count):
        data = b""
        while len(data) < count:
            piece = self.connection.recv(count - len(data))
            assert piece, "the worker hung up"
            data += piece
        return data


@contextmanager
def control(worker):
    with listen(worker.layout.feed_socket) as listener:
        listener.setblocking(True)
        listener.settimeout(10.0)
        connection, _ = listener.accept()
        with connection:
            yield Control(connection)


def one(digest, version):
    return endpoint("e", (f"v{version}", f"m:{version}", digest, 1.0))


@pytest.fixture
def worker(tmp_path):
    return WorkerInThread(tmp_path)


def test_a_whole_conversation(worker):
    first, second = (worker.put(truthful_bundle(version)) for version in (1, 2))
    worker.publish(1, one(first, 1))
    with worker, control(worker) as feed:
        hello = feed.hear()
        assert isinstance(hello, Hello)
        assert (hello.index, hello.active_revision) == (0, 1)
        worker.publish(2, one(second, 2), active=False)
        feed.say(Prepare(2))
        assert feed.hear_until(Prepared) == [
            ModelState(second, "loading"),
            ModelState(second, "ready"),
            Prepared(2),
        ]
        assert worker.ask("e", [[0, 0]]).json == {"predictions": [1000.0]}
        feed.say(Activate(2))
        feed.hear_until(Activated)
        assert worker.ask("e", [[0, 0]]).json == {"predictions": [2000.0]}


def test_activation_reports_what_drained(worker):
    digest = worker.put(truthful_bundle(1))
    worker.publish(1, one(digest, 1))
    with worker, control(worker) as feed:
        feed.hear()
        worker.publish(2, one(digest, 1), active=False)
        feed.say(Prepare(2))
        assert feed.hear() == Prepared(2)  # the model is in memory already
        feed.say(Activate(2))
        assert sorted(map(str, (feed.hear(), feed.hear()))) == sorted(map(str, (Activated(2), Drained(1))))


def test_a_failed_preparation_leaves_what_is_served_alone(worker):
    good = worker.put(truthful_bundle(1))
    broken = worker.put({**truthful_bundle(2), "serving.onnx": b"no graph"})
    worker.publish(1, one(good, 1))
    with worker, control(worker) as feed:
        feed.hear()
        worker.publish(2, one(broken, 2), active=False)
        feed.say(Prepare(2))
        *states, failed = feed.hear_until(PrepareFailed)
        assert [state.state for state in states] == ["loading", "failed"]
        assert (failed.revision, failed.digest) == (2, broken)
        assert "ONNX Runtime" in failed.reason
        assert worker.ask("e", [[0, 0]]).json == {"predictions": [1000.0]}
        feed.say(Prepare(3))  # a file that is not there
        assert isinstance(feed.hear(), PrepareFailed)
        feed.say(Prepare(1))
        assert feed.hear() == Prepared(1)


def test_what_failed_at_the_start_is_reported_after_hello(worker):
    worker.publish(1, one("0" * 64, 1))
    with worker, control(worker) as feed:
        assert isinstance(feed.hear(), Hello)
        state = feed.hear()
        assert (state.digest, state.state) == ("0" * 64, "failed")


def test_it_serves_without_control_and_comes_back(worker):
    worker.publish(1, one(worker.put(truthful_bundle(1)), 1))
    with worker:
        assert worker.ask("e", [[0, 0]]).status == 200
        for _ in range(2):
            with control(worker) as feed:
                assert isinstance(feed.hear(), Hello)
            assert worker.ask("e", [[0, 0]]).status == 200


def test_an_activation_it_did_not_prepare_is_loaded_then(worker):
    worker.publish(1, one(worker.put(truthful_bundle(1)), 1))
    with worker, control(worker) as feed:
        feed.hear()
        worker.publish(5, one(worker.put(truthful_bundle(5)), 5))
        feed.say(Activate(5))
        feed.hear_until(Activated)
        assert worker.ask("e", [[0, 0]]).json == {"predictions": [5000.0]}


@pytest.mark.parametrize(
    "noise",
    [b"\xff\xff\xff\xff", b"\x00\x00\x00\x02{}", b"\x00\x00\x00\x04\x80\x04\x95.", frame(Hello(0, 1, 1))],
)
def test_noise_ends_the_connection_and_nothing_else(worker, noise):
    worker.publish(1, one(worker.put(truthful_bundle(1)), 1))
    with worker:
        with control(worker) as feed:
            feed.hear()
            feed.connection.sendall(noise)
            assert feed.connection.recv(10) == b""
        assert worker.ask("e", [[0, 0]]).status == 200
        with control(worker) as feed:
            assert isinstance(feed.hear(), Hello)
