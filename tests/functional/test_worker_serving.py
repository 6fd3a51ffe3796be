"""A worker serves what its tables say, through switches, failures, shadows and slow models."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter

import pytest

from fakes.bundles import truthful_bundle
from fakes.callers import callers
from fakes.classifier import classifier_bundle, label, on_time
from fakes.serving import WorkerInThread, endpoint
from fakes.truthful import TruthfulLoad
from modelport.telemetry import metrics
from modelport.telemetry.slots import read_totals

SWITCHES = 40


def one(digest, version, *, variant=None, **more):
    return endpoint("e", (variant or f"v{version}", f"m:{version}", digest, 1.0), **more)


def test_switching_under_load_fails_and_misroutes_nothing(tmp_path):
    worker = WorkerInThread(tmp_path)
    digests = [worker.put(truthful_bundle(version)) for version in (1, 2, 3)]
    worker.publish(1, one(digests[0], 1))
    with worker:
        with TruthfulLoad(worker.url, "e", connections=16, fresh=8) as load:
            for revision in range(2, SWITCHES + 2):
                version = revision % 3 + 1
                before = load.report.answered
                worker.publish(revision, one(digests[version - 1], version))
                assert worker.prepare(revision) is None
                worker.activate(revision)
                _wait(lambda before=before: load.report.answered > before + 50)
        report = load.report
        assert (dict(report.failed), report.misrouted) == ({}, [])
        assert set(report.versions) == {1, 2, 3}
        _wait(lambda: not worker.worker.serving.tables.draining)
        held = worker.on_loop(lambda: [digest in worker.worker._models for digest in digests])
        assert sum(held) == 1  # what nothing needs is unloaded


def test_shares_targets_and_headers(tmp_path):
    worker = WorkerInThread(tmp_path)
    first, second = (worker.put(truthful_bundle(version)) for version in (1, 2))
    worker.publish(1, endpoint("e", ("a", "m:1", first, 3.0), ("b", "m:2", second, 1.0)))
    with worker:
        seen = Counter()
        for _ in range(400):
            answer = worker.ask("e", [[0, 0]])
            variant = answer.headers["x-amzn-invoked-production-variant"]
            assert answer.json == {"predictions": [{"a": 1000.0, "b": 2000.0}[variant]]}
            assert answer.headers["x-modelport-model-version"] == {"a": "m:1", "b": "m:2"}[variant]
            seen[variant] += 1
        assert 240 <= seen["a"] <= 360
        for variant in ("a", "b"):
            answer = worker.ask("e", [[0, 0]], {"X-Amzn-SageMaker-Target-Variant": variant})
            assert answer.headers["x-amzn-invoked-production-variant"] == variant
        answer = worker.ask("e", [[0, 0]], {"X-Amzn-SageMaker-Target-Variant": "c"})
        assert (answer.status, answer.headers["x-amzn-errortype"]) == (400, "ValidationError")
        assert "a, b" in answer.json["Message"]


@pytest.mark.parametrize(("allowed", "calls"), [(0.0, 8), (1e-9, 1)])
def test_a_model_that_depends_on_the_rows_beside_its_own_runs_requests_one_by_one(tmp_path, allowed, calls):
    worker = WorkerInThread(tmp_path, batch_difference_max=allowed)
    worker.publish(1, one(worker.put(truthful_bundle(1), batch_difference=1e-10), 1))
    with worker:
        clients = [worker.connect() for _ in range(8)]
        for client in clients:  # each is known to the loop once it is answered
            client.sendall(_request([[1, 1]]))
            assert client.recv(4096)
        blocked, go = threading.Event(), threading.Event()

        def block():
            blocked.set()
            assert go.wait(10)

        blocking = threading.Thread(target=worker.on_loop, args=(block,))
        blocking.start()
        assert blocked.wait(10)
        for client in clients:  # all are there when the loop looks again
            client.sendall(_request([[1, 1]]))
        go.set()
        blocking.join()
        for client in clients:
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
            client.close()
    sizes = read_totals(worker.layout.metrics)[metrics.BATCH_SIZE, ("e", "v1", "m:1")]
    assert sum(sizes[:-1]) == 8 + calls


def _request(rows):
    body = json.dumps(rows).encode()
    head = "POST /endpoints/e/invocations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def test_prediction_ids(tmp_path):
    worker = WorkerInThread(tmp_path)
    worker.publish(1, one(worker.put(truthful_bundle(1)), 1))
    with worker:
        ids = {worker.ask("e", [[0, 0]]).headers["x-modelport-prediction-id"] for _ in range(50)}
        assert len(ids) == 50
        own = worker.ask("e", [[0, 0]], {"X-Amzn-SageMaker-Inference-Id": "order-7"})
        assert own.headers["x-modelport-prediction-id"] == "order-7"
        assert worker.ask("e", [[0, 0]], {"X-Amzn-SageMaker-Inference-Id": "a" * 65}).status == 400


def test_one_bad_row_harms_no_neighbour(tmp_path):
    worker = WorkerInThread(tmp_path)
    worker.publish(1, endpoint("c", ("v1", "c:1", worker.put(classifier_bundle()), 1.0)))
    good = [{"carrier": name, "hour": hour, "distance": 5.0} for name in ("UA", "?") for hour in range(24)]
    bad = [
        b"",
        b"{",
        b"[[]]",
        b'{"hour": 1}',
        b'[{"carrier":"UA","hour":99,"distance":1}]',
        b"\xff\xfe",
        b"null",
    ]
    wrong: list[str] = []

    def ask(record):
        answer = worker.ask("c", record)
        if answer.status != 200 or answer.json["predictions"] != [label(record)]:
            wrong.append(str((record, answer.status, answer.body)))
        elif abs(answer.json["probabilities"][0][1] - on_time(**record)) > 1e-12:
            wrong.append(str((record, answer.json)))

    def spoil(body):
        answer = worker.ask("c", body)
        if answer.status != 400 or "Message" not in answer.json:
            wrong.append(str((body, answer.status, answer.body)))

    with worker:
        threads = [threading.Thread(target=ask, args=(record,)) for record in good * 3]
        threads += [threading.Thread(target=spoil, args=(body,)) for body in bad * 10]
        for pair in zip(threads[::2], threads[1::2], strict=False):
            for thread in pair:
                thread.start()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    assert wrong == []


def test_content_types_and_what_nothing_reads_or_writes(tmp_path):
    worker = WorkerInThread(tmp_path)
    worker.publish(1, one(worker.put(truthful_bundle(1)), 1))
    with worker:
        csv = worker.ask("e", b"1,2\n3,4\n", {"Content-Type": "text/csv", "Accept": "text/csv"})
        assert (csv.status, csv.body.split()) == (200, [b"1003.0", b"1007.0"])
        assert csv.headers["content-type"] == "text/csv"
        assert worker.ask("e", b"x", {"Content-Type": "image/png"}).status == 415
        packed = worker.ask("e", b"\x1f\x8b", {"Content-Type": "text/csv", "Content-Encoding": "br"})
        assert (
            packed.status,
            """nothing unpacks "br\"; use one of gzip, deflate, zstd""" in packed.json["Message"],
        ) == (415, True)
        assert worker.ask("e", [[1, 2]], {"Accept": "image/png"}).status == 406
        assert worker.ask("nix", [[1, 2]]).status == 400


def test_a_model_that_does_not_load_fails_alone(tmp_path):
    worker = WorkerInThread(tmp_path)
    good = worker.put(truthful_bundle(1))
    broken = worker.put({**truthful_bundle(2), "serving.onnx": b"not a graph"})
    worker.publish(
        1,
        one(good, 1),
        endpoint("broken", ("v", "b:1", broken, 1.0)),
        endpoint("gone", ("v", "g:1", "0" * 64, 1.0)),
    )
    with worker:
        assert worker.ask("e", [[0, 0]]).status == 200
        for name, reason in (("broken", "ONNX Runtime"), ("gone", "no artifact")):
            answer = worker.ask(name, [[0, 0]])
            assert answer.status == 503
            assert answer.headers["x-amzn-errortype"] == "ServiceUnavailable"
            assert "retry-after" in answer.headers
            assert reason in answer.json["Message"]
        assert worker.get("/readyz").status == 200
        # What failed before blocks nobody else's deploy; what is new is refused with its reason.
        worker.publish(
            2,
            one(good, 1),
            endpoint("broken", ("v", "b:1", broken, 1.0)),
            endpoint("second", ("v", "m:1", good, 1.0)),
            active=False,
        )
        assert worker.prepare(2) is None
        worker.publish(3, one(good, 1), endpoint("new", ("v", "b:1", broken, 1.0)), active=False)
        digest, reason = worker.prepare(3)
        assert digest == broken
        assert "ONNX Runtime" in reason
        assert worker.ask("e", [[0, 0]]).status == 200


def test_unreadable_routes_do_not_keep_a_worker_from_starting(tmp_path):
    worker = WorkerInThread(tmp_path)
    (worker.layout.routes / "active").write_text("7")
    (worker.layout.routes / "000000000007.json").write_text("{")
    with worker:
        assert worker.get("/livez").status == 200
        assert worker.ask("e", [[0, 0]]).status == 400


def test_a_hanging_model_meets_its_deadline_and_stalls_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr("modelport.dataplane.worker.measure_costs", _all_slow)
    monkeypatch.setattr("modelport.runtime.model.LoadedModel.warm_up", lambda *_: None)
    worker = WorkerInThread(tmp_path, pending_requests_max=4, drain_timeout_s=0.2)
    slow, fast = worker.put(_stuck_bundle()), worker.put(truthful_bundle(1))
    worker.publish(1, endpoint("slow", ("v", "s:1", slow, 1.0)), one(fast, 1))
    answers = []

    def ask():
        began = time.monotonic()
        answer = worker.ask("slow", [[0, 0]], {"X-Modelport-Timeout-Ms": "700"})
        answers.append((answer, time.monotonic() - began))

    _stuck.clear()
    with worker:
        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        _wait(lambda: len(answers) == 2)  # more wait than may
        for answer, taken in answers:
            assert answer.status == 503
            assert answer.headers["retry-after"] == "1"
            assert taken < 0.5
        began = time.monotonic()
        for _ in range(20):
            assert worker.ask("e", [[0, 0]]).status == 200
        assert time.monotonic() - began < 0.6
        for thread in threads:
            thread.join()
        late = answers[2:]
        assert [answer.status for answer, _ in late] == [504] * 4
        assert all(0.65 < taken < 1.2 for _, taken in late)
        _stuck.set()
        _wait(lambda: worker.worker.serving.tables.open() == 0)
        assert worker.ask("slow", [[0, 0]]).json == {"predictions": [1000.0]}


_stuck = threading.Event()


def _all_slow(model, _now):
    from fakes.costs import line

    run = model.run
    if model.signature.features[0].name == "stuck":

        def wait(matrix, stop=None):
            assert _stuck.wait(20)
            return run(matrix, stop)

        model.run = wait
        return line(1.0, 0.0)
    return line(1e-6, 1e-7)


def _stuck_bundle():
    files = truthful_bundle(1)
    signature = json.loads(files["signature.json"])
    signature["features"][0]["name"] = "stuck"
    return {**files, "signature.json": json.dumps(signature).encode()}


def test_shadows_get_copies_and_are_never_heard(tmp_path):
    worker = WorkerInThread(tmp_path)
    first, second = (worker.put(truthful_bundle(version)) for version in (1, 2))
    broken = worker.put({**truthful_bundle(3), "serving.onnx": b"no"})
    worker.publish(
        1,
        endpoint(
            "e",
            ("a", "m:1", first, 1.0),
            ("s", "m:2", second, 1.0),
            ("t", "m:3", broken, 1.0),
            shadow=("s", "t"),
            capture=100.0,
        ),
    )
    with worker:
        for number in range(20):
            answer = worker.ask("e", [[number, 0]], {"X-Amzn-SageMaker-Inference-Id": f"id-{number}"})
            assert answer.json == {"predictions": [1000.0 + number]}
        assert worker.ask("e", [[0, 0]], {"X-Amzn-SageMaker-Target-Variant": "s"}).status == 400
    totals = read_totals(worker.layout.metrics)
    assert totals[metrics.REQUESTS, ("e", "s", "m:2", "invocations", "200")] == [20]
    assert totals[metrics.SHADOW_DROPPED, ("e", "t")] == [20]
    captured = {variant: _captured(worker, "e", variant) for variant in ("a", "s")}
    for variant, step in (("a", 1000.0), ("s", 2000.0)):
        by_id = {record["eventMetadata"]["eventId"]: record for record in captured[variant]}
        assert set(by_id) == {f"id-{number}" for number in range(20)}
        for number in range(20):
            data = json.loads(by_id[f"id-{number}"]["captureData"]["endpointOutput"]["data"])
            assert data == {"predictions": [step + number]}


def test_tokens_are_asked_for_where_they_are_configured(tmp_path):
    tokens = [("app", "endpoints:invoke", "good"), ("reader", "status:read", "reader")]
    worker = WorkerInThread(tmp_path, {"callers": callers(tmp_path, tokens)})
    worker.publish(1, one(worker.put(truthful_bundle(1)), 1))
    good, reader = {"Authorization": "Bearer good"}, {"Authorization": "Bearer reader"}
    with worker:
        assert worker.ask("e", [[0, 0]], good).status == 200
        assert worker.ask("e", [[0, 0]], reader).status == 403
        refused = worker.ask("e", [[0, 0]])
        assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert refused.headers["x-amzn-errortype"] == "AccessDeniedException"
        assert worker.get("/metrics").status == 401
        assert worker.get("/metrics", good).status == 403
        assert worker.get("/metrics", reader).status == 200
        assert worker.get("/livez").status == worker.get("/readyz").status == 200
        with worker.connect() as connection:  # refused before its body is sent
            connection.sendall(
                b"POST /endpoints/e/invocations HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Length: 10000000\r\n\r\n"
            )
            assert connection.recv(100).startswith(b"HTTP/1.1 401 ")


def test_a_stop_answers_what_is_open(tmp_path):
    worker = WorkerInThread(tmp_path)
    worker.publish(1, one(worker.put(truthful_bundle(1)), 1))
    with worker:
        load = TruthfulLoad(worker.url, "e", connections=4, fresh=0)
        with load:
            _wait(lambda: load.report.answered > 100)
            load.stopping = True  # each connection finishes its request
            worker.stop()
        assert load.report.failed == Counter()
        assert load.report.misrouted == []


def test_metrics_count_what_was_answered(tmp_path):
    worker = WorkerInThread(tmp_path)
    worker.publish(1, one(worker.put(truthful_bundle(1)), 1))
    with worker:
        for _ in range(7):
            worker.ask("e", [[0, 0], [1, 1]])
        worker.ask("e", b"{")
        worker.ask("other", [[0, 0]])
        text = worker.get("/metrics").body.decode()
        labels = 'endpoint="e",variant="v1",version="m:1"'
        assert f'modelport_requests_total{{{labels},protocol="invocations",code="200"}} 7' in text
        assert f'modelport_requests_total{{{labels},protocol="invocations",code="400"}} 1' in text
        assert 'modelport_http_refused_total{code="400"} 1' in text
        assert f"modelport_request_duration_seconds_count{{{labels}}} 7" in text
        assert f"modelport_batch_size_sum{{{labels}}} 14" in text
        assert "modelport_inflight_requests 0" in text
        assert 'modelport_worker_rss_bytes{worker="0"}' in text
        assert "modelport_build_info{version=" in text
        assert "other" not in text


def test_a_marked_model_is_tried_elsewhere_before_it_is_loaded_again(tmp_path):
    tried = []

    def try_model(digest):
        tried.append(digest)
        return None if digest == innocent else "it aborted the process that loaded it"

    worker = WorkerInThread(tmp_path, {"try_model": try_model})
    innocent, guilty, other = (worker.put(truthful_bundle(version)) for version in (1, 2, 3))
    for digest in (innocent, guilty):
        (worker.layout.marks / f"0-{digest}").touch()
    (worker.layout.marks / f"1-{other}").touch()  # another worker's
    worker.publish(
        1,
        endpoint("innocent", ("v", "m:1", innocent, 1.0)),
        endpoint("guilty", ("v", "m:2", guilty, 1.0)),
        endpoint("other", ("v", "m:3", other, 1.0)),
    )
    with worker:
        assert worker.ask("other", [[0, 0]]).status == 200
        _wait(lambda: worker.ask("innocent", [[0, 0]]).status == 200)
        _wait(lambda: len(tried) == 2)
        answer = worker.ask("guilty", [[0, 0]])
        assert answer.status == 503
    assert sorted(path.name for path in worker.layout.marks.iterdir()) == sorted(
        [f"0-{guilty}", f"1-{other}"]
    )


def test_a_marked_model_is_refused_where_nothing_can_try_it(tmp_path):
    worker = WorkerInThread(tmp_path)
    digest = worker.put(truthful_bundle(1))
    (worker.layout.marks / f"0-{digest}").touch()
    worker.publish(1, one(digest, 1))
    with worker:
        answer = worker.ask("e", [[0, 0]])
        assert answer.status == 503
        assert "crashed its process while loading" in answer.json["Message"]
        worker.publish(2, one(digest, 1, variant="again"), active=False)
        assert worker.prepare(2) == (digest, "it crashed its process while loading")
        (worker.layout.marks / f"0-{digest}").unlink()  # control did, after a canary lived
        assert worker.prepare(2) is None
        worker.activate(2)
        assert worker.ask("e", [[0, 0]]).status == 200


@pytest.mark.parametrize("value", ["0", "-5", "1.5", "soon"])
def test_a_timeout_that_is_no_number_is_refused(tmp_path, value):
    worker = WorkerInThread(tmp_path)
    worker.publish(1, one(worker.put(truthful_bundle(1)), 1))
    with worker:
        answer = worker.ask("e", [[0, 0]], {"X-Modelport-Timeout-Ms": value})
        assert answer.status == 400
        assert "X-Modelport-Timeout-Ms" in answer.json["Message"]


def _captured(worker, name, variant):
    lines = []
    for path in (worker.layout.captures / name / variant).rglob("*.jsonl"):
        lines.extend(path.read_text().splitlines())
    return [json.loads(line) for line in lines]


def _wait(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_answers_with_infinity_are_counted_for_their_variant_and_no_others(tmp_path):
    worker = WorkerInThread(tmp_path)
    worker.publish(1, one(worker.put(truthful_bundle(1)), 1))
    huge = [1.5e308, 1.5e308]
    with worker:
        assert worker.ask("e", [[1, 2]]).json == {"predictions": [1003.0]}
        assert worker.ask("e", [[1, 2], huge]).json == {"predictions": [1003.0, None]}
        assert worker.ask("e", [[1.5e308, 0.0], [1.5e308, 0.0]]).json["predictions"] == [1.5e308] * 2
        assert worker.ask("e", [[1, 2]] * 5_000 + [huge]).json["predictions"][-1] is None
        worker.on_loop(worker.worker._write_numbers)
        counted = read_totals(worker.layout.metrics)[(metrics.NONFINITE, ("e", "v1", "m:1"))]
    assert counted == [2.0]
