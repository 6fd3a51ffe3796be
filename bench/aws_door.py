"""What an AWS program waits for: endpoints, models of a folder, sleeping code; and predictions on both ports.

    .venv/bin/python bench/aws_door.py [RUNS]

Everything by boto3, as a program of somebody else would. From `create_endpoint` to InService for an ONNX file
and for a scikit-learn script; from the first request for a model of a folder to its answer; from a request to
a serverless endpoint that sleeps. One row at a time through the control port and at the inference port, in
turns; then wrk on each.
"""

from __future__ import annotations

import io
import pickle
import statistics
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from measuring.wrk import drive, write_requests

from fakes import aws
from fakes.archives import onnx_archive, pack
from fakes.platform import Platform, wait_for

ROLE = "arn:aws:iam::123456789012:role/any"
SKLEARN = "1.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
SCRIPT = b"""
import os, pickle

def model_fn(model_dir):
    with open(os.path.join(model_dir, "model.pkl"), "rb") as file:
        return pickle.load(file)
"""
BODY = b'{"instances": [[1.0, 2.0, 3.0]]}'
CSV = b"1,2,3\n"
ROWS_ASKED = 2_000
IDLE_S = 2.0
JSON = "application/json"
CONNECTIONS = 16
WRK_S = 5.0


class Program:
    """An AWS program.

    Args:
        platform: Where it runs.
    """

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.s3 = aws.client("s3", platform.control_url)
        self.sagemaker = aws.client("sagemaker", platform.control_url)
        self.runtime = aws.client("sagemaker-runtime", platform.inference_url)

    def upload(self, folder: Path, runs: int) -> None:
        """Upload the models: no two are alike."""
        self.s3.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": aws.REGION})
        for number in range(2 * runs):
            self.s3.put_object(Bucket="models", Key=f"all/onnx-{number}", Body=another_onnx(folder, number))
            self.s3.put_object(Bucket="models", Key=f"all/script-{number}", Body=script(number))

    def create(self, name: str, key: str, mode: str = "SingleModel", **variant: Any) -> float:
        """Make an endpoint; return the seconds from the wish until it is InService."""
        container = {"Image": SKLEARN, "ModelDataUrl": f"s3://models/{key}", "Mode": mode}
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
        item = variant or {"InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        item = {"VariantName": "A", "ModelName": name, **item}
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[item])
        began = time.monotonic()
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        while self.status(name) == "Creating":
            time.sleep(0.005)
        seconds = time.monotonic() - began
        if self.status(name) != "InService":
            raise SystemExit(self.sagemaker.describe_endpoint(EndpointName=name)["FailureReason"])
        return seconds

    def status(self, name: str) -> str:
        """Return where an endpoint stands."""
        found: str = self.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"]
        return found

    def ask(self, name: str, body: bytes = BODY, **more: Any) -> float:
        """Ask once; return the seconds it took."""
        media = JSON if body is BODY else "text/csv"
        began = time.monotonic()
        self.runtime.invoke_endpoint(EndpointName=name, ContentType=media, Body=body, **more)["Body"].read()
        return time.monotonic() - began

    def wake(self, name: str) -> float:
        """Wait until no replica of an endpoint runs, and ask."""
        wait_for(lambda: not any(one.startswith(f"replica-{name}") for one in self.platform.table()), 30.0)
        return self.ask(name, CSV)


def main(runs: int) -> None:
    settings = {"MODELPORT_SERVERLESS_IDLE_S": str(IDLE_S), "MODELPORT_ASKED_REPLICAS_MAX": "64"}
    with (
        tempfile.TemporaryDirectory() as folder,
        Platform(Path(folder) / "home", workers=2, environment=settings) as platform,
    ):
        program, first, second = Program(platform), range(runs), range(runs, 2 * runs)
        program.upload(Path(folder), runs)
        made = [program.create(f"onnx-{number}", f"all/onnx-{number}") for number in first]
        tell("create_endpoint to InService, ONNX", made)
        made = [program.create(f"script-{number}", f"all/script-{number}") for number in first]
        tell("create_endpoint to InService, scikit-learn script", made)
        for number in first:  # their replicas would take memory from what follows
            program.sagemaker.delete_endpoint(EndpointName=f"script-{number}")
        program.create("many", "all/", "MultiModel")
        keys = [f"onnx-{number}" for number in second]
        tell(
            "first answer of a model of a folder, ONNX",
            [program.ask("many", TargetModel=key) for key in keys],
        )
        tell("every other one", [program.ask("many", TargetModel=key) for key in keys * 20])
        keys = [f"script-{number}" for number in second]
        firsts = [program.ask("many", CSV, TargetModel=key) for key in keys]
        tell("first answer of one, scikit-learn script", firsts)
        program.create("rare", "all/script-0", ServerlessConfig={"MemorySizeInMB": 1024, "MaxConcurrency": 1})
        tell("answer of a serverless endpoint that slept", [program.wake("rare") for _ in range(3)])
        ports = {"8090": platform.control_url, "8080": platform.inference_url}
        ask_in_turns(ports)
        for port, url in ports.items():
            ask_with_wrk(port, url)


def another_onnx(folder: Path, number: int) -> bytes:
    """Return an archive of an ONNX file that no other one is like: none has been tried before."""
    archive = onnx_archive(folder, number % 3)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        content = tar.extractfile("model.onnx").read()  # type: ignore[union-attr]
    model = onnx.load_from_string(content)
    model.graph.name = f"model-{number}"
    return pack({"model.onnx": model.SerializeToString()})


def script(number: int) -> bytes:
    """Return an archive of a fitted model and the script that loads it."""
    rows = np.random.default_rng(number).normal(size=(200, 3))
    model = LogisticRegression().fit(rows, rows[:, 0] > 0)
    return pack({"code/inference.py": SCRIPT, "model.pkl": pickle.dumps(model)})


def ask_in_turns(ports: dict[str, str]) -> None:
    """Ask one row at a time by boto3, in turns of a hundred."""
    took: dict[str, list[float]] = {port: [] for port in ports}
    clients = {port: aws.client("sagemaker-runtime", url) for port, url in ports.items()}
    for _ in range(ROWS_ASKED // 100):
        for port, client in clients.items():
            for _ in range(100):
                began = time.monotonic()
                reply = client.invoke_endpoint(EndpointName="onnx-0", ContentType=JSON, Body=BODY)
                reply["Body"].read()
                took[port].append(time.monotonic() - began)
    for port, seconds in took.items():
        low, high = statistics.median(seconds) * 1e3, sorted(seconds)[int(len(seconds) * 0.99)] * 1e3
        print(f"boto3, one row at a time, port {port}: p50 {low:.2f} ms, p99 {high:.2f} ms")


def ask_with_wrk(port: str, url: str) -> None:
    """Ask with many connections at once; no key is configured, so any signature will do."""
    head = (
        f"POST /endpoints/onnx-0/invocations HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Authorization: AWS4-HMAC-SHA256 Credential=any/20260101/{aws.REGION}/sagemaker/aws4_request, "
        "SignedHeaders=host, Signature=0\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        requests = Path(folder) / "requests"
        write_requests(requests, [head.encode() + BODY])
        told, _ = drive(url, requests, connections=CONNECTIONS, seconds=WRK_S)
    print(
        f"wrk, {CONNECTIONS} connections, port {port}: {told.good_rate:,.0f} answers a second, "
        f"p50 {told.p50_us / 1e3:.2f} ms; {told.refused + told.broken} not answered"
    )


def tell(what: str, seconds: list[float]) -> None:
    """Print a median, and the slowest."""
    print(
        f"{what}: median {statistics.median(seconds):.3f} s of {len(seconds)}, slowest {max(seconds):.3f} s"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 12)
