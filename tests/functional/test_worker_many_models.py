"""More models than fit into a worker's memory: all of them answer, and those nobody asks give way."""

from __future__ import annotations

import gc
import socket
import struct
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from fakes.bundles import truthful_bundle
from fakes.costs import line
from fakes.serving import WorkerInThread, endpoint
from fakes.truthful import TruthfulLoad
from modelport.runtime.model import LoadedModel
from modelport.telemetry import metrics
from modelport.telemetry.slots import read_totals

NOTHING_FITS = 1  # byte: a model serves alone, and leaves for the next one


def served(number, digest, *, name=None, **more):
    return endpoint(name or f"e{number}", ("v", f"m:{number}", digest, 1.0), **more)


def right(number, row=(0, 0)):
    return {"predictions": [1000.0 * number + sum(row)]}


class Many:
    """A worker of many endpoints, `e1` and on, each with a model of its own.

    Args:
        folder: A home.
        count: How many.
        settings: Settings that differ; by default no two models fit into memory.
    """

    def __init__(self, folder, count, **settings):
        defaults = {"model_memory_bytes_max": NOTHING_FITS, "start_load_s": 20.0}
        self.worker = WorkerInThread(folder, **{**defaults, **settings})
        self.digests = {n: self.worker.put(truthful_bundle(n)) for n in range(1, count + 1)}
        self.worker.publish(1, *self.routes())

    def routes(self, *without):
        return [served(number, digest) for number, digest in self.digests.items() if number not in without]

    def held(self):
        models = self.worker.worker._models
        return self.worker.on_loop(lambda: {n for n, digest in self.digests.items() if digest in models})

    def switch(self, revision, *routes):
        self.worker.publish(revision, *routes)
        assert self.worker.prepare(revision) is None
        self.worker.activate(revision)

    def count(self, metric, *labels):
        self.worker.on_loop(self.worker.worker._slot.flush)
        return read_totals(self.worker.layout.metrics).get((metric, labels), [0])[0]


class Gate:
    """Lets warm-ups of models pass, or not."""

    def __init__(self, monkeypatch):
        self.open = threading.Event()
        self.open.set()
        self.waiting = 0
        monkeypatch.setattr("modelport.runtime.model.LoadedModel.warm_up", self._warm_up)

    def _warm_up(self):
        self.waiting += 1
        assert self.open.wait(20)
        self.waiting -= 1


@pytest.fixture
def gate(monkeypatch):
    made = Gate(monkeypatch)
    yield made
    made.open.set()


def test_every_endpoint_answers_though_one_model_fits(tmp_path):
    many = Many(tmp_path, 5)
    with many.worker as worker:
        for turn in range(3):
            for number in many.digests:
                answer = worker.ask(f"e{number}", [[turn, 7]])
                assert (answer.status, answer.json) == (200, right(number, (turn, 7)))
                assert answer.headers["x-modelport-model-version"] == f"m:{number}"
        assert len(many.held()) == 1
        assert many.count(metrics.COLD_REQUESTS, "loaded") >= 14
        assert many.count(metrics.MODEL_UNLOADS, "memory") >= 14
        page = worker.get("/metrics").body.decode()
        assert "modelport_models_in_memory 1\n" in page
        assert "modelport_model_memory_bytes " in page


def test_models_that_fit_stay(tmp_path):
    many = Many(tmp_path, 5, model_memory_bytes_max=1 << 30)
    with many.worker as worker:
        assert many.held() == set(many.digests)  # before the first request
        for number in many.digests:
            assert worker.ask(f"e{number}", [[0, 0]]).json == right(number)
        assert many.count(metrics.COLD_REQUESTS, "loaded") == 0
        assert many.count(metrics.MODEL_UNLOADS, "memory") == 0


def test_what_is_not_loaded_at_the_start_follows_while_it_serves(tmp_path, gate):
    gate.open.clear()
    many = Many(tmp_path, 5, model_memory_bytes_max=1 << 30, start_load_s=0.0)
    with many.worker as worker:
        assert worker.get("/readyz").status == 200
        assert many.held() == set()
        gate.open.set()
        _wait(lambda: many.held() == set(many.digests))


def test_requests_for_one_model_share_its_load(tmp_path, gate):
    many = Many(tmp_path, 3)
    with many.worker as worker, ThreadPoolExecutor(8) as pool:
        assert worker.ask("e1", [[0, 0]]).status == 200
        before = many.count(metrics.MODEL_LOADS, "loaded")
        gate.open.clear()
        answers = [pool.submit(worker.ask, "e2", [[row, 0]]) for row in range(8)]
        _wait(lambda: _waiting(many) == 8)
        assert worker.ask("e1", [[0, 0]]).json == right(1)  # the others are served meanwhile
        gate.open.set()
        assert [answer.result().json for answer in answers] == [right(2, (row, 0)) for row in range(8)]
        assert many.count(metrics.MODEL_LOADS, "loaded") == before + 1


def test_a_deadline_passes_while_the_model_is_loaded(tmp_path, gate):
    many = Many(tmp_path, 2)
    with many.worker as worker:
        assert worker.ask("e1", [[0, 0]]).status == 200
        gate.open.clear()
        answer = worker.ask("e2", [[0, 0]], {"X-Modelport-Timeout-Ms": "50"})
        assert answer.status == 504
        assert "before the model was loaded" in answer.json["Message"]
        assert _waiting(many) == 0
        gate.open.set()
        assert worker.ask("e2", [[0, 0]]).json == right(2)
        assert many.count(metrics.COLD_REQUESTS, "late") == 1
        assert many.count(metrics.REQUESTS, "e2", "v", "m:2", "invocations", "504") == 1


def test_a_model_whose_clients_went_away_is_not_loaded(tmp_path, gate):
    many = Many(tmp_path, 3)
    with many.worker as worker, ThreadPoolExecutor(2) as pool:
        assert worker.ask("e1", [[0, 0]]).status == 200
        gate.open.clear()
        first = pool.submit(worker.ask, "e2", [[0, 0]])
        _wait(lambda: gate.waiting == 1)
        loads = many.count(metrics.MODEL_LOADS, "loaded")
        with worker.connect() as connection:
            connection.sendall(
                b"POST /endpoints/e3/invocations HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\nContent-Length: 7\r\n\r\n[[0,0]]"
            )
            _wait(lambda: _waiting(many) == 2)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        _wait(lambda: len(worker.worker.server.connections) == 1)
        gate.open.set()
        assert first.result().json == right(2)
        _wait(lambda: _waiting(many) == 0)
        assert many.count(metrics.MODEL_LOADS, "loaded") == loads + 1
        assert many.count(metrics.COLD_REQUESTS, "gone") == 1
        assert many.count(metrics.REQUESTS, "e3", "v", "m:3", "invocations", "499") == 1


def test_a_wait_and_those_who_wait_are_bounded(tmp_path, gate):
    many = Many(tmp_path, 4, cold_wait_s=0.3, cold_requests_max=2)
    with many.worker as worker, ThreadPoolExecutor(4) as pool:
        assert worker.ask("e3", [[0, 0]]).status == 200
        gate.open.clear()
        waiting = [pool.submit(worker.ask, f"e{number}", [[0, 0]]) for number in (1, 2)]
        _wait(lambda: _waiting(many) == 2)
        assert worker.ask("e3", [[0, 0]]).json == right(3)
        refused = worker.ask("e4", [[0, 0]])
        assert (refused.status, refused.headers["x-amzn-errortype"]) == (503, "ServiceUnavailable")
        assert int(refused.headers["retry-after"]) >= 1
        assert "model_memory_bytes_max" in refused.json["Message"]
        for answer in (each.result() for each in waiting):
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert "could not be loaded within 0.3 s" in answer.json["Message"]
        gate.open.set()
        assert worker.ask("e4", [[0, 0]]).json == right(4)


def test_a_model_that_cannot_come_back_says_why(tmp_path):
    many = Many(tmp_path, 3)
    with many.worker as worker:
        for number in many.digests:
            assert worker.ask(f"e{number}", [[0, 0]]).status == 200
        lost = many.worker.store.path(many.digests[1])
        manifest = lost.read_bytes()
        lost.unlink()
        for _ in range(2):
            answer = worker.ask("e1", [[0, 0]])
            assert (answer.status, "retry-after" in answer.headers) == (503, True)
            assert "no artifact" in answer.json["Message"]
        assert worker.ask("e2", [[0, 0]]).json == right(2)
        failures = worker.on_loop(lambda: worker.worker.serving.failures)
        assert list(failures) == [many.digests[1]]  # control hears of it
        lost.write_bytes(manifest)
        many.switch(2, *many.routes())  # as control does to mend it
        assert worker.ask("e1", [[0, 0]]).json == right(1)


def test_a_bad_request_is_refused_after_the_wait_as_before_it(tmp_path):
    many = Many(tmp_path, 2)
    with many.worker as worker:
        for number in (1, 2, 1, 2):
            answer = worker.ask(f"e{number}", b'{"instances": [[1]]}')
            assert answer.status == 400
        assert worker.ask("e1", [[0, 0]], {"Content-Type": "image/png"}).status == 415
        assert worker.on_loop(worker.worker.serving.tables.open) == 0


def test_a_table_keeps_its_models_until_its_requests_are_answered(tmp_path, gate):
    many = Many(tmp_path, 2)
    with many.worker as worker, ThreadPoolExecutor(2) as pool:
        assert worker.ask("e2", [[0, 0]]).status == 200
        gate.open.clear()
        waiting = pool.submit(worker.ask, "e1", [[3, 4]])
        _wait(lambda: gate.waiting == 1)
        many.switch(2, *many.routes(1))  # e1 is undeployed while its model is being loaded
        assert worker.ask("e1", [[0, 0]]).status == 400
        gate.open.set()
        assert waiting.result().json == right(1, (3, 4))
        _wait(lambda: 1 not in many.held())
        assert worker.on_loop(lambda: worker.worker._models.find(many.digests[1])) is None
        assert worker.ask("e2", [[0, 0]]).json == right(2)


def test_a_model_that_is_forgotten_while_it_is_loaded_does_not_stay(tmp_path, gate):
    many = Many(tmp_path, 2)
    with many.worker as worker:
        assert worker.ask("e2", [[0, 0]]).status == 200
        gate.open.clear()
        assert worker.ask("e1", [[0, 0]], {"X-Modelport-Timeout-Ms": "50"}).status == 504
        assert gate.waiting == 1
        many.switch(2, *many.routes(1))
        gate.open.set()
        assert worker.ask("e2", [[0, 0]]).json == right(2)
        assert many.held() == {2}


def test_a_model_at_work_is_not_unloaded(tmp_path, monkeypatch):
    at_work, done = threading.Event(), threading.Event()

    run = LoadedModel.run

    def wait(model, matrix, stop=None):
        if matrix[0, 0] == 77:
            at_work.set()
            assert done.wait(20)
        return run(model, matrix, stop)

    monkeypatch.setattr(LoadedModel, "run", wait)
    slow = lambda _model, _now: line(1.0, 0.0)  # noqa: E731 - in a thread of its own
    monkeypatch.setattr("modelport.dataplane.worker.measure_costs", slow)
    many = Many(tmp_path, 3)
    with many.worker as worker, ThreadPoolExecutor(1) as pool:
        busy = pool.submit(worker.ask, "e1", [[77, 0]])
        assert at_work.wait(20)
        for number in (2, 3):
            assert worker.ask(f"e{number}", [[0, 0]]).json == right(number)
        assert many.held() == {1, 3}
        done.set()
        assert busy.result().json == right(1, (77, 0))
        _wait(lambda: len(many.held()) == 1)  # a second later at the latest: the room is wanted still


def test_a_deploy_loads_only_what_is_new(tmp_path):
    many = Many(tmp_path, 4)
    with many.worker as worker:
        fresh = worker.put(truthful_bundle(9))
        told = []
        worker.publish(2, *many.routes(), served(9, fresh), active=False)
        tell = lambda digest, state, _: told.append((digest, state))  # noqa: E731
        assert worker.call(worker.worker.serving.prepare(2, tell)) is None
        assert told == [(fresh, "loading"), (fresh, "ready")]
        worker.activate(2)
        assert worker.ask("e9", [[0, 0]]).json == right(9)


def test_an_endpoint_that_does_not_change_goes_over_as_it_is(tmp_path):
    many = Many(tmp_path, 2, model_memory_bytes_max=1 << 30)
    with many.worker as worker:
        for number in many.digests:
            worker.ask(f"e{number}", [[0, 0]])
        tables = worker.worker.serving.tables
        before = dict(tables.current.endpoints)
        many.switch(2, served(1, many.digests[1]), served(2, many.digests[1]))
        assert worker.ask("e1", [[0, 0]]).json == right(1)
        assert worker.ask("e2", [[0, 0]]).json == right(1)
        assert tables.current.endpoints["e1"] is before["e1"]
        assert tables.current.endpoints["e2"] is not before["e2"]


def test_shadows_that_are_not_in_memory_get_their_copies(tmp_path):
    many = Many(tmp_path, 3)
    first, second = many.digests[1], many.digests[2]
    many.worker.publish(1, endpoint("e", ("a", "m:1", first, 1.0), ("s", "m:2", second, 1.0), shadow=("s",)))
    with many.worker as worker:
        for number in range(10):
            assert worker.ask("e", [[number, 0]]).json == right(1, (number, 0))
            _wait(lambda: worker.on_loop(worker.worker.serving.tables.open) == 0)
        assert many.count(metrics.REQUESTS, "e", "s", "m:2", "invocations", "200") == 10
        assert many.count(metrics.SHADOW_DROPPED, "e", "s") == 0


def test_what_leaves_memory_is_gone_without_a_collection(tmp_path):
    many = Many(tmp_path, 2)
    with many.worker as worker:
        worker.ask("e1", [[0, 0]])
        models = worker.worker._models
        loaded = worker.on_loop(lambda: weakref.ref(models.find(many.digests[1]).batcher.model))
        gc.disable()
        try:
            worker.ask("e2", [[0, 0]])
            _wait(lambda: loaded() is None)
        finally:
            gc.enable()


def test_a_busy_endpoint_does_not_notice_that_others_come_and_go(tmp_path):
    many = Many(tmp_path, 6)
    routes = [served(number, digest) for number, digest in many.digests.items() if number > 1]
    many.worker.publish(1, served(1, many.digests[1], name="e"), *routes)
    with many.worker as worker:
        with TruthfulLoad(worker.url, "e", connections=8, fresh=2) as load:
            for turn in range(6):
                for number in list(many.digests)[1:]:
                    assert worker.ask(f"e{number}", [[turn, 0]]).json == right(number, (turn, 0))
                many.switch(turn + 2, served(1, many.digests[1], name="e"), *routes)
            _wait(lambda: load.report.answered > 200)
        assert (dict(load.report.failed), load.report.misrouted) == ({}, [])


def test_a_stop_answers_those_who_wait_for_a_model(tmp_path, gate):
    many = Many(tmp_path, 2)
    with many.worker as worker, ThreadPoolExecutor(1) as pool:
        assert worker.ask("e1", [[0, 0]]).status == 200
        gate.open.clear()
        waiting = pool.submit(worker.ask, "e2", [[1, 1]])
        _wait(lambda: _waiting(many) == 1)
        worker._loop.call_soon_threadsafe(worker.worker.stop)
        gate.open.set()
        assert waiting.result().json == right(2, (1, 1))


def _waiting(many):
    return many.worker.on_loop(many.worker.worker.serving.tables.open)


def _wait(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
