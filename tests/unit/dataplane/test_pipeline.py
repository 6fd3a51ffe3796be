"""A request goes through its stages: each is asked what the one before said, and whoever fails is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from modelport.dataplane.exchange import Exchange, Plan
from modelport.dataplane.forwarded import ReplicaFailed, ReplicaReply
from modelport.dataplane.pipeline import Pipeline
from modelport.dataplane.protocols import Ask
from modelport.dataplane.protocols.invocations import Invocations
from modelport.domain.errors import InvalidInput, Unavailable
from modelport.runtime.codecs import Unpacking

DIALECT = Invocations(Unpacking(1 << 20, 100))
HEADERS = {
    "content-type": "text/csv",
    "content-encoding": "gzip",
    "x-amzn-sagemaker-custom-attributes": "a=b",
}


class Stage:
    """One stage, and its only lane.

    Args:
        say: Returns status, media type and body of what it answers; raises what it refuses.
    """

    def __init__(self, say: Callable[[bytes], tuple[int, str, bytes]]) -> None:
        self.say = say
        self.asked: list[tuple[bytes, Ask]] = []
        self.dropped = 0
        self.lanes: dict[Any, Any] = {}
        self.batcher, self.busy = self, False
        self.passing_bytes = -1

    def open_lane(self, ask: Ask, overloaded: bytes) -> Stage:
        del overloaded
        self.asked.append((b"", ask))
        return self

    def submit(self, exchange: Exchange) -> None:
        self.asked[-1] = (exchange.body, exchange.plan.ask)
        exchange.drop = self.drop
        status, media, body = self.say(exchange.body)
        head = f"HTTP/1.1 {status} \r\nContent-Type: {media}\r\nContent-Length: {len(body)}\r\n\r\n"
        if status:
            asyncio.get_running_loop().call_soon(exchange.reply, head.encode() + body)

    def drop(self, exchange: Exchange) -> None:
        self.dropped += 1
        exchange.reply(DIALECT.refuse(Unavailable("nobody hears it")))


def says(word: str, media: str = "text/plain") -> Stage:
    return Stage(lambda body: (200, media, body + word.encode()))


def run(
    *stages: Stage, accept: str | None = None, meanwhile: Callable[[Exchange], None] | None = None
) -> Any:
    """Return what becomes of a request with body `0`."""

    async def story() -> Any:
        done = asyncio.get_running_loop().create_future()
        pipeline = Pipeline(stages, lambda _, answer: done.set_result(answer))  # type: ignore[arg-type]
        ask = Ask(DIALECT, "air", content_type="text/csv", encoding="gzip", accept=accept, headers=HEADERS)
        plan = Plan(lambda _: None, length=1, keep_alive=True, ask=ask)
        exchange = Exchange(lambda *_: None, plan, b"0", 0.0)
        pipeline.submit(exchange)
        assert not done.done(), "its finish is never called from there"
        if meanwhile is not None:
            await asyncio.sleep(0.01)
            meanwhile(exchange)
        return await asyncio.wait_for(done, 5)

    return asyncio.run(story())


def test_each_stage_gets_what_the_one_before_said():
    first, second, third = says("1", "application/x-npy"), says("2", "text/weird"), says("3", "text/last")
    reply = run(first, second, third, accept="text/csv")
    assert isinstance(reply, ReplicaReply)
    assert (bytes(reply), reply.content_type) == (b"0123", "text/last")
    assert [stage.asked[0][0] for stage in (first, second, third)] == [b"0", b"01", b"012"]
    asks = [stage.asked[0][1] for stage in (first, second, third)]
    assert [ask.content_type for ask in asks] == ["text/csv", "application/x-npy", "text/weird"]
    assert [ask.accept for ask in asks] == [None, None, "text/csv"], (
        "the last one's type is the client's wish"
    )
    assert [ask.encoding for ask in asks] == ["gzip", None, None]
    for ask in asks[1:]:
        assert ask.headers["content-type"] == ask.content_type
        assert "content-encoding" not in ask.headers
        assert ask.headers["x-amzn-sagemaker-custom-attributes"] == "a=b"


@pytest.mark.parametrize("body", [json.dumps({"Message": "no", "OriginalStatusCode": 418}).encode(), b"no"])
def test_who_failed_is_told_with_its_own_status(body):
    last = says("never")
    failed = run(says("1"), Stage(lambda _: (424, "application/json", body)), last)
    assert isinstance(failed, ReplicaFailed)
    assert failed.message.startswith("container 2 of 3: ")
    assert failed.status == (418 if body.startswith(b"{") else 424)
    assert not last.asked


def test_overload_of_a_stage_is_overload():
    full = says("1")
    full.busy, full.admits = True, lambda: False  # type: ignore[attr-defined]
    assert isinstance(run(says("1"), full), Unavailable)


def test_a_body_that_a_stage_cannot_read_is_its_refusal():
    def refuse(_body: bytes) -> tuple[int, str, bytes]:
        raise InvalidInput("row 1: no number")

    failed = run(Stage(refuse), says("2"))
    assert (failed.status, failed.message) == (400, "container 1 of 2: row 1: no number")


def test_a_client_that_leaves_lets_go_of_the_stage_that_works():
    silent = Stage(lambda _: (0, "", b""))
    answer = run(says("1"), silent, meanwhile=lambda exchange: exchange.drop(exchange))
    assert isinstance(answer, Unavailable)
    assert silent.dropped == 1
