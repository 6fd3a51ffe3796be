"""A worker's requests for models that are not hosted: they wait, control hears of it, and all of them end."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from fakes.bundles import truthful_bundle
from fakes.platform import wait_for
from fakes.replicas import FakeReplica, reply
from fakes.serving import WorkerInThread
from functional.test_worker_feed import control
from modelport.domain.routes import EndpointRoute, HostedBy, HostedRoute, Hosting, VariantRoute
from modelport.wire.feed import Activate, Asked, CannotHost, HostedName, Prepare, Used

SOURCE = "many@now"
ROW = [[1.0, 2.0]]


def hosting(*models, by=HostedBy.TARGET_MODEL, together=None, name="e"):
    """Return an endpoint that hosts these models."""
    kept = Hosting(by, SOURCE, models, together)
    return EndpointRoute(name, (VariantRoute("v", "many", "", hosting=kept),))


@pytest.fixture
def worker(tmp_path):
    return WorkerInThread(tmp_path, request_timeout_s=20.0)


def ask(worker, model=None, *, component=None, timeout_ms=20_000, endpoint="e"):
    """Ask; return what collects the answer."""
    headers = {"X-Modelport-Timeout-Ms": str(timeout_ms)}
    if model is not None:
        headers["X-Amzn-SageMaker-Target-Model"] = model
    if component is not None:
        headers["X-Amzn-SageMaker-Inference-Component"] = component
    found = []
    thread = threading.Thread(target=lambda: found.append(worker.ask(endpoint, {"instances": ROW}, headers)))
    thread.start()

    def collect():
        thread.join(30)
        return found[0].status, json.loads(found[0].body), found[0].headers

    return collect


def test_a_request_waits_for_the_table_that_hosts_its_model(worker):
    digest = worker.put(truthful_bundle(3))
    worker.publish(1, hosting())
    with worker, control(worker) as feed:
        answer = ask(worker, "three")
        [asked] = feed.hear_until(Asked)[-1].models
        assert asked == HostedName("e", "v", SOURCE, "three")
        worker.publish(2, hosting(HostedRoute("three", digest)))
        feed.say(Prepare(2))
        feed.say(Activate(2))
        status, document, headers = answer()
        assert (status, document) == (200, {"predictions": [3003.0]})
        assert headers["x-amzn-invoked-production-variant"] == "v"
        assert feed.hear_until(Used)[-1].models == (asked,)


def test_one_that_comes_to_nothing_is_told_why(worker):
    worker.publish(1, hosting())
    with worker, control(worker) as feed:
        unknown, broken = ask(worker, "none"), ask(worker, "torn")
        heard = set()
        while len(heard) < 2:
            heard |= set(feed.hear_until(Asked)[-1].models)
        feed.say(CannotHost(HostedName("e", "v", SOURCE, "none"), False, "no such object"))
        feed.say(CannotHost(HostedName("e", "v", SOURCE, "torn"), True, "no archive"))
        status, document, headers = unknown()
        assert (status, headers["x-amzn-errortype"]) == (400, "ValidationError")
        assert "no such object" in document["Message"]
        status, document, headers = broken()
        assert (status, headers["x-amzn-errortype"]) == (424, "ModelError")
        assert document["OriginalMessage"] == "no archive"


def test_one_whose_time_is_over_may_come_again(worker):
    worker.publish(1, hosting())
    with worker:
        status, document, headers = ask(worker, "three", timeout_ms=200)()
        assert (status, headers["x-amzn-errortype"]) == (429, "ModelNotReadyException")
        assert "on its way" in document["Message"]


def test_those_that_wait_for_a_sleeping_variant_count_as_open(worker):
    digest = worker.put(truthful_bundle(3))
    worker.publish(1, hosting(by=HostedBy.SERVERLESS, together=2))
    with worker, control(worker) as feed:
        waiting = [ask(worker), ask(worker)]
        feed.hear_until(Asked)
        held = worker.worker._hosted._waiting
        wait_for(lambda: worker.on_loop(lambda: held._count) == 2)
        assert ask(worker)()[0] == 429
        worker.publish(2, hosting(HostedRoute("", digest), by=HostedBy.SERVERLESS, together=2))
        feed.say(Prepare(2))
        feed.say(Activate(2))
        assert [answer()[0] for answer in waiting] == [200, 200]


def test_too_many_do_not_wait(tmp_path):
    with WorkerInThread(tmp_path, cold_requests_max=1) as worker:
        worker.publish(1, hosting())
        worker.activate(1)
        first = ask(worker, "three", timeout_ms=3_000)
        held = worker.worker._hosted._waiting
        wait_for(lambda: worker.on_loop(lambda: held._count) == 1)
        assert ask(worker, "three")()[0] == 429
        assert first()[0] == 429


@pytest.mark.parametrize(
    ("by", "model", "component", "words"),
    [
        (HostedBy.TARGET_MODEL, None, None, "name one in X-Amzn-SageMaker-Target-Model"),
        (HostedBy.TARGET_MODEL, "three", "three", "several models"),
        (HostedBy.COMPONENT, "three", None, "name one in X-Amzn-SageMaker-Inference-Component"),
        (HostedBy.COMPONENT, None, "four", "no inference component 'four'"),
        (HostedBy.SERVERLESS, "three", None, "serves one model"),
        (HostedBy.TARGET_MODEL, "t" * 1025, None, "expected 1 to 1024 printable characters"),
        (HostedBy.COMPONENT, None, "no/path", "expected letters, digits and hyphens"),
    ],
)
def test_a_request_names_what_it_asks_as_its_endpoint_wants(worker, by, model, component, words):
    digest = worker.put(truthful_bundle(3))
    name = "" if by is HostedBy.SERVERLESS else "three"
    worker.publish(1, hosting(HostedRoute(name, digest), by=by))
    with worker:
        status, document, _ = ask(worker, model, component=component)()
        assert status == 400
        assert words in document["Message"]


def test_components_are_asked_by_their_names_whatever_the_variant(worker):
    digests = [worker.put(truthful_bundle(number)) for number in (3, 4)]
    variants = tuple(
        VariantRoute(
            f"v{number}",
            "parts",
            "",
            hosting=Hosting(HostedBy.COMPONENT, "parts", (HostedRoute(name, digest),)),
        )
        for number, (name, digest) in enumerate(zip(("three", "four"), digests, strict=True))
    )
    worker.publish(1, EndpointRoute("e", variants))
    with worker:
        for name, number in (("three", 3), ("four", 4)) * 2:
            status, document, headers = ask(worker, component=name)()
            assert (status, document) == (200, {"predictions": [1000.0 * number + 3]})
            assert headers["x-modelport-model-version"] == name


def test_no_more_requests_are_open_than_a_serverless_variant_may_have(worker):
    gate = threading.Event()

    async def slowly(asked):
        await asyncio.to_thread(gate.wait, 20)
        asked.send(reply(b"{}"))
        return True

    with FakeReplica(worker.layout.replicas, "r0", slowly) as replica:
        route = hosting(HostedRoute("", replicas=("r0",)), by=HostedBy.SERVERLESS, together=1)
        worker.publish(1, route)
        with worker:
            first = ask(worker)
            wait_for(lambda: replica.asked)
            status, document, headers = ask(worker)()
            assert (status, headers["x-amzn-errortype"]) == (429, "ThrottlingException")
            assert "MaxConcurrency" in document["Message"]
            gate.set()
            assert first()[0] == 200
            assert ask(worker)()[0] == 200
