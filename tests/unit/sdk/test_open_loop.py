"""The open-loop generator against a server whose behaviour each test writes."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from modelport.sdk.open_loop import Load, Offered, arrivals, offer, percentile

REQUEST = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
BAD = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
Answer = Callable[[int, asyncio.Transport], None]


class Scripted(asyncio.Protocol):
    """Answers the n-th request of all connections as the test says."""

    def __init__(self, answer: Answer, seen: list[int]) -> None:
        self.answer, self.seen = answer, seen

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        for _ in range(data.count(b"POST ")):
            self.seen.append(1)
            self.answer(len(self.seen), self.transport)


@contextmanager
def server(answer: Answer) -> Iterator[int]:
    """Serve in a thread; yield the port."""
    loop = asyncio.new_event_loop()
    seen: list[int] = []
    made = loop.run_until_complete(loop.create_server(lambda: Scripted(answer, seen), "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield made.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(made.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def ask(port: int, **more) -> Offered:
    return offer(Load("127.0.0.1", port, [REQUEST], **{"rate": 400.0, "seconds": 0.3, **more}))


def test_every_request_is_sent_and_counted() -> None:
    with server(lambda _, transport: transport.write(GOOD)) as port:
        found = ask(port)
    assert found.due == len(arrivals(400.0, 0.3)) == len(found.answered_s) == len(found.late_s)
    assert (len(found.refused_s), found.failed, found.unanswered) == (0, {}, 0)
    assert min(found.answered_s) > 0


def test_refusals_and_other_answers_are_told_apart() -> None:
    replies = (GOOD, BUSY, BAD)
    with server(lambda number, transport: transport.write(replies[number % 3])) as port:
        found = ask(port)
    assert len(found.answered_s) + len(found.refused_s) + found.failed["400"] == found.due
    assert min(len(found.answered_s), len(found.refused_s), found.failed["400"]) >= found.due // 3


def test_an_answer_in_pieces_is_one_answer() -> None:
    def answer(_: int, transport: asyncio.Transport) -> None:
        transport.write(GOOD[:10])
        asyncio.get_running_loop().call_later(0.002, transport.write, GOOD[10:])

    with server(answer) as port:
        found = ask(port, rate=100.0)
    assert len(found.answered_s) == found.due


def test_a_server_that_closes_after_each_answer_loses_nothing() -> None:
    def answer(_: int, transport: asyncio.Transport) -> None:
        transport.write(LAST)
        transport.close()

    with server(answer) as port:
        found = ask(port)
    assert len(found.answered_s) == found.due


def test_a_lost_connection_is_a_failure_of_its_request() -> None:
    def answer(number: int, transport: asyncio.Transport) -> None:
        transport.abort() if number % 2 else transport.write(GOOD)

    with server(answer) as port:
        found = ask(port)
    assert found.failed.total() > 0
    assert len(found.answered_s) + found.failed.total() + found.unanswered == found.due


def test_a_stall_is_in_the_latency_of_all_who_had_to_wait_for_it() -> None:
    """One connection, one slow answer: a closed loop would tell of one slow request."""
    stall_s = 0.5

    def answer(number: int, transport: asyncio.Transport) -> None:
        if number == 1:
            asyncio.get_running_loop().call_later(stall_s, transport.write, GOOD)
        else:
            transport.write(GOOD)

    with server(answer) as port:
        found = ask(port, connections_max=1)
    assert len(found.answered_s) == found.due
    assert percentile(found.answered_s, 0.5) > stall_s / 2 - 0.1
    assert found.answered_in_time == 0


def test_what_is_never_answered_is_told() -> None:
    with server(lambda number, transport: transport.write(GOOD) if number < 5 else None) as port:
        found = ask(port, requests_limit_s=0.2)
    assert len(found.answered_s) == 4
    assert found.unanswered == found.due - 4


def test_a_server_that_is_not_there_is_an_error() -> None:
    with server(lambda *_: None) as port:
        pass
    with pytest.raises(OSError, match=r"."):
        ask(port)


def test_arrivals_are_a_poisson_process_and_always_the_same() -> None:
    due = arrivals(1000.0, 10.0)
    gaps = [later - earlier for earlier, later in itertools.pairwise(due)]
    assert arrivals(1000.0, 10.0) == due
    assert 9_500 < len(due) < 10_500
    assert all(gap >= 0 for gap in gaps)
    assert sum(gap > 0.001 for gap in gaps) / len(gaps) == pytest.approx(0.368, abs=0.03)  # 1/e of them


def test_percentiles_are_values_of_the_sample() -> None:
    assert percentile([5.0, 1.0, 3.0], 0.5) == 3.0
    assert percentile(range(1, 101), 0.99) == 99
    assert percentile([], 0.5) != percentile([], 0.5)
