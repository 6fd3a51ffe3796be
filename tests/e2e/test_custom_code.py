"""Archives with code of their own, as AWS's framework images serve them, against a whole platform."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import joblib
import numpy as np
import pytest
from botocore.exceptions import ClientError
from sklearn.linear_model import LogisticRegression

from fakes import aws
from fakes.archives import onnx_archive, script_archive
from fakes.aws import SOON, Asking, make, settled
from fakes.platform import Platform, wait_for

pytestmark = pytest.mark.processes
BUCKET = "models"
SKLEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
ROWS = np.random.default_rng(5).random((40, 3))
SCRIPT = """
import os
import joblib

def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))
"""
SAYS = """
def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    return {!r}
"""
FAILS = """
def model_fn(model_dir):
    return None

def predict_fn(data, model):
    raise ValueError("row 7 is bad")
"""
LOOKS = """
import json, os

def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    found = {"variables": dict(os.environ), "home": os.path.exists(HOME), "net": os.listdir("/sys/class/net")
             if os.path.exists("/sys/class/net") else []}
    try:
        open("/opt/ml/model/new", "w")
    except OSError as error:
        found["writes"] = type(error).__name__
    return json.dumps(found)
"""
DIES = """
import os, signal

print("loading", flush=True)

def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    os.write(1, b"these are my last words")
    os.kill(os.getpid(), signal.SIGKILL)
"""
SERVE = """
import http.server, os

class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/x-own")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply(b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.reply(open("/opt/ml/model/word").read().encode() + b" " + body)

http.server.HTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Answers).serve_forever()
"""


def fitted():
    return LogisticRegression().fit(ROWS, ROWS.sum(axis=1) > 1.5)


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    home = tmp_path_factory.mktemp("code") / "home"
    home.mkdir(mode=0o700)
    program = home.parent / "server" / "serve.py"
    program.parent.mkdir()
    program.write_text(SERVE)
    (home / "images.toml").write_text(
        f'[[image]]\npattern = "own-server:*"\nserve = ["{program}", "serve"]\npython = "{sys.executable}"\n'
    )
    program.write_text(f"#!{sys.executable}\n{SERVE}")
    program.chmod(0o755)
    with Platform(home, workers=2, environment={"SECRET_OF_THE_PLATFORM": "x"}) as running:
        yield running


@pytest.fixture(scope="module")
def sagemaker(platform):
    return aws.client("sagemaker", platform.control_url)


@pytest.fixture(scope="module")
def runtime(platform):
    return aws.client("sagemaker-runtime", platform.inference_url)


@pytest.fixture(scope="module")
def archives(platform, tmp_path_factory):
    saved = io.BytesIO()
    joblib.dump(fitted(), saved)
    contents = {
        "sklearn": script_archive(SCRIPT, model_joblib=saved.getvalue()),
        "onnx": onnx_archive(tmp_path_factory.mktemp("onnx"), 1),
        "fails": script_archive(FAILS),
        "looks": script_archive(LOOKS.replace("HOME", repr(str(platform.layout.home)))),
        "imports": script_archive("import no_such_module"),
        "dies": script_archive(DIES),
        "aborts": script_archive("import os; os.abort()"),
        "served": script_archive("", word=b"hello"),
        **{f"says-{word}": script_archive(SAYS.format(word)) for word in ("one", "two")},
    }
    s3 = aws.client("s3", platform.control_url)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.REGION})
    for name, content in contents.items():
        s3.put_object(Bucket=BUCKET, Key=f"{name}.tar.gz", Body=content)
    return lambda name: f"s3://{BUCKET}/{name}.tar.gz"


@pytest.fixture(scope="module")
def serve(sagemaker, archives):
    """Return what makes an endpoint of an archive, under its name."""

    def start(archive, image=SKLEARN):
        make(sagemaker, archives, archive, image, A=(archive, 1))
        sagemaker.create_endpoint(EndpointName=archive, EndpointConfigName=archive)
        return settled(sagemaker, archive)

    return start


def ask(runtime, endpoint, body=b"[[1, 2, 3]]", **more):
    reply = runtime.invoke_endpoint(
        EndpointName=endpoint, **{"ContentType": "application/json", "Body": body, **more}
    )
    return reply["InvokedProductionVariant"], reply["Body"].read()


def replicas(platform):
    return {name: line for name, line in platform.table().items() if name.startswith("replica-")}


def test_a_script_and_a_converted_model_are_compared(platform, sagemaker, runtime, archives):
    make(sagemaker, archives, "ab", SKLEARN, A=("sklearn", 0.7), B=("onnx", 0.3))
    sagemaker.create_endpoint(EndpointName="ab", EndpointConfigName="ab")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="ab", WaiterConfig=SOON)
    body = json.dumps(ROWS.tolist()).encode()
    assert json.loads(ask(runtime, "ab", body, TargetVariant="A")[1]) == fitted().predict(ROWS).tolist()
    assert json.loads(ask(runtime, "ab", TargetVariant="B")[1])["predictions"] == [1]
    shares = Counter(ask(runtime, "ab")[0] for _ in range(200))
    assert 100 < shares["A"] < 180
    sagemaker.delete_endpoint(EndpointName="ab")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="ab", WaiterConfig=SOON)
    wait_for(lambda: not replicas(platform), what="the end of the replica")


def test_an_error_of_the_script_is_a_model_error_with_its_words(serve, runtime):
    serve("fails")
    with pytest.raises(ClientError) as caught:
        ask(runtime, "fails")
    found = caught.value.response
    assert (found["Error"]["Code"], found["OriginalStatusCode"]) == ("ModelError", 500)
    assert found["OriginalMessage"].startswith("ValueError: row 7 is bad\n\nTraceback")
    assert found["ResponseMetadata"]["HTTPStatusCode"] == 424


def test_code_sees_nothing_of_the_platform(serve, runtime):
    serve("looks")
    found = json.loads(ask(runtime, "looks")[1])
    assert "SECRET_OF_THE_PLATFORM" not in found["variables"]
    assert not found["home"]
    assert found["net"] in ([], ["lo"])
    assert found["writes"] == "OSError"


@pytest.mark.parametrize(
    ("archive", "image", "told"),
    [
        ("imports", SKLEARN, "ModuleNotFoundError: No module named 'no_such_module'"),
        ("aborts", SKLEARN, "SIGABRT"),
        ("says-one", "nobody/knows:1", "images.toml"),
    ],
)
def test_code_that_cannot_run_fails_with_its_reason(serve, sagemaker, platform, archive, image, told):
    found = serve(archive, image)
    assert found["EndpointStatus"] == "Failed"
    assert told in found["FailureReason"]
    if image == SKLEARN:
        log = _modelport(platform, "logs", archive)
        assert (log.returncode, "inference.py" in log.stdout) == (0, True)
    sagemaker.delete_endpoint(EndpointName=archive)


def test_a_program_that_serves_by_itself(serve, runtime):
    assert serve("served", "own-server:3")["EndpointStatus"] == "InService"
    reply = runtime.invoke_endpoint(EndpointName="served", ContentType="text/plain", Body=b"world")
    assert (reply["ContentType"], reply["Body"].read()) == ("text/x-own", b"hello world")


def test_cloudwatch_has_what_a_replica_printed_and_its_last_words(serve, platform, runtime):
    before = time.time() - 1
    assert serve("dies")["EndpointStatus"] == "InService"
    with pytest.raises(ClientError):
        ask(runtime, "dies")
    logs, group = aws.client("logs", platform.control_url), "/aws/sagemaker/Endpoints/dies"
    (stream,) = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="A/")["logStreams"]

    def events():
        name = stream["logStreamName"]
        return logs.get_log_events(logGroupName=group, logStreamName=name, startFromHead=True)["events"]

    def said(word):
        return [event for event in events() if word in event["message"]]

    assert wait_for(lambda: said("these are my last words"), what="its last words")
    assert said("loading")
    times = [event["timestamp"] / 1000 for event in events()]
    assert times == sorted(times)
    assert before <= times[0] <= times[-1] <= time.time()


def test_versions_of_code_change_without_a_failed_request(platform, sagemaker, runtime, archives):
    for word in ("one", "two"):
        make(sagemaker, archives, f"word-{word}", SKLEARN, A=(f"says-{word}", 1))
    sagemaker.create_endpoint(EndpointName="words", EndpointConfigName="word-one")
    assert settled(sagemaker, "words")["EndpointStatus"] == "InService"
    with Asking(platform.inference_url, lambda own: ask(own, "words")[1]) as asking:
        for config in ("word-two", "word-one", "word-two"):
            sagemaker.update_endpoint(EndpointName="words", EndpointConfigName=config)
            assert settled(sagemaker, "words")["EndpointConfigName"] == config
            sagemaker.update_endpoint_weights_and_capacities(
                EndpointName="words",
                DesiredWeightsAndCapacities=[
                    {"VariantName": "A", "DesiredInstanceCount": 1 + (config == "word-one")}
                ],
            )
            settled(sagemaker, "words")
    assert not asking.failed
    assert min(asking.said[b"one"], asking.said[b"two"]) > 0


def test_a_canary_that_fails_goes_back_by_itself(platform, sagemaker, archives):
    make(sagemaker, archives, "sane", SKLEARN, A=("says-one", 1))
    make(sagemaker, archives, "mad", SKLEARN, A=("fails", 1))
    sagemaker.create_endpoint(EndpointName="watched", EndpointConfigName="sane")
    settled(sagemaker, "watched")
    routing = {
        "Type": "CANARY",
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 20},
        "WaitIntervalInSeconds": 600,
    }
    with Asking(platform.inference_url, lambda own: ask(own, "watched")[1]) as asking:
        wait_for(lambda: asking.said[b"one"] > 50, what="answers")
        sagemaker.update_endpoint(
            EndpointName="watched",
            EndpointConfigName="mad",
            DeploymentConfig={"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}},
        )
        found = settled(sagemaker, "watched")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "sane")
    assert "requests of the new version failed" in found["FailureReason"]
    assert asking.failed
    assert _says(aws.client("sagemaker-runtime", platform.inference_url), "watched") == b"one"


def test_a_replica_that_dies_comes_back_and_control_is_not_needed(platform, sagemaker, runtime, archives):
    make(sagemaker, archives, "kept", SKLEARN, A=("says-one", 1))
    before = set(replicas(platform))
    sagemaker.create_endpoint(EndpointName="kept", EndpointConfigName="kept")
    settled(sagemaker, "kept")
    (name,) = set(replicas(platform)) - before
    platform.kill_process(name)
    wait_for(lambda: _says(runtime, "kept") == b"one", what="an answer of the replica's successor")
    os.kill(platform.pid("control"), signal.SIGKILL)
    assert _says(runtime, "kept") == b"one", "while control is down"
    wait_for(lambda: _lists(sagemaker), 30.0, what="control")
    assert _says(runtime, "kept") == b"one"
    assert replicas(platform)[name]["restarts"] == 1


def test_all_goes_down_with_the_platform(tmp_path, archives, platform):
    home = tmp_path / "home"
    with Platform(home, workers=1) as running:
        s3 = aws.client("s3", running.control_url)
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.REGION})
        s3.put_object(Bucket=BUCKET, Key="one.tar.gz", Body=script_archive(SAYS.format("one")))
        sagemaker = aws.client("sagemaker", running.control_url)
        make(sagemaker, lambda _: f"s3://{BUCKET}/one.tar.gz", "one", SKLEARN, A=("one", 1))
        sagemaker.create_endpoint(EndpointName="one", EndpointConfigName="one")
        settled(sagemaker, "one")
        (line,) = replicas(running).values()
        assert running.down() == 0
        with pytest.raises(ProcessLookupError):
            os.kill(line["pid"], 0)
        running.up()
        runtime = aws.client("sagemaker-runtime", running.inference_url)
        wait_for(lambda: _says(runtime, "one") == b"one", 30.0, what="the replica after a restart")


def _modelport(platform, *words):
    environment = {**os.environ, "MODELPORT_URL": platform.control_url}
    command = [sys.executable, "-m", "modelport.cli", *words]
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True)


def _says(runtime, endpoint):
    try:
        return ask(runtime, endpoint)[1]
    except ClientError:
        return None


def _lists(sagemaker):
    try:
        return bool(sagemaker.list_endpoints())
    except Exception:  # noqa: BLE001 (not yet)
        return False
