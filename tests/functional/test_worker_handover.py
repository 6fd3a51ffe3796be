"""Connections go from worker to worker, and their clients do not notice."""

from __future__ import annotations

import http.client
import json
import socket
import time
from contextlib import ExitStack, contextmanager

import pytest

from fakes.bundles import truthful_bundle
from fakes.platform import wait_for
from fakes.serving import WorkerInThread, endpoint
from modelport.dataplane.handover import Handover
from modelport.supervisor.inboxes import Inboxes


class Row:
    """Workers with inboxes, each of which would serve the same endpoint."""

    def __init__(self, folder):
        self.folder = folder
        self.inboxes = Inboxes.make(2, folder)

    @contextmanager
    def worker(self, index, name, **settings):
        board, inbox, *outlets = self.inboxes.descriptors_for(index)
        with ExitStack() as stack:
            inbox, *outlets = (stack.enter_context(_copy(number)) for number in (inbox, *outlets))
            handover = Handover(index, inbox, outlets, board, time.monotonic_ns, connections_max=100)
            worker = WorkerInThread(self.folder / name, {"index": index, "handover": handover}, **settings)
            digest = worker.put(truthful_bundle(1))
            worker.publish(1, endpoint("e", ("v1", "m:1", digest, 1.0)))
            yield stack.enter_context(worker)


def _copy(descriptor):
    return socket.socket(fileno=socket.dup(descriptor))


@pytest.fixture
def row(tmp_path):
    row = Row(tmp_path)
    yield row
    row.inboxes.close()


def ask(client):
    """Return the status of one request, and whether the connection ends after it."""
    client.request(
        "POST", "/endpoints/e/invocations", json.dumps([[0, 0]]), {"Content-Type": "application/json"}
    )
    reply = client.getresponse()
    reply.read()
    return reply.status, reply.getheader("Connection") == "close"


@contextmanager
def connected(worker):
    """Yield a client that never connects by itself again."""
    client = http.client.HTTPConnection("127.0.0.1", worker.port, timeout=10.0)
    client.connect()
    client.auto_open = 0
    try:
        yield client
    finally:
        client.close()


def test_a_quiet_connection_outlives_its_worker(row):
    with row.worker(0, "a") as first, row.worker(1, "b") as second, connected(first) as client:
        assert ask(client) == (200, False)
        first.stop()
        assert ask(client) == (200, False)
        assert len(second.worker.server.connections) == 1


def test_a_connection_that_never_spoke_does_too(row):
    with row.worker(0, "a") as first, row.worker(1, "b"), connected(first) as client:
        wait_for(lambda: first.worker.server.connections)
        first.stop()
        assert ask(client) == (200, False)


def test_a_moved_connection_is_as_patiently_waited_for_as_before(row):
    with (
        row.worker(0, "a") as first,
        row.worker(1, "b", header_timeout_s=0.1) as second,
        connected(first) as client,
    ):
        assert ask(client) == (200, False)
        first.stop()
        wait_for(lambda: second.worker.server.connections)
        moved = time.monotonic()
        wait_for(lambda: second.worker.server.now > moved + 0.3)
        assert ask(client) == (200, False)


def test_with_no_other_worker_connections_wait_for_the_successor(row):
    with row.worker(0, "a") as first, connected(first) as client:
        assert ask(client) == (200, False)
        first.stop()
        with row.worker(0, "b"):
            assert ask(client) == (200, False)


def test_half_a_request_is_finished_where_it_began(row):
    with row.worker(0, "a") as first, row.worker(1, "b") as second, connected(first) as client:
        assert ask(client) == (200, False)
        client.putrequest("POST", "/endpoints/e/invocations")
        client.putheader("Content-Type", "application/json")
        client.putheader("Content-Length", "7")
        client.endheaders(b"[[0,")
        wait_for(lambda: first.on_loop(lambda: not next(iter(first.worker.server.connections)).is_quiet()))
        first.on_loop(first.worker.stop)
        client.send(b"0]]")
        reply = client.getresponse()
        assert (reply.status, reply.getheader("Connection")) == (200, None)
        reply.read()
        first.stop()
        assert ask(client) == (200, False)
        assert len(second.worker.server.connections) == 1


def test_when_all_stop_the_next_answer_says_that_it_is_the_last(row):
    with row.worker(0, "a", drain_linger_s=5.0) as first, row.worker(1, "b"), connected(first) as client:
        assert ask(client) == (200, False)
        row.inboxes.shut()
        first.on_loop(first.worker.stop)
        wait_for(lambda: first.worker.server.draining)
        assert ask(client) == (200, True)


def test_when_all_stop_a_quiet_connection_is_closed_after_a_moment(row):
    with row.worker(0, "a", drain_linger_s=0.1) as first, connected(first) as client:
        assert ask(client) == (200, False)
        row.inboxes.shut()
        first.stop()
        assert client.sock.recv(1) == b""


def test_connections_in_an_inbox_are_served_though_all_stop(row):
    with row.worker(0, "a") as first, connected(first) as client:
        first.stop()
        with row.worker(0, "b", drain_linger_s=5.0) as second:
            row.inboxes.shut()
            second.on_loop(second.worker.stop)
            wait_for(lambda: second.worker.server.draining)
            assert ask(client) == (200, True)


def test_who_holds_more_gives_to_the_others(row):
    with row.worker(0, "a") as first, row.worker(1, "b") as second, ExitStack() as stack:
        clients = [stack.enter_context(connected(first)) for _ in range(8)]

        def even():
            assert [ask(client) for client in clients] == [(200, False)] * 8
            return len(second.worker.server.connections) == 4

        wait_for(even)
        assert len(first.worker.server.connections) == 4


def test_a_worker_that_is_alone_keeps_what_it_has(row):
    with row.worker(0, "a") as first, connected(first) as client:
        assert ask(client) == (200, False)
        first.on_loop(first.worker.server.share)
        assert len(first.worker.server.connections) == 1
        assert ask(client) == (200, False)
