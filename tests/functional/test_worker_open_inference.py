"""The public Triton client, unmodified, against a worker: Open Inference Protocol V2."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from fakes.bundles import truthful_bundle
from fakes.classifier import classifier_bundle, label, on_time
from fakes.serving import WorkerInThread, endpoint
from modelport.jobs.captures import Window, read_captures

RECORDS = [
    {"carrier": "UA", "hour": 5, "distance": 5.5},
    {"carrier": "001", "hour": 23, "distance": None},
    {"carrier": "nobody's", "hour": 0, "distance": 40.25},
]
PROBABILITIES = [[1 - on_time(**record), on_time(**record)] for record in RECORDS]


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    worker = WorkerInThread(tmp_path_factory.mktemp("home"))
    sums = [worker.put(truthful_bundle(version)) for version in (1, 2)]
    broken = worker.put({**truthful_bundle(3), "serving.onnx": b"not a graph"})
    worker.publish(
        1,
        endpoint("flights", ("v3", "flights:3", worker.put(classifier_bundle()), 1.0)),
        endpoint("sums", ("a", "m:1", sums[0], 1.0), ("b", "m:2", sums[1], 0.0)),
        endpoint("broken", ("v", "b:1", broken, 1.0)),
        endpoint("kept", ("v", "m:1", sums[0], 1.0), capture=100.0),
    )
    with worker:
        yield worker


@pytest.fixture
def client(worker):
    client = triton.InferenceServerClient(f"127.0.0.1:{worker.port}")
    yield client
    client.close()


def tensor(name, values, datatype, *, binary=True, shape=None):
    kinds = {
        "BYTES": np.object_,
        "FP64": np.float64,
        "FP32": np.float32,
        "FP16": np.float16,
        "BOOL": np.bool_,
    }
    array = np.array(values, kinds.get(datatype) or datatype.lower())
    made = triton.InferInput(name, shape or list(array.shape), datatype)
    made.set_data_from_numpy(array if shape is None else array.reshape(shape), binary_data=binary)
    return made


def columns(*, binary, shape=None, distance="FP64"):
    empty = float("nan") if binary else None
    distances = [empty if each["distance"] is None else each["distance"] for each in RECORDS]
    made = [
        tensor("carrier", [each["carrier"] for each in RECORDS], "BYTES", binary=binary, shape=shape),
        tensor("hour", [each["hour"] for each in RECORDS], "INT64", binary=binary, shape=shape),
    ]
    if binary:
        return [*made, tensor("distance", distances, distance, shape=shape)]
    plain = tensor("distance", [0.0] * 3, distance, binary=False, shape=shape)
    plain._data = distances  # NumPy has no null
    return [*made, plain]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("shape", [None, [3, 1]])
@pytest.mark.parametrize("outputs", ["all", "none", "some", "mixed"])
def test_columns(client, binary, shape, outputs):
    asked = {
        "none": None,
        "all": [triton.InferRequestedOutput(name) for name in ("predictions", "probabilities")],
        "some": [triton.InferRequestedOutput("probabilities", binary_data=False)],
        "mixed": [
            triton.InferRequestedOutput("probabilities", binary_data=True),
            triton.InferRequestedOutput("predictions", binary_data=False),
        ],
    }[outputs]
    result = client.infer("flights", columns(binary=binary, shape=shape), outputs=asked, request_id="no. 7")
    assert np.abs(result.as_numpy("probabilities") - PROBABILITIES).max() < 1e-12
    words = result.as_numpy("predictions")
    if outputs == "some":
        assert words is None
    else:
        assert [_text(word) for word in words] == [label(record) for record in RECORDS]
    reply = result.get_response()
    assert (reply["id"], reply["model_name"], reply["model_version"]) == ("no. 7", "flights", "3")
    assert [each["name"] for each in reply["outputs"]] == {
        "some": ["probabilities"],
        "mixed": ["probabilities", "predictions"],
    }.get(outputs, ["predictions", "probabilities"])


def _text(word):
    return word.decode() if isinstance(word, bytes) else word


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_packed_bodies(client, algorithm):
    result = client.infer("flights", columns(binary=True), request_compression_algorithm=algorithm)
    assert np.abs(result.as_numpy("probabilities") - PROBABILITIES).max() < 1e-12


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(
    ("datatype", "widened"),
    [("FP64", None), ("FP32", "FP32"), ("FP16", "FP16")]
    + [(f"{sign}INT{bits}", None) for sign in ("", "U") for bits in (8, 16, 32, 64)],
)
def test_a_matrix(client, binary, datatype, widened):
    rows = [[1, 2], [30, 4], [0.5, 0.1]] if datatype.startswith("FP") else [[1, 2], [30, 4]]
    given = tensor("input", rows, datatype, binary=binary)
    reply = client.infer("sums", [given], outputs=[triton.InferRequestedOutput("predictions")])
    held = np.array(rows, {"FP16": np.float16, "FP32": np.float32}.get(datatype, np.float64))
    assert reply.as_numpy("predictions").tolist() == (held.astype(np.float64).sum(axis=1) + 1000).tolist()
    assert reply.get_response().get("parameters") == (widened and {"widened_to_fp64": widened})
    assert reply.get_output("predictions")["datatype"] == "FP64"


def test_versions(client):
    rows = [tensor("input", [[1, 1]], "FP64")]
    for _ in range(20):  # a version is chosen whatever its weight
        for version, expected in (("", 1002), ("1", 1002), ("2", 2002)):
            assert client.infer("sums", rows, model_version=version).as_numpy("predictions") == [expected]
    with pytest.raises(
        InferenceServerException, match="does not serve version '3'; its versions: 1, 2"
    ) as no:
        client.infer("sums", rows, model_version="3")
    assert no.value.status() == "404"
    with pytest.raises(InferenceServerException, match="there is no endpoint 'nix'") as no:
        client.infer("nix", rows)
    assert no.value.status() == "404"


def test_health_and_metadata(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    for name, version, ready in (
        ("flights", "", True), ("flights", "3", True), ("sums", "2", True), ("flights", "4", False),
        ("broken", "", False), ("broken", "1", False), ("nix", "", False),
    ):  # fmt: skip
        assert client.is_model_ready(name, version) is ready, (name, version)
    assert client.get_model_metadata("flights") == {
        "name": "flights",
        "versions": ["3"],
        "platform": "onnx_onnxv1",
        "inputs": [
            {"name": "carrier", "datatype": "BYTES", "shape": [-1]},
            {"name": "hour", "datatype": "INT64", "shape": [-1]},
            {"name": "distance", "datatype": "FP64", "shape": [-1]},
            {"name": "note", "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [
            {"name": "predictions", "datatype": "BYTES", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP64", "shape": [-1, 2]},
        ],
    }
    sums = client.get_model_metadata("sums")
    assert sums["versions"] == ["1", "2"]
    assert sums["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, 2]}]
    assert client.get_model_metadata("sums", "2")["versions"] == ["2"]
    for name, version, status in (("nix", "", "404"), ("sums", "3", "404"), ("broken", "", "503")):
        with pytest.raises(InferenceServerException) as no:
            client.get_model_metadata(name, version)
        assert no.value.status() == status


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([tensor("input", [[1, 2, 3]], "FP64")], r"found shape \[1, 3\], expected \[n, 2\]"),
        ([tensor("input", [1, 2], "FP64")], r"found shape \[2\], expected \[n, 2\]"),
        ([tensor("input", [[1, 2], [3, np.nan]], "FP64")], 'row 1, feature "x1": found NaN, expected double'),
        (
            [tensor("input", [[1, 2], [2**53 + 1, 3]], "INT64")],
            'row 1, feature "x0": found the integer 900719',
        ),
        ([tensor("input", [["1", "x"]], "BYTES")], 'row 0, feature "x1": found "x", expected double'),
        ([tensor("input", [[True, False]], "BOOL")], 'row 0, feature "x0": found true, expected double'),
        ([tensor("x0", [1], "FP64")], 'feature "x1": not found in the inputs, expected double'),
        ([tensor("y", [1], "FP64")], 'feature "y": found in the inputs, but the model has no such feature'),
        ([tensor("x0", [1], "FP64"), tensor("x1", [1, 2], "FP64")], "found 2 rows, expected 1"),
        ([tensor("input", np.zeros((0, 2)), "FP64")], "found no rows"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(client, inputs, said):
    with pytest.raises(InferenceServerException, match=said) as no:
        client.infer("sums", inputs)
    assert no.value.status() == "400"


def test_parameters_are_understood_or_refused(client):
    rows = [tensor("input", [[1, 1]], "FP64")]
    for more in (
        {"sequence_id": 5},
        {"timeout": 5},
        {"priority": 1},
        {"parameters": {"threshold": 0.5}},
        {"outputs": [triton.InferRequestedOutput("predictions", class_count=2)]},
        {"outputs": [triton.InferRequestedOutput("x")]},
    ):
        with pytest.raises(InferenceServerException) as no:
            client.infer("sums", rows, **more)
        assert no.value.status() == "400", more


def test_captured_requests_can_be_read_again(worker):
    body, length = triton.InferenceServerClient.generate_request_body(
        [tensor("input", [[1.0, 0.1]], "FP64")], request_id="x"
    )
    head = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(length)}
    answer = worker.ask("", bytes(body), head, path="/v2/models/kept/infer")
    assert answer.headers["content-type"] == "application/octet-stream"
    worker.on_loop(worker.worker._capture.close)
    (path,) = worker.layout.captures.rglob("*.jsonl")
    data = json.loads(path.read_text())["captureData"]
    assert data["endpointInput"]["observedContentType"].endswith(f"json-header-size={length}")
    model = worker.on_loop(
        lambda: worker.worker.serving.tables.current.endpoints["kept"].only.batcher().model
    )
    (kept,) = read_captures(path.parent, Window(), bad := Counter())
    assert not bad
    assert model.decoder_for(kept.asked[0])(kept.asked[1]).matrix().tolist() == [[1.0, 0.1]]
    answered = data["endpointOutput"]["observedContentType"]
    assert answered.startswith("application/vnd.sagemaker-triton.binary+json;json-header-size=")
