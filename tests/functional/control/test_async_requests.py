"""Asynchronous requests have their turn, and none is forgotten before its answer or the reason is stored."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from fakes.house import HandClock
from fakes.platform import wait_for
from modelport.control.async_runner import SAMPLED_S, TOGETHER_MAX, Answer, AsyncRunner
from modelport.control.services.invocations import Invocations, Wish
from modelport.control.services.metrics import MetricStore
from modelport.control.services.objects import ObjectStore
from modelport.domain.errors import Unavailable
from modelport.domain.metrics import SeriesKey
from modelport.domain.objects import NoSuchKey
from modelport.domain.routes import AsyncRoute, EndpointRoute, RouteTable, VariantRoute
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.stores.records.invocations import InvocationQueue
from modelport.stores.records.records import Records, sqlite_url

BUCKET = "bucket"
BODY_BYTES_MAX = 1_000


class Bench:
    """A queue, its runner, and a worker that says what a test wants."""

    def __init__(self, folder: Path) -> None:
        self.clock = HandClock()
        self.records = Records(sqlite_url(folder / "records.db"), self.clock)
        self.artifacts = LocalArtifacts(folder / "artifacts")
        self.objects = ObjectStore(self.records, self.artifacts)
        self.objects.create_bucket(BUCKET)
        self.asked: list[tuple[str, bytes, float]] = []
        self.say = lambda body: Answer(200, "text/csv", body.upper())
        self.serve(1)
        self.service = Invocations(
            self.records,
            self.artifacts,
            self.objects,
            lambda: self.routes,
            pending_max=100,
            wake=lambda: None,
        )
        self.runner = self.again()

    def serve(self, together: int, failure: str | None = f"s3://{BUCKET}/failed") -> None:
        route = AsyncRoute(f"s3://{BUCKET}/out", failure, each=together)
        variants = (VariantRoute("A", "m:1", "d" * 64),)
        self.routes = RouteTable(1, (EndpointRoute("slow", variants, asynchronous=route),))

    def again(self) -> AsyncRunner:
        """Return the runner of a control process that starts now."""
        return AsyncRunner(
            self.records,
            self.objects,
            self.artifacts.path,
            self._ask,
            lambda: self.routes,
            clock=self.clock,
            body_bytes_max=BODY_BYTES_MAX,
            wake=lambda: None,
        )

    def _ask(self, endpoint, headers, body, timeout_s):
        self.asked.append((endpoint, body, timeout_s))
        return self.say(body)

    def submit(self, body: bytes = b"row", **more):
        return self.service.submit(Wish("slow", body=body, **more), principal="me")

    def waiting(self) -> int:
        with self.records.reading() as tx:
            return InvocationQueue(tx).size("slow")

    def until_empty(self) -> None:
        def turn() -> bool:
            self.runner.step()
            return not self.waiting()

        wait_for(turn, what="the end of the queue")

    def read(self, place) -> bytes | None:
        try:
            return self.objects.path(self.objects.get(place.bucket, place.key)).read_bytes()
        except NoSuchKey:
            return None

    def events(self) -> list[str]:
        with self.records.reading() as tx:
            return [event.message for event in tx.events() if event.verb == "fail"]


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.runner.close()
    bench.records.close()


def test_answers_become_objects(bench):
    small = bench.submit(timeout_s=7)
    bench.objects.put(BUCKET, "in/1", [b"large"])
    large = bench.service.submit(Wish("slow", input_location=f"s3://{BUCKET}/in/1"), principal="me")
    bench.until_empty()
    assert [bench.read(one.output) for one in (small, large)] == [b"ROW", b"LARGE"]
    assert bench.objects.get(BUCKET, small.output.key).headers["content-type"] == "text/csv"
    assert bench.asked[0] == ("slow", b"row", 7)
    assert bench.read(small.failure) is None


def test_reasons_become_objects_too(bench):
    bench.say = lambda _: Answer(424, "application/json", b"{}", "the model's own code said no")
    refused = bench.submit()
    absent = bench.service.submit(Wish("slow", input_location=f"s3://{BUCKET}/none"), principal="me")
    large = bench.submit(b"x" * (BODY_BYTES_MAX + 1))
    bench.until_empty()
    told = [bench.read(one.failure) for one in (refused, absent, large)]
    assert told[0] == b"the model's own code said no"
    assert b"none" in told[1]
    assert b"larger than 1000 bytes" in told[2]
    assert bench.read(refused.output) is None
    assert not bench.events()


def test_without_a_place_for_reasons_they_are_events(bench):
    bench.serve(1, failure=None)
    bench.say = lambda _: Answer(400, "application/json", b"{}", "row 3 is bad")
    bench.submit(inference_id="mine")
    bench.until_empty()
    assert bench.events() == ["mine: row 3 is bad"]


def test_while_no_worker_answers_a_request_waits_and_then_expires(bench):
    def nobody(_body):
        raise Unavailable("no worker answers")

    bench.say = nobody
    late = bench.submit(ttl_s=60)
    bench.runner.step()
    wait_for(lambda: bench.asked and not bench.runner._running, what="the first try")
    bench.runner.step()
    assert len(bench.asked) == 1, "it rests before it is asked again"
    bench.clock.turn(2)
    bench.runner.step()
    wait_for(lambda: len(bench.asked) == 2, what="the second try")
    bench.clock.turn(60)
    bench.until_empty()
    assert b"RequestTTLSeconds" in bench.read(late.failure)


def test_no_more_are_asked_together_than_the_config_says(bench):
    go, most = threading.Event(), []
    lock, inside = threading.Lock(), []

    def slow(body):
        with lock:
            inside.append(body)
            most.append(len(inside))
        go.wait(10)
        with lock:
            inside.remove(body)
        return Answer(200, "text/plain", body)

    bench.say = slow
    bench.serve(2)
    for number in range(5):
        bench.submit(str(number).encode())
    for _ in range(5):
        bench.runner.step()
    wait_for(lambda: len(bench.asked) == 2, what="two requests on their way")
    go.set()
    bench.until_empty()
    assert max(most) == 2
    assert {body for _, body, _ in bench.asked[:2]} == {b"0", b"1"}, "the oldest first"
    assert len(bench.asked) == 5


def test_endpoints_share_what_may_be_asked_together(bench):
    go = threading.Event()

    def slow(body):
        go.wait(10)
        return Answer(200, "text/plain", body)

    bench.say = slow
    route = AsyncRoute(f"s3://{BUCKET}/out", each=50)
    variants = (VariantRoute("A", "m:1", "d" * 64),)
    names = ("a", "b")
    bench.routes = RouteTable(1, tuple(EndpointRoute(n, variants, asynchronous=route) for n in names))
    for name in names:
        for _ in range(40):
            bench.service.submit(Wish(name, body=b"row"), principal="me")
    for _ in range(3):
        bench.runner.step()
    wait_for(lambda: len(bench.asked) >= TOGETHER_MAX, what="all that may be asked together")
    asked = Counter(endpoint for endpoint, _, _ in bench.asked)
    assert asked == dict.fromkeys(names, TOGETHER_MAX // 2)
    bench.runner.close()
    go.set()
    wait_for(lambda: not bench.runner._running, what="the end of the threads")


def test_a_process_that_dies_before_the_answer_is_stored_asks_again(bench):
    go = threading.Event()

    def never(body):
        go.wait(10)
        return Answer(200, "text/plain", b"too late" + body)

    bench.say = never
    asked = bench.submit()
    bench.runner.step()
    wait_for(lambda: bench.asked, what="the request on its way")
    bench.say = lambda _: Answer(200, "text/plain", b"here")
    bench.runner = bench.again()
    bench.until_empty()
    assert bench.read(asked.output) == b"here"
    go.set()


def test_what_comes_after_the_end_is_not_stored(bench):
    go = threading.Event()

    def late(body):
        go.wait(10)
        return Answer(200, "text/plain", body)

    bench.say = late
    asked = bench.submit()
    bench.runner.step()
    wait_for(lambda: bench.asked, what="the request on its way")
    bench.runner.close()
    go.set()
    wait_for(lambda: not bench.runner._running, what="the end of its thread")
    assert bench.waiting() == 1
    assert bench.read(asked.output) is None


def test_requests_of_an_endpoint_that_is_gone_fail(bench):
    asked = bench.submit()
    bench.routes = RouteTable(2)
    bench.until_empty()
    assert bench.read(asked.failure) == b"its endpoint was deleted"
    assert not bench.asked


def test_an_answer_that_can_be_stored_nowhere_is_told(bench):
    bench.serve(1, failure=None)
    asked = bench.submit(inference_id="mine")
    bench.objects.delete_bucket(BUCKET)
    bench.until_empty()
    (told,) = bench.events()
    assert asked.output.url in told


def test_the_length_of_the_queue_is_a_metric(bench):
    bench.say = lambda body: Answer(200, "text/plain", body)
    bench.submit()
    bench.submit()
    bench.runner.step()
    bench.until_empty()
    bench.clock.turn(SAMPLED_S)
    bench.runner.step()
    key = SeriesKey("AWS/SageMaker", "ApproximateBacklogSize", (("EndpointName", "slow"),))
    now = bench.clock.now().timestamp()
    (sample,) = (
        MetricStore(bench.records)
        .statistics(key, now - 300, now + timedelta(minutes=1).total_seconds(), 300)
        .values()
    )
    assert (sample.most, sample.least) == (2.0, 0.0)
