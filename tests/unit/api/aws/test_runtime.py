"""Predictions through the control port: passed on byte for byte, refused as SageMaker refuses."""

import json
import socketserver
import threading

import pytest
from botocore.exceptions import ClientError

from fakes import aws

REPLY = b"\x00any bytes\xff"


class Worker(socketserver.BaseRequestHandler):
    """Answers one request with what it got."""

    heard: list[bytes] = []  # noqa: RUF012 (one for all)

    def handle(self):
        received = b""
        while not received.endswith(b"the end"):
            received += self.request.recv(65_536)
        self.heard.append(received)
        self.request.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-thing\r\nContent-Length: %d\r\n"
            b"x-Amzn-Invoked-Production-Variant: A\r\nConnection: close\r\n\r\n%b" % (len(REPLY), REPLY)
        )


@pytest.fixture
def worker(doors):
    path = doors.settings.layout.inference_socket
    path.parent.mkdir(parents=True, exist_ok=True)
    with socketserver.UnixStreamServer(str(path), Worker) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Worker.heard
        server.shutdown()
        thread.join()


def test_a_request_and_its_reply_are_passed_on(worker, url):
    reply = aws.client("sagemaker-runtime", url).invoke_endpoint(
        EndpointName="e", ContentType="text/csv", CustomAttributes="a=b", Body=b"1,2\n" * 50_000 + b"the end"
    )
    assert (reply["Body"].read(), reply["ContentType"]) == (REPLY, "application/x-thing")
    assert reply["InvokedProductionVariant"] == "A"
    (heard,) = worker
    head, _, body = heard.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /endpoints/e/invocations HTTP/1.1")
    assert b"x-amzn-sagemaker-custom-attributes: a=b" in head.lower()
    assert body == b"1,2\n" * 50_000 + b"the end"


def test_without_a_worker_the_service_is_unavailable(url):
    with pytest.raises(ClientError) as caught:
        aws.client("sagemaker-runtime", url).invoke_endpoint(EndpointName="e", Body=b"x")
    assert caught.value.response["Error"]["Code"] == "ServiceUnavailable"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503


def test_a_request_without_a_signature_is_passed_on_too(doors):
    answer = doors.client.post("/endpoints/e/invocations", content=b"x")
    assert (answer.status_code, list(json.loads(answer.content))) == (503, ["Message"])
