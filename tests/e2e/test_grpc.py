"""The public Triton gRPC client, unmodified, against a real platform: Open Inference Protocol V2."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest

from fakes.bundles import truthful_bundle
from fakes.classifier import classifier_bundle, label, on_time
from fakes.platform import Platform, wait_for
from modelport.bootstrap import program

grpc = pytest.importorskip("grpc", reason="grpcio is not installed: pip install modelport[grpc]")
triton = pytest.importorskip("tritonclient.grpc", reason="the client is not installed: tritonclient[grpc]")
triton_http = pytest.importorskip("tritonclient.http")
from tritonclient.grpc import service_pb2, service_pb2_grpc  # noqa: E402 - after the skips
from tritonclient.utils import InferenceServerException  # noqa: E402 - same

pytestmark = pytest.mark.processes
RECORDS = [
    {"carrier": "UA", "hour": 5, "distance": 5.5},
    {"carrier": "001", "hour": 23, "distance": None},
    {"carrier": "nobody's", "hour": 0, "distance": 40.25},
]
PROBABILITIES = [[1 - on_time(**record), on_time(**record)] for record in RECORDS]
KINDS = {"BYTES": np.object_, "FP64": np.float64, "FP32": np.float32, "FP16": np.float16, "BOOL": np.bool_}


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    home = tmp_path_factory.mktemp("grpc") / "home"
    limits = {"MODELPORT_GRPC_PORT": "0", "MODELPORT_BODY_BYTES_MAX": str(1 << 20)}
    with Platform(home, workers=1, environment=limits) as running:
        running.deploy(running.register("flights", classifier_bundle()), "flights")
        running.deploy(running.register("sums", truthful_bundle(1)), "sums")
        yield running


@pytest.fixture(scope="module")
def address(platform):
    return json.loads(platform.layout.endpoint_file.read_text())["grpc_url"]


@pytest.fixture
def client(address):
    client = triton.InferenceServerClient(address)
    yield client
    client.close()


@pytest.fixture
def stub(address):
    with grpc.insecure_channel(address) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def tensor(module, name, values, datatype):
    array = np.array(values, KINDS.get(datatype) or datatype.lower())
    made = module.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array)
    return made


def columns(module, distance="FP64"):
    distances = [np.nan if each["distance"] is None else each["distance"] for each in RECORDS]
    return [
        tensor(module, "carrier", [each["carrier"] for each in RECORDS], "BYTES"),
        tensor(module, "hour", [each["hour"] for each in RECORDS], "INT64"),
        tensor(module, "distance", distances, distance),
    ]


@pytest.mark.parametrize("distance", ["FP64", "FP32"])
@pytest.mark.parametrize("wanted", [None, ["probabilities"], ["probabilities", "predictions"]])
def test_columns_are_answered_as_over_http(platform, client, distance, wanted):
    def ask(module, asked):
        outputs = None if wanted is None else [module.InferRequestedOutput(name) for name in wanted]
        return asked.infer("flights", columns(module, distance), outputs=outputs, request_id="no. 7")

    result = ask(triton, client)
    over_http = triton_http.InferenceServerClient(httpx.URL(platform.inference_url).netloc.decode())
    expected = ask(triton_http, over_http)
    over_http.close()
    for name in ("predictions", "probabilities"):
        if wanted and name not in wanted:
            assert result.as_numpy(name) is None
        elif name == "probabilities":
            assert result.as_numpy(name).tobytes() == expected.as_numpy(name).tobytes()
            assert np.abs(result.as_numpy(name) - PROBABILITIES).max() < 1e-12
        else:
            assert [word.decode() for word in result.as_numpy(name)] == [label(record) for record in RECORDS]
    reply = result.get_response()
    assert (reply.id, reply.model_name, reply.model_version) == ("no. 7", "flights", "1")
    assert [each.name for each in reply.outputs] == (wanted or ["predictions", "probabilities"])
    widened = {name: value.string_param for name, value in reply.parameters.items()}
    assert widened == ({} if distance == "FP64" else {"widened_to_fp64": "FP32"})


@pytest.mark.parametrize(
    ("datatype", "field"),
    [
        ("INT8", "int_contents"), ("INT32", "int_contents"), ("INT64", "int64_contents"),
        ("UINT16", "uint_contents"), ("UINT64", "uint64_contents"),
        ("FP32", "fp32_contents"), ("FP64", "fp64_contents"),
    ],
)  # fmt: skip
def test_typed_contents(stub, datatype, field):
    request = service_pb2.ModelInferRequest(model_name="sums")
    request.inputs.add(name="input", datatype=datatype, shape=[2, 2], contents={field: [1, 2, 30, 4]})
    reply, call = stub.ModelInfer.with_call(request)
    assert np.frombuffer(reply.raw_output_contents[0], "<f8").tolist() == [1003.0, 1034.0]
    told = dict(call.trailing_metadata())
    assert told["x-modelport-model-version"] == "sums:1"
    assert told["x-modelport-prediction-id"]


def test_a_callers_own_prediction_id_and_text_in_typed_contents(stub):
    request = service_pb2.ModelInferRequest(model_name="flights")
    for name, datatype, contents in (
        ("carrier", "BYTES", {"bytes_contents": [b"UA"]}),
        ("hour", "INT64", {"int64_contents": [5]}),
        ("distance", "FP64", {"fp64_contents": [5.5]}),
    ):
        request.inputs.add(name=name, datatype=datatype, shape=[1], contents=contents)
    mine = (("x-amzn-sagemaker-inference-id", "mine"),)
    reply, call = stub.ModelInfer.with_call(request, metadata=mine, timeout=30)
    assert np.frombuffer(reply.raw_output_contents[1], "<f8") == pytest.approx(PROBABILITIES[0])
    assert dict(call.trailing_metadata())["x-modelport-prediction-id"] == "mine"


def test_versions_health_and_metadata(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata().name == "modelport"
    for name, version, ready in (
        ("flights", "", True), ("flights", "1", True), ("flights", "4", False), ("nix", "", False),
    ):  # fmt: skip
        assert client.is_model_ready(name, version) is ready, (name, version)
    about = client.get_model_metadata("flights", as_json=True)
    assert about["versions"] == ["1"]
    assert about["inputs"][:2] == [
        {"name": "carrier", "datatype": "BYTES", "shape": ["-1"]},
        {"name": "hour", "datatype": "INT64", "shape": ["-1"]},
    ]
    assert about["outputs"][1] == {"name": "probabilities", "datatype": "FP64", "shape": ["-1", "2"]}
    row = [tensor(triton, "input", [[1, 1]], "FP64")]
    assert client.infer("sums", row, model_version="1").as_numpy("predictions") == [1002.0]


@pytest.mark.parametrize(
    ("model", "inputs", "status", "said"),
    [
        ("nix", [[1, 2]], "NOT_FOUND", "there is no endpoint 'nix'"),
        ("../nix", [[1, 2]], "NOT_FOUND", "there is no endpoint"),
        ("a b\r\nX: y", [[1, 2]], "NOT_FOUND", "there is no endpoint"),
        ("", [[1, 2]], "INVALID_ARGUMENT", "found no name of a model"),
        ("sums", [[1, 2, 3]], "INVALID_ARGUMENT", r"found shape \[1, 3\], expected \[n, 2\]"),
        ("sums", [[1, 2], [3, np.nan]], "INVALID_ARGUMENT", 'row 1, feature "x1": found NaN, expected'),
        ("sums", np.zeros((1 << 17, 2)), "RESOURCE_EXHAUSTED", "larger than max"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_the_words_of_http(client, model, inputs, status, said):
    with pytest.raises(InferenceServerException, match=said) as no:
        client.infer(model, [tensor(triton, "input", inputs, "FP64")])
    assert no.value.status() == f"StatusCode.{status}"


def test_an_unknown_version_and_a_stream(client, stub):
    row = [tensor(triton, "input", [[1, 1]], "FP64")]
    with pytest.raises(InferenceServerException, match="does not serve version '3'") as no:
        client.infer("sums", row, model_version="3")
    assert no.value.status() == "StatusCode.NOT_FOUND"
    with pytest.raises(grpc.RpcError) as streamed:
        list(stub.ModelStreamInfer(iter([service_pb2.ModelStreamInferResponse().infer_response])))
    assert streamed.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_what_is_no_message_is_refused(address):
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError) as no:
            call(b"\xff\xff\xff")
    assert no.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "no ModelInferRequest" in no.value.details()


def test_a_deadline_that_passed(client):
    many = [tensor(triton, "input", [[1, 1]] * 200_000, "FP64")]  # a fast machine answers few rows at once
    with pytest.raises(InferenceServerException) as no:
        client.infer("sums", many, client_timeout=1e-3)
    assert no.value.status() == "StatusCode.DEADLINE_EXCEEDED"


def test_the_port_and_the_calls_outlive_the_processes(platform, client):
    row = [tensor(triton, "input", [[1, 1]], "FP64")]
    platform.kill_process("grpc")

    def answered():
        try:
            return client.infer("sums", row).as_numpy("predictions") == [1002.0]
        except InferenceServerException:  # the client waits before it connects again
            return False

    wait_for(answered, 20, what="an answer at the same address")
    platform.end_process("inference-0")
    assert client.infer("sums", row).as_numpy("predictions") == [1002.0]


def test_an_upgrade_keeps_the_port(platform, client, address):
    before = platform.pid("grpc")
    command = [sys.executable, "-m", "modelport.cli", "upgrade", "--home", str(platform.layout.home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr
    assert platform.pid("grpc") != before
    assert json.loads(platform.layout.endpoint_file.read_text())["grpc_url"] == address
    assert platform.ask("GET", "/status")["grpc_url"] == address
    fresh = triton.InferenceServerClient(address)
    assert fresh.infer("sums", [tensor(triton, "input", [[1, 1]], "FP64")]).as_numpy("predictions") == [
        1002.0
    ]
    fresh.close()


def test_tokens_are_passed_on(tmp_path: Path):
    tokens = tmp_path / "tokens"
    tokens.write_text(f"me endpoints:invoke {hashlib.sha256(b'secret').hexdigest()}\n")
    tokens.chmod(0o600)
    environment = {"MODELPORT_GRPC_PORT": "0", "MODELPORT_TOKEN_FILE": str(tokens)}
    with Platform(tmp_path / "home", workers=1, environment=environment) as running:
        address = json.loads(running.layout.endpoint_file.read_text())["grpc_url"]
        client = triton.InferenceServerClient(address)
        row = [tensor(triton, "input", [[1, 1]], "FP64")]
        assert client.is_server_live()
        for headers, status in (
            ({}, "UNAUTHENTICATED"),
            ({"authorization": "Bearer wrong"}, "UNAUTHENTICATED"),
            ({"authorization": "Bearer secret"}, "NOT_FOUND"),
        ):
            with pytest.raises(InferenceServerException) as no:
                client.infer("nix", row, headers=headers)
            assert no.value.status() == f"StatusCode.{status}"
        client.close()


def test_without_grpcio_it_is_refused_and_without_the_wish_not_looked_for(tmp_path: Path):
    hidden = (
        "import sys; sys.modules['grpc'] = None\n"
        "from modelport.bootstrap.__main__ import main\n"
        f"sys.exit(main({list(program('supervisor'))[3:]!r} + sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", hidden, "--home", str(tmp_path), "--grpc-port", "0", "--port", "0"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert 'pip install "modelport[grpc]"' in done.stderr
