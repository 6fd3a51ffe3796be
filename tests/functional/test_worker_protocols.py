"""KServe V1, Arrow, npz, packed bodies and Triton's bodies on SageMaker's path, against a worker."""

from __future__ import annotations

import gzip
import json
import time
import zlib

import numpy as np
import pyarrow as pa
import pytest

from fakes.bundles import truthful_bundle
from fakes.classifier import classifier_bundle, label, on_time
from fakes.malformed_packed import PACKERS
from fakes.rows import arrow_stream, npz
from fakes.serving import WorkerInThread, endpoint
from modelport.jobs.captures import Window, read_captures

ARROW = "application/vnd.apache.arrow.stream"
TRITON = "application/vnd.sagemaker-triton.binary+json"
RECORDS = [
    {"carrier": "UA", "hour": 5, "distance": 5.5},
    {"carrier": "001", "hour": 23, "distance": None},
    {"carrier": "nobody's", "hour": 0, "distance": 40.25},
]
WORDS = [label(record) for record in RECORDS]
LATE = [1 - on_time(**record) for record in RECORDS]


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    worker = WorkerInThread(tmp_path_factory.mktemp("home"), body_bytes_max=4 << 20)
    sums = worker.put(truthful_bundle(1))
    broken = worker.put({**truthful_bundle(3), "serving.onnx": b"not a graph"})
    worker.publish(
        1,
        endpoint("flights", ("v3", "flights:3", worker.put(classifier_bundle()), 1.0)),
        endpoint("sums", ("a", "m:1", sums, 1.0)),
        endpoint("shadowed", ("a", "m:1", sums, 1.0), ("b", "m:1", sums, 0.0), shadow=("b",), capture=100.0),
        endpoint("broken", ("v", "b:1", broken, 1.0)),
    )
    with worker:
        yield worker


def predict(worker, body, headers=None, name="flights"):
    return worker.ask("", body, headers, path=f"/v1/models/{name}:predict")


def check(reply):
    assert reply["predictions"] == WORDS
    assert np.abs(np.array(reply["probabilities"])[:, 0] - LATE).max() < 1e-12


@pytest.mark.parametrize(
    "body",
    [
        {"instances": RECORDS},
        {"instances": RECORDS, "parameters": {}},
        {"instances": RECORDS, "parameters": None},
        {"instances": [[*record.values(), "x"] for record in RECORDS]},
        {"inputs": {name: [record[name] for record in RECORDS] for name in RECORDS[0]}},
    ],
)
def test_v1(worker, body):
    answer = predict(worker, body)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    check(answer.json)


def test_v1_lists_models_and_says_which_are_ready(worker):
    assert worker.get("/v1/models").json == {"models": ["broken", "flights", "shadowed", "sums"]}
    assert worker.get("/v1/models/flights").json == {"name": "flights", "ready": True}
    broken = worker.get("/v1/models/broken")
    assert (broken.status, broken.json["ready"], "retry-after" in broken.headers) == (503, False, True)
    missing = worker.get("/v1/models/nix")
    assert (missing.status, missing.json["error"].startswith("there is no endpoint 'nix'")) == (404, True)


def test_v1_refuses_in_its_own_form(worker):
    for body, headers, name, status, said in (
        ({"instances": [RECORDS[0], RECORDS[0] | {"hour": 99}]}, {}, "flights", 400, 'row 1, feature "hour"'),
        ({"instances": RECORDS, "parameters": {"top": 1}}, {}, "flights", 400, "takes no parameters"),
        ({"instances": RECORDS}, {}, "nix", 404, "there is no endpoint"),
        ({"instances": [[1, 2]]}, {}, "broken", 503, "not loaded"),
        (b"UA,5,1", {"Content-Type": "text/csv"}, "flights", 415, "use application/json"),
        (
            {"instances": RECORDS},
            {"Content-Encoding": "br"},
            "flights",
            415,
            "use one of gzip, deflate, zstd",
        ),
        ({"instances": RECORDS}, {"X-Modelport-Timeout-Ms": "0"}, "flights", 400, "X-Modelport-Timeout-Ms"),
    ):
        answer = predict(worker, body, headers, name)
        assert (answer.status, said in answer.json["error"]) == (status, True), answer.body
        assert ("retry-after" in answer.headers) == (status == 503)
    assert worker.ask("", RECORDS, method="GET", path="/v1/models/flights:predict").status == 405
    assert worker.ask("", RECORDS, path="/v1/models/flights").status == 405
    assert worker.ask("", RECORDS, path="/v1/models/flights:explain").status == 404


@pytest.mark.parametrize("encoding", PACKERS)
def test_packed_bodies_are_unpacked_and_kept_so(worker, encoding):
    body = PACKERS[encoding](json.dumps([[1, 2], [3, 4]]).encode())
    asked = {"Content-Encoding": encoding, "X-Amzn-SageMaker-Inference-Id": encoding}
    assert worker.ask("shadowed", body, asked).json == {"predictions": [1003.0, 1007.0]}


def test_packed_bodies_have_limits(worker):
    for packed, status in (
        (gzip.compress(b" " * (5 << 20) + b"[[1,2]]"), 413),  # more than body_bytes_max
        (gzip.compress(b" " * (2 << 20) + b"[[1,2]]"), 413),  # a thousand to one
        (gzip.compress(b" " * (1 << 19) + b"[[1,2]]"), 200),
        (zlib.compress(b"[[1,2]]"), 400),
    ):
        answer = worker.ask("sums", packed, {"Content-Encoding": "gzip"})
        assert answer.status == status, answer.body


def batches(*tables):
    types = pa.schema(
        [("carrier", pa.dictionary(pa.int8(), pa.string())), ("hour", pa.int16()), ("distance", pa.float32())]
    )
    return arrow_stream(*[pa.RecordBatch.from_pylist(rows, types) for rows in tables])


def test_arrow_in_and_out(worker):
    body = batches(RECORDS[:1], RECORDS[1:])
    check(worker.ask("flights", body, {"Content-Type": ARROW}).json)
    for content_type, sent in ((ARROW, body), ("application/json", json.dumps(RECORDS).encode())):
        answer = worker.ask("flights", sent, {"Content-Type": content_type, "Accept": ARROW})
        assert (answer.status, answer.headers["content-type"]) == (200, ARROW)
        columns = pa.ipc.open_stream(answer.body).read_all().to_pydict()
        assert columns["prediction"] == WORDS
        assert np.abs(np.array(columns["probability_late"]) - LATE).max() < 1e-12
    views = pa.RecordBatch.from_pylist(RECORDS).cast(
        pa.schema([("carrier", pa.string_view()), ("hour", pa.int64()), ("distance", pa.float64())])
    )
    check(worker.ask("flights", arrow_stream(views), {"Content-Type": ARROW}).json)
    packed = {"Content-Type": ARROW, "Content-Encoding": "zstd"}
    check(worker.ask("flights", PACKERS["zstd"](body), packed).json)


def test_views_that_share_their_bytes_are_refused(worker):
    long = pa.array(["x" * (3 << 20)], pa.string_view())
    many = pa.Array.from_buffers(
        pa.string_view(), 1000, [None, pa.py_buffer(long.buffers()[1].to_pybytes() * 1000), long.buffers()[2]]
    )
    numbers = pa.array([0] * 1000)
    body = arrow_stream(pa.RecordBatch.from_arrays([many, numbers, numbers], ["carrier", "hour", "distance"]))
    answer = worker.ask("flights", body, {"Content-Type": ARROW})
    assert (answer.status, answer.json["feature"]) == (400, "carrier")
    assert "bytes of text" in answer.json["Message"]


def test_npz(worker):
    columns = {name: np.array([record[name] for record in RECORDS]) for name in ("carrier", "hour")}
    columns["distance"] = np.array([5.5, np.nan, 40.25], np.float32)
    asked = {"Content-Type": "application/x-npz"}
    check(worker.ask("flights", npz(columns), asked).json)
    check(worker.ask("flights", npz(columns, packed=True), asked).json)
    matrix = worker.ask("sums", npz({"input": np.array([[1, 2], [3, 4]])}), asked)
    assert matrix.json == {"predictions": [1003.0, 1007.0]}
    bomb = worker.ask("sums", npz({"input": np.zeros((1 << 17, 2))}, packed=True), asked)
    assert bomb.status == 413


def test_a_v2_body_on_sagemakers_path_is_answered_in_kind(worker):
    tensor = {"name": "input", "shape": [1, 2], "datatype": "FP64", "parameters": {"binary_data_size": 16}}
    head = json.dumps({"id": "7", "inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    body = head + np.array([1.0, 2.0]).tobytes()
    for accept in (None, "*/*", f"{TRITON};json-header-size=1"):
        headers = {"Content-Type": f"{TRITON};json-header-size={len(head)}"}
        answer = worker.ask("sums", body, headers | ({} if accept is None else {"Accept": accept}))
        media, size = answer.headers["content-type"].split(";json-header-size=")
        assert media == TRITON
        assert json.loads(answer.body[: int(size)])["id"] == "7"
        assert np.frombuffer(answer.body[int(size) :]).tolist() == [1003.0]
    assert worker.ask("sums", body, headers | {"Accept": "text/csv"}).status == 406
    assert worker.ask("sums", body, {"Content-Type": f"{TRITON};json-header-size=x"}).status == 415


def test_captured_bodies_are_kept_unpacked(worker):
    for encoding, pack in PACKERS.items():
        worker.ask("shadowed", pack(b"[[5,6]]"), {"Content-Encoding": encoding})
    for _ in range(500):  # the shadow answers after the reply
        if not worker.on_loop(worker.worker.serving.tables.open):
            break
        time.sleep(0.01)
    worker.on_loop(worker.worker._capture.close)
    for variant in ("a", "b"):
        kept = [
            one.asked
            for one in read_captures(worker.layout.captures / "shadowed" / variant, Window(), {})
            if one.asked[1] == b"[[5,6]]"
        ]
        assert kept == [("application/json", b"[[5,6]]")] * 3
