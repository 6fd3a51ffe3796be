"""A worker forwards to replicas that run a model's own code, however these behave."""

from __future__ import annotations

import json
import socket
import struct
import threading
from base64 import b64decode
from contextlib import ExitStack, suppress

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EventStreamError

from fakes.bundles import truthful_bundle
from fakes.replicas import CHUNKED, FakeReplica, chunk, reply, saying
from fakes.serving import WorkerInThread, endpoint
from modelport.domain.routes import CaptureRoute, EndpointRoute, VariantRoute
from modelport.telemetry import metrics
from modelport.telemetry.slots import read_totals
from modelport.wire import sockets


def coded(name, *replicas, variant="v1", weight=1.0, shadow=False, capture=0.0, others=()):
    """Return an endpoint that replicas answer."""
    route = VariantRoute(variant, "code:1", "", weight, shadow=shadow, replicas=replicas)
    return EndpointRoute(name, (route, *others), CaptureRoute(capture) if capture else None)


class Stage:
    """A worker and its replicas."""

    def __init__(self, home, stack, **settings):
        self.worker = WorkerInThread(home, **settings)
        self._stack = stack

    def replica(self, name="r0", *behave):
        return self._stack.enter_context(FakeReplica(self.worker.layout.replicas, name, *behave))

    def start(self, *endpoints):
        self.worker.publish(1, *(endpoints or (coded("e", "r0"),)))
        self._stack.enter_context(self.worker)
        return self.worker

    def client(self):
        """Return boto3's client of the worker."""
        client = boto3.client(
            "sagemaker-runtime",
            region_name="us-east-1",
            endpoint_url=self.worker.url,
            aws_access_key_id="any",
            aws_secret_access_key="key",
            config=Config(retries={"max_attempts": 0}),
        )
        self._stack.callback(client.close)
        return client

    def stream(self, **more):
        """Ask for an answer in parts; return its head and its parts."""
        answer = self.client().invoke_endpoint_with_response_stream(EndpointName="e", Body=b"[[1,2]]", **more)
        self._stack.callback(answer["Body"].close)
        return answer, iter(answer["Body"])

    def ask_aside(self, count, **more):
        """Ask in threads; return what collects the answers."""
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(self.worker.ask("e", b"1", **more)))
            for _ in range(count)
        ]
        for thread in threads:
            thread.start()

        def collect():
            for thread in threads:
                thread.join(20)
            return answers

        return collect


@pytest.fixture
def stage(tmp_path):
    with ExitStack() as stack:
        yield lambda **settings: Stage(tmp_path, stack, **settings)


def test_a_request_goes_on_as_it_came_and_the_answer_comes_back_as_it_was_said(stage):
    stage = stage()
    replica = stage.replica(
        "r0",
        saying(
            reply(
                b"\xff\x00 1",
                Content_Type="application/x-own; v=1",
                X_Amzn_SageMaker_Custom_Attributes="trace=9",
                Set_Cookie="no=1",
            )
        ),
    )
    worker = stage.start()
    body = b"\x1f\x8b whatever \xff"
    answer = worker.ask(
        "e",
        body,
        {
            "Content-Type": "application/x-odd",
            "Content-Encoding": "gzip",
            "Accept": "application/x-own",
            "X-Amzn-SageMaker-Custom-Attributes": "a=1;b=\xe9",
            "X-Amzn-SageMaker-Inference-Id": "mine-7",
            "X-Amzn-SageMaker-Session-Id": "s1",
            "Authorization": "AWS4-HMAC-SHA256 Credential=x",
            "X-Other": "stays here",
        },
    )
    assert (answer.status, answer.body) == (200, b"\xff\x00 1")
    told = {
        "content-type": "application/x-own; v=1",
        "x-amzn-sagemaker-custom-attributes": "trace=9",
        "x-amzn-invoked-production-variant": "v1",
        "x-modelport-model-version": "code:1",
        "x-modelport-prediction-id": "mine-7",
    }
    assert {name: answer.headers.get(name) for name in told} == told
    assert "set-cookie" not in answer.headers
    [asked] = replica.asked
    assert (asked.line, asked.body) == ("POST /invocations HTTP/1.1", body)
    assert asked.headers == {
        "host": "localhost",
        "content-type": "application/x-odd",
        "content-encoding": "gzip",
        "accept": "application/x-own",
        "x-amzn-sagemaker-custom-attributes": "a=1;b=\xe9",
        "x-amzn-sagemaker-inference-id": "mine-7",
        "x-amzn-sagemaker-session-id": "s1",
        "content-length": str(len(body)),
    }


def test_connections_are_kept_and_bodies_may_be_large(stage):
    stage = stage()
    replica = stage.replica()
    worker = stage.start()
    large = bytes(range(256)) * (40 << 10)
    for body in (b"", b"1,2", large, b"x"):
        assert worker.ask("e", body).body == body
    assert replica.connections == 1


@pytest.mark.parametrize(
    ("said", "on", "body"),
    [
        (CHUNKED + chunk(b"ab") + chunk(b"c") + chunk(b""), True, b"abc"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", False, b"until the end"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False, b"ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + reply(b"later"), True, b"later"),
        (reply(b"", "204 No Content"), True, b""),
        (reply(b"made", "201 Created"), True, b"made"),
    ],
)
def test_replies_of_any_framing(stage, said, on, body):
    stage = stage()
    stage.replica("r0", saying(said, on=on))
    worker = stage.start()
    for _ in range(3):
        answer = worker.ask("e", b"1")
        assert (answer.status, answer.body) == (200, body)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", "it ended the connection without a reply"),
        (b"hello\r\n\r\n", "its reply is no proper HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "its reply was cut short"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "its reply was cut short"),
        (CHUNKED + b"zz\r\n", "its reply is no proper HTTP"),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
            "change the protocol",
        ),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 40_000, "the head of its reply is larger than 32768 bytes"),
    ],
)
def test_what_is_no_reply_is_a_model_error_and_asked_once(stage, said, words):
    stage = stage()
    replica = stage.replica("r0", saying(said, on=False))
    worker = stage.start()
    answer = worker.ask("e", b"1")
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (424, "ModelError")
    assert words in answer.json["Message"]
    assert answer.json["OriginalStatusCode"] == 500
    assert words in answer.json["OriginalMessage"]
    assert "LogStreamArn" not in answer.json
    assert len(replica.asked) == 1


@pytest.mark.parametrize("status", ["500 Oops", "400 Bad Request", "503 Busy", "429 Slow Down", "302 Found"])
def test_an_error_of_the_code_is_told_with_what_it_said(stage, status):
    stage = stage()
    long = b"first line\nTraceback: \xff" + b"x" * 10_000
    stage.replica("r0", saying(reply(long, status, Content_Type="text/plain")))
    worker = stage.start()
    for _ in range(2):
        answer = worker.ask("e", b"1")
        assert (answer.status, answer.headers["x-amzn-errortype"]) == (424, "ModelError")
        assert answer.json["Message"] == f"the model's own code answered with status {status[:3]}: first line"
        assert answer.json["OriginalStatusCode"] == int(status[:3])
        assert answer.json["OriginalMessage"] == long[:4096].decode("utf-8", "replace")
    counts = worker.call(numbers(worker))
    assert counts[metrics.REQUESTS, ("e", "v1", "code:1", "invocations", "424")] == [2]


async def numbers(worker):
    worker.worker._write_numbers()
    return read_totals(worker.layout.metrics)


@pytest.mark.parametrize(
    "said",
    [
        reply(b"x" * 2000),
        CHUNKED + chunk(b"x" * 2000) + chunk(b""),
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n",
    ],
)
def test_a_huge_reply_is_a_model_error(stage, said):
    stage = stage(replica_reply_bytes_max=1999)
    replica = stage.replica("r0", saying(said))
    worker = stage.start()
    answer = worker.ask("e", b"1")
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (424, "ModelError")
    assert answer.json["Message"] == "the reply of the model's own code is larger than 1999 bytes"
    assert "OriginalStatusCode" not in answer.json
    replica.wait_ended(1)


def test_who_is_slow_is_waited_for_no_longer_than_the_deadline(stage):
    stage = stage()
    replica = stage.replica("r0")
    worker = stage.start()

    async def wait(_asked):
        await replica.wait_for_gate()
        return True

    replica.behave = wait
    answer = worker.ask("e", b"1", {"X-Modelport-Timeout-Ms": "120"})
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (424, "ModelError")
    assert answer.json["Message"] == "the model's own code did not answer within 0.12 s"
    replica.wait_ended(1)
    assert worker.on_loop(worker.worker.serving.tables.open) == 0


def test_who_leaves_takes_the_request_along(stage):
    stage = stage()
    replica = stage.replica("r0")
    worker = stage.start()

    async def wait(_asked):
        await replica.wait_for_gate()
        return True

    replica.behave = wait
    with worker.connect() as client:
        client.sendall(
            b"POST /endpoints/e/invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1"
        )
        replica.wait_asked(1)
    replica.wait_ended(1)
    counts = worker.call(numbers(worker))
    assert counts[metrics.REQUESTS, ("e", "v1", "code:1", "invocations", "499")] == [1]


def test_a_kept_connection_that_ends_costs_nothing(stage):
    stage = stage()
    replica = stage.replica("r0")
    worker = stage.start()
    assert worker.ask("e", b"1").status == 200

    async def end_old_ones(asked):
        if asked.connection == 1:
            return False  # as a server does whose patience ends at this very moment
        asked.send(reply(asked.body))
        return True

    replica.behave = end_old_ones
    answer = worker.ask("e", b"2")
    assert (answer.status, answer.body) == (200, b"2")
    assert [asked.connection for asked in replica.asked] == [1, 1, 2]
    replica.drop_connections()
    assert worker.ask("e", b"3").body == b"3"


def test_it_is_sent_again_once_and_never_from_a_fresh_connection(stage):
    stage = stage()
    replica = stage.replica("r0")
    worker = stage.start()
    assert worker.ask("e", b"1").status == 200
    replica.behave = saying(b"", on=False)
    answer = worker.ask("e", b"2")
    assert (answer.status, answer.json["OriginalStatusCode"]) == (424, 500)
    assert [asked.body for asked in replica.asked] == [b"1", b"2", b"2"]


def test_a_replica_that_is_gone_is_passed_over_and_comes_back(stage):
    stage = stage()
    first, second = stage.replica("r0"), stage.replica("r1")
    worker = stage.start(coded("e", "r0", "r1", "never-there"))
    for _ in range(8):
        assert worker.ask("e", b"1").status == 200
    assert len(first.asked) + len(second.asked) == 8
    assert min(len(first.asked), len(second.asked)) >= 2
    first.crash()
    for _ in range(8):
        assert worker.ask("e", b"1").status == 200
    second.crash()
    answer = worker.ask("e", b"1")
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (503, "ServiceUnavailable")
    assert answer.headers["retry-after"] == "1"
    assert answer.json["Message"].startswith("none of the 3 replicas takes requests")
    assert worker.get("/v1/models/e").status == 503
    again = stage.replica("r1")
    assert worker.ask("e", b"1").status == 200
    assert len(again.asked) == 1


def test_a_request_that_was_not_taken_in_whole_goes_elsewhere(stage):
    stage = stage()
    replica = stage.replica("r1")
    worker = stage.start(coded("e", "r0", "r1"))
    closed = []

    def close_all(listener):
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.close()
                closed.append(1)

    with sockets.listen(worker.layout.replicas / "r0") as listener:
        listener.setblocking(True)
        thread = threading.Thread(target=close_all, args=(listener,), daemon=True)
        thread.start()
        for _ in range(4):
            answer = worker.ask("e", bytes(8 << 20))
            assert (answer.status, len(answer.body)) == (200, 8 << 20)
        assert closed
        assert len(replica.asked) == 4
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_no_replica_at_all(stage):
    worker = stage().start(coded("e"))
    answer = worker.ask("e", b"1")
    assert (answer.status, "retry-after" in answer.headers) == (503, True)
    assert answer.json["Message"].startswith("there is no replica yet")
    assert worker.get("/v1/models/e").status == 503


def test_requests_wait_for_room_and_the_queue_is_bounded(stage):
    stage = stage(replica_requests_max=2, pending_requests_max=5)
    replica = stage.replica("r0")
    worker = stage.start()

    async def wait(asked):
        await replica.wait_for_gate()
        asked.send(reply(asked.body))
        return True

    replica.behave = wait
    collect = stage.ask_aside(5)
    replica.wait_asked(2)
    while worker.on_loop(worker.worker.serving.tables.open) < 5:
        pass
    assert len(replica.asked) == 2
    refused = worker.ask("e", b"1")
    assert (refused.status, refused.headers["x-amzn-errortype"]) == (503, "ServiceUnavailable")
    assert "retry-after" in refused.headers
    replica.open_gate()
    assert [answer.status for answer in collect()] == [200] * 5
    assert (len(replica.asked), replica.connections) == (5, 2)


def test_requests_that_wait_are_refused_when_the_last_replica_dies(stage):
    stage = stage(replica_requests_max=1)
    replica = stage.replica("r0")
    worker = stage.start()

    async def wait(_asked):
        await replica.wait_for_gate()
        return True

    replica.behave = wait
    collect = stage.ask_aside(4)
    replica.wait_asked(1)
    while worker.on_loop(worker.worker.serving.tables.open) < 4:
        pass
    replica.crash()
    assert sorted(answer.status for answer in collect()) == [424, 503, 503, 503]


def test_who_waits_for_room_too_long_was_never_sent(stage):
    stage = stage(replica_requests_max=1)
    replica = stage.replica("r0")
    worker = stage.start()

    async def wait(asked):
        await replica.wait_for_gate()
        asked.send(reply())
        return True

    replica.behave = wait
    collect = stage.ask_aside(1)
    replica.wait_asked(1)
    late = worker.ask("e", b"2", {"X-Modelport-Timeout-Ms": "80"})
    assert (late.status, late.json["Message"]) == (424, "no replica had room within 0.08 s")
    replica.open_gate()
    assert [answer.status for answer in collect()] == [200]
    assert len(replica.asked) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/models/e:predict", {"instances": [[1]]}),
        ("/v2/models/e/infer", {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1]}]}),
    ],
)
def test_other_protocols_say_where_to_ask(stage, path, body):
    stage = stage()
    replica = stage.replica("r0")
    worker = stage.start()
    answer = worker.ask("", body, path=path)
    assert answer.status == 400
    assert answer.json["error"].endswith("ask it at /endpoints/e/invocations")
    assert worker.get("/v2/models/e").status == 400
    assert worker.get("/v2/models/e/ready").status == 200
    assert replica.asked == []


def test_variants_of_both_kinds_share_an_endpoint(stage):
    stage = stage()
    replica = stage.replica("r0", saying(reply(b"own")))
    digest = stage.worker.put(truthful_bundle(1))
    worker = stage.start(coded("e", "r0", variant="code", others=(VariantRoute("loaded", "m:1", digest),)))
    seen = {worker.ask("e", [[1, 2]]).headers["x-amzn-invoked-production-variant"] for _ in range(60)}
    assert seen == {"code", "loaded"}
    for variant, body in (("code", b"own"), ("loaded", b'{"predictions":[1003.0]}')):
        assert worker.ask("e", [[1, 2]], {"X-Amzn-SageMaker-Target-Variant": variant}).body == body
    assert replica.connections == 1


def test_capture_keeps_both_sides_and_shadows_answer_unheard(stage):
    stage = stage()
    production = stage.replica("r0", saying(reply(b"\x00\x01", Content_Type="application/x-own")))
    shadow = stage.replica("r1", saying(reply(b"0.5\n", Content_Type="text/csv")))
    digest = stage.worker.put(truthful_bundle(1))
    worker = stage.start(
        coded(
            "e",
            "r0",
            capture=100.0,
            others=(
                VariantRoute("s1", "code:2", "", shadow=True, replicas=("r1",)),
                VariantRoute("s2", "m:1", digest, shadow=True),
            ),
        )
    )
    answer = worker.ask("e", b"[[1,2]]")
    assert answer.body == b"\x00\x01"
    packed = worker.ask("e", b"no gzip", {"Content-Encoding": "gzip", "Content-Type": "text/csv"})
    assert packed.status == 200
    shadow.wait_asked(2)
    assert len(production.asked) == 2
    worker.stop()
    first, second = kept(worker, "v1")
    assert first["endpointInput"]["data"] == "[[1,2]]"
    assert first["endpointOutput"] == {
        "observedContentType": "application/x-own",
        "mode": "OUTPUT",
        "data": "AAE=",
        "encoding": "BASE64",
    }
    assert second["endpointInput"]["data"] == "no gzip"  # kept as it came, for it does not unpack
    assert [record["endpointOutput"]["data"] for record in kept(worker, "s1")] == ["0.5\n", "0.5\n"]
    assert [record["endpointOutput"]["data"] for record in kept(worker, "s2")] == ['{"predictions":[1003.0]}']
    counts = read_totals(worker.layout.metrics)
    assert counts[metrics.CAPTURED, ("e", "v1")] == [2]


def kept(worker, variant):
    """Return what was captured of a variant, in order."""
    files = sorted((worker.layout.captures / "e" / variant).rglob("*.jsonl"))
    return [json.loads(line)["captureData"] for file in files for line in file.read_text().splitlines()]


def test_a_switch_leaves_open_requests_alone_and_then_ends_connections(stage):
    stage = stage()
    old, new = stage.replica("r0"), stage.replica("r1")
    worker = stage.start()
    assert worker.ask("e", b"1").status == 200

    async def wait(asked):
        await old.wait_for_gate()
        asked.send(reply(b"old"))
        return True

    old.behave = wait
    collect = stage.ask_aside(1)
    old.wait_asked(2)
    worker.publish(2, coded("e", "r1"))
    assert worker.prepare(2) is None
    worker.activate(2)
    assert worker.ask("e", b"new").body == b"new"
    assert len(new.asked) == 1
    old.open_gate()
    assert [answer.body for answer in collect()] == [b"old"]
    old.wait_ended(1)
    assert worker.on_loop(lambda: worker.worker.serving.tables.draining) == []


def test_boto3_asks_code_in_replicas(stage):
    stage = stage()
    replica = stage.replica("r0", saying(reply(b"0.25", X_Amzn_SageMaker_Custom_Attributes="c")))
    stage.start()
    client = stage.client()
    answer = client.invoke_endpoint(
        EndpointName="e", Body=b"1,2", ContentType="text/csv", CustomAttributes="t", InferenceId="i-1"
    )
    assert (answer["Body"].read(), answer["ContentType"]) == (b"0.25", "application/json")
    assert (answer["CustomAttributes"], answer["InvokedProductionVariant"]) == ("c", "v1")
    assert replica.asked[0].headers["content-type"] == "text/csv"
    replica.behave = saying(reply(b"why", "418 No"))
    with pytest.raises(client.exceptions.ModelError) as caught:
        client.invoke_endpoint(EndpointName="e", Body=b"1,2")
    assert caught.value.response["OriginalStatusCode"] == 418
    assert caught.value.response["OriginalMessage"] == "why"


def test_parts_come_as_they_are_said(stage):
    stage = stage()
    replica = stage.replica("r0")

    async def speak(asked):
        asked.send(CHUNKED + chunk(b"one "))
        await replica.wait_for_gate()
        asked.send(chunk(b"two") + chunk(b""))
        return True

    replica.behave = speak
    worker = stage.start(coded("e", "r0", capture=100.0))
    answer, events = stage.stream(Accept="text/plain", ContentType="text/csv")
    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("text/plain", "v1")
    assert next(events) == {"PayloadPart": {"Bytes": b"one "}}  # before there is more
    replica.open_gate()
    assert b"".join(event["PayloadPart"]["Bytes"] for event in events) == b"two"
    assert replica.asked[0].headers["accept"] == "text/plain"
    worker.stop()
    [record] = kept(worker, "v1")
    assert record["endpointOutput"]["observedContentType"] == "text/plain"
    assert b64decode(record["endpointOutput"]["data"]) == b"one two"
    counts = read_totals(worker.layout.metrics)
    assert counts[metrics.REQUESTS, ("e", "v1", "code:1", "response-stream", "200")] == [1]


def test_a_model_in_memory_answers_in_one_part(stage):
    stage = stage()
    digest = stage.worker.put(truthful_bundle(1))
    worker = stage.start(endpoint("e", ("v1", "m:1", digest, 1.0), capture=100.0))
    client = stage.client()
    answer, events = stage.stream(ContentType="application/json", Accept="text/csv")
    assert answer["ContentType"] == "text/csv"
    assert list(events) == [{"PayloadPart": {"Bytes": b"1003.0\n"}}]
    with pytest.raises(client.exceptions.ClientError) as caught:
        client.invoke_endpoint_with_response_stream(EndpointName="e", Body=b"[[1]]")
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    worker.stop()
    [record] = kept(worker, "v1")
    assert record["endpointOutput"]["data"] == "1003.0\n"


def test_an_error_before_the_first_part_is_an_ordinary_one(stage):
    stage = stage()
    stage.replica("r0", saying(reply(b"why", "500 Oops")))
    stage.start()
    client = stage.client()
    with pytest.raises(client.exceptions.ModelError) as caught:
        client.invoke_endpoint_with_response_stream(EndpointName="e", Body=b"1")
    assert caught.value.response["OriginalMessage"] == "why"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (CHUNKED + chunk(b"one"), "its reply was cut short"),
        (CHUNKED + chunk(b"one") + b"zz\r\n", "its reply is no proper HTTP"),
    ],
)
def test_a_stream_that_breaks_says_so(stage, said, words):
    stage = stage()
    stage.replica("r0", saying(said, on=False))
    worker = stage.start()
    _, events = stage.stream()
    assert next(events) == {"PayloadPart": {"Bytes": b"one"}}
    with pytest.raises(EventStreamError) as caught:
        next(events)
    assert caught.value.response["Error"]["Code"] == "ModelStreamError"
    assert words in str(caught.value)
    counts = worker.call(numbers(worker))
    assert counts[metrics.REQUESTS, ("e", "v1", "code:1", "response-stream", "424")] == [1]


@pytest.mark.parametrize("limit", ["setting", "header"])
def test_a_stream_that_stands_still_ends_in_time(stage, limit):
    stage = stage(**({"request_timeout_s": 0.2} if limit == "setting" else {}))
    replica = stage.replica("r0")

    async def pause(asked):
        asked.send(CHUNKED + chunk(b"one"))
        await replica.wait_for_gate()
        return True

    replica.behave = pause
    worker = stage.start()
    with worker.connect() as client:
        client.sendall(streamed(b"" if limit == "setting" else b"X-Modelport-Timeout-Ms: 150\r\n"))
        said = read_all(client)
    assert b"ModelInvocationTimeExceeded" in said
    assert said.endswith(b"\r\n0\r\n\r\n")
    replica.wait_ended(1)


def streamed(headers=b"", version=b"1.1"):
    line = b"POST /endpoints/e/invocations-response-stream HTTP/%b\r\n" % version
    return line + b"Host: localhost\r\n%bContent-Length: 1\r\n\r\n1" % headers


def read_all(client):
    said = b""
    while data := client.recv(65536):
        said += data
    return said


def test_a_stream_waits_for_its_turn_and_is_the_last_of_its_connection(stage):
    stage = stage()
    replica = stage.replica("r0")

    async def speak(asked):
        if asked.connection == 1:
            await replica.wait_for_gate()
            asked.send(reply(b"whole"))
        else:
            asked.send(CHUNKED + chunk(b"part") + chunk(b""))
        return True

    replica.behave = speak
    worker = stage.start()
    with worker.connect() as client:
        plain = streamed().replace(b"-response-stream", b"")
        client.sendall(plain + streamed() + plain)
        replica.wait_asked(2)
        while worker.on_loop(worker.worker.serving.tables.open) > 1:
            pass  # the second is complete, and waits for the first
        replica.open_gate()
        said = read_all(client)
    assert said.index(b"whole") < said.index(b"Transfer-Encoding: chunked") < said.index(b"part")
    assert said.count(b"HTTP/1.1 200 OK") == 2
    assert b"Connection: close" in said


def test_streams_need_chunks(stage):
    worker = stage().start()
    with worker.connect() as client:
        client.sendall(streamed(version=b"1.0"))
        assert read_all(client).startswith(b"HTTP/1.1 505")


def test_who_leaves_a_stream_ends_it(stage):
    stage = stage()
    replica = stage.replica("r0")

    async def pause(asked):
        asked.send(CHUNKED + chunk(b"one"))
        await replica.wait_for_gate()
        return True

    replica.behave = pause
    worker = stage.start()
    with worker.connect() as client:
        client.sendall(streamed())
        while b"one" not in client.recv(65536):
            pass
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
    replica.wait_ended(1)
    counts = worker.call(numbers(worker))
    assert counts[metrics.REQUESTS, ("e", "v1", "code:1", "response-stream", "499")] == [1]
    assert worker.on_loop(worker.worker.serving.tables.open) == 0


def test_a_stream_goes_no_faster_than_its_reader(stage):
    stage = stage(write_timeout_s=0.4)
    replica = stage.replica("r0")
    piece, pieces, said = b"x" * (64 << 10), 1600, []

    async def pour(asked):
        asked.send(CHUNKED)
        for _ in range(pieces):
            asked.send(chunk(piece))
            await asked.writer.drain()
            said.append(len(piece))
        asked.send(chunk(b""))
        return True

    replica.behave = pour
    worker = stage.start()
    with worker.connect() as client:
        client.sendall(streamed())
        replica.wait_ended(1)  # the reader took nothing, and was cut
        assert sum(said) < 24 << 20
    said.clear()
    _, events = stage.stream()
    assert sum(len(event["PayloadPart"]["Bytes"]) for event in events) == len(piece) * pieces
    assert len(said) == pieces
