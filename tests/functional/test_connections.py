"""Connections on real sockets: who is waited for, what is bounded, what becomes of who leaves."""

from __future__ import annotations

import asyncio
import resource
import socket
import struct
import time
from contextlib import ExitStack, suppress
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from fakes.front import FrontInThread

KIB = 1024


def request(body=b"", path=b"/echo", headers=b"", length=None):
    return b"POST %b HTTP/1.1\r\nHost: localhost\r\n%bContent-Length: %d\r\n\r\n%b" % (
        path,
        headers,
        len(body) if length is None else length,
        body,
    )


def read_reply(stream):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        assert line, head
        head += line
    length = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length"))
    return head, stream.read(int(length.split(b":")[1]))


def read_all(connection):
    found = b""
    with suppress(ConnectionResetError):
        while data := connection.recv(65536):
            found += data
    return found


def drip(connection, content, pause_s):
    """Send a byte at a time until the other end answers or cuts; return what it said."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.settimeout(pause_s)
    for at in range(len(content)):
        try:
            connection.sendall(content[at : at + 1])
            return connection.recv(1000)
        except TimeoutError:
            continue
        except ConnectionError:
            return b""
    raise AssertionError("it took all of it")


class TestPatience:
    def test_a_body_that_drips_is_refused(self):
        with FrontInThread(body_timeout_s=0.3) as front, front.connect() as connection:
            connection.sendall(request(length=1000))
            began = time.monotonic()
            assert drip(connection, bytes(500), 0.02).startswith(b"HTTP/1.1 408 ")
            assert 0.2 < time.monotonic() - began < 3
            assert front.refused == {408: 1}

    def test_a_quick_start_buys_no_time_for_the_rest(self):
        with FrontInThread(body_timeout_s=0.3) as front, front.connect() as connection:
            connection.sendall(request(bytes(500 * KIB), length=500 * KIB + 1000))
            began = time.monotonic()
            assert drip(connection, bytes(500), 0.02).startswith(b"HTTP/1.1 408 ")
            assert time.monotonic() - began < 3

    def test_a_steady_body_may_take_long(self):
        with FrontInThread(body_timeout_s=0.3) as front, front.connect() as connection:
            connection.sendall(request(length=20_000))
            began = time.monotonic()
            for _ in range(20):
                connection.sendall(bytes(1000))
                time.sleep(0.05)  # the pace of this client
            assert time.monotonic() - began > 0.9
            _, body = read_reply(connection.makefile("rb"))
            assert len(body) == 20_000

    def test_a_head_that_drips_behind_a_request_is_refused(self):
        with FrontInThread(header_timeout_s=0.3) as front, front.connect() as connection:
            connection.sendall(request(b"1"))
            assert read_reply(connection.makefile("rb"))[1] == b"1"
            assert drip(connection, b"POST /" + b"a" * 500, 0.02).startswith(b"HTTP/1.1 408 ")

    def test_who_never_speaks_is_cut_and_counted(self):
        with FrontInThread(header_timeout_s=0.2) as front, front.connect() as connection:
            assert connection.recv(10) == b""
            assert front.cut == {"silent": 1}

    def test_pipelining_that_always_leaves_half_a_head_is_no_slow_head(self):
        with FrontInThread(header_timeout_s=0.2) as front, front.connect() as connection:
            stream = connection.makefile("rb")
            content = request(b"1")
            cut = len(content) - 30
            connection.sendall(content[:cut])
            began = time.monotonic()
            while time.monotonic() - began < 0.8:
                connection.sendall(content[cut:] + content[:cut])
                assert read_reply(stream)[1] == b"1"
            assert not front.refused

    def test_a_reader_that_keeps_pace_gets_a_large_reply(self):
        size = 12 << 20
        with (
            FrontInThread(write_timeout_s=0.4, reply_bytes_per_s_min=4096) as front,
            front.connect(receive_buffer=64 * KIB) as connection,
        ):
            connection.sendall(request(path=b"/large/%d" % size))
            began = time.monotonic()
            found = 0
            while found < size:
                data = connection.recv(256 * KIB)
                assert data
                found += len(data)
                time.sleep(0.01)  # the pace of this client
            assert time.monotonic() - began > 0.6
            assert not front.cut

    @pytest.mark.parametrize("headers", [b"", b"Connection: close\r\n"])
    def test_a_reader_that_stops_is_cut(self, headers):
        with (
            FrontInThread(write_timeout_s=0.3) as front,
            front.connect(receive_buffer=4 * KIB) as connection,
        ):
            connection.sendall(request(path=b"/large/%d" % (12 << 20), headers=headers))
            front.wait(lambda: front.cut["slow_reader"])
            front.wait_for_connections(0)

    def test_a_client_whose_kernel_holds_the_reply_ends_with_the_idle(self):
        with FrontInThread(idle_timeout_s=0.3) as front, front.connect() as connection:
            connection.sendall(request(path=b"/large/1000"))
            front.wait(lambda: front.handled)
            front.wait_for_connections(0)
            assert len(read_all(connection)) > 1000


class TestBounds:
    def test_no_more_requests_are_taken_than_may_be_owed(self):
        count = 1000
        with FrontInThread(pipelined_requests_max=16) as front, front.connect() as connection:
            connection.sendall(b"".join(request(b"%d" % number, b"/hold") for number in range(count)))
            stream = connection.makefile("rb")
            answered = 0
            while answered < count:
                held = min(16, count - answered)
                front.wait(lambda held=held: len(front.held) == held)
                front.release()
                for _ in range(held):
                    assert read_reply(stream)[1] == b"%d" % answered
                    answered += 1

    def test_requests_of_a_client_that_does_not_read_are_not_taken(self):
        with FrontInThread() as front, front.connect(receive_buffer=4 * KIB) as connection:
            connection.settimeout(0.5)
            with pytest.raises(TimeoutError):
                connection.sendall(request(path=b"/large/20000") * 100_000)
            front.wait(lambda: front.handled)
            (one,) = front.on_loop(lambda: list(front.server.connections))
            unsent = front.on_loop(one._transport.get_write_buffer_size)
            assert unsent < 256 * KIB
            assert 0 < front.on_loop(lambda: front.server.bodies_bytes) <= 256 * KIB  # read, and put aside
            connection.close()
            front.on_loop(one.abort)
            front.wait_for_connections(0)
            assert front.on_loop(lambda: front.server.bodies_bytes) == 0

    def test_bodies_of_all_connections_share_a_budget(self):
        size = 600 * KIB
        with (
            FrontInThread(body_bytes_max=KIB * KIB, bodies_bytes_max=KIB * KIB) as front,
            ExitStack() as stack,
        ):
            first, second = (stack.enter_context(front.connect()) for _ in range(2))
            first.sendall(request(bytes(size - 1), length=size))
            front.wait(lambda: front.server.bodies_bytes == size - 1)
            with suppress(ConnectionError):
                second.sendall(request(bytes(size - 1), length=size))
            found = read_all(second)
            assert found.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: " in found
            first.sendall(b"x")
            assert read_reply(first.makefile("rb"))[1] == bytes(size - 1) + b"x"
            assert front.on_loop(lambda: front.server.bodies_bytes) == 0

    def test_a_large_body_counts_until_it_is_answered(self):
        size = 600 * KIB
        with FrontInThread() as front, front.connect() as connection:
            connection.sendall(request(bytes(size), b"/hold"))
            front.wait(lambda: front.held)
            assert front.on_loop(lambda: front.server.bodies_bytes) == size
            front.release()
            with connection.makefile("rb") as stream:
                assert len(read_reply(stream)[1]) == size
            assert front.on_loop(lambda: front.server.bodies_bytes) == 0
            front.on_loop(lambda: setattr(front, "droppable", True))
            connection.sendall(request(bytes(size), b"/hold"))
            front.wait(lambda: front.held)
            connection.close()
            front.wait_for_connections(0)
            assert front.on_loop(lambda: front.server.bodies_bytes) == 0

    def test_past_the_limit_connections_are_told_and_far_past_it_cut(self):
        with FrontInThread(connections_max=8) as front, ExitStack() as stack:
            kept = [stack.enter_context(front.connect()) for _ in range(8)]
            front.wait_for_connections(8)
            more = [stack.enter_context(front.connect()) for _ in range(30)]
            front.wait(lambda: front.cut["crowded"] and front.refused[503])
            said = [read_all(connection) for connection in more]
            assert {found[:13] for found in said} == {b"HTTP/1.1 503 ", b""}
            assert all(b"Retry-After" in found for found in said if found)
            for connection in kept:
                connection.sendall(request(b"1"))
                assert read_reply(connection.makefile("rb"))[1] == b"1"

    def test_two_thousand_connections(self):
        count, live = 2000, 20
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 2 * count + 500:
            pytest.skip(f"needs {2 * count + 500} descriptors, there are {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * count + 500), hard))
        with FrontInThread() as front, ExitStack() as stack:
            before = _resident_bytes()
            connections = [stack.enter_context(front.connect()) for _ in range(count)]
            for connection in connections:
                connection.sendall(request(b"1"))
            for connection in connections:
                assert connection.recv(1000).endswith(b"\r\n\r\n1")
            assert (_resident_bytes() - before) / count < 16 * KIB
            for _ in range(50):
                for connection in connections[:: count // live]:
                    connection.sendall(request(b"2"))
                for connection in connections[:: count // live]:
                    assert connection.recv(1000).endswith(b"\r\n\r\n2")
            assert front.on_loop(lambda: len(front.server.connections)) == count
            assert not front.refused


class TestLeaving:
    def test_what_waits_for_a_client_that_closed_is_dropped(self):
        with FrontInThread() as front, front.connect() as connection:
            front.droppable = True
            connection.sendall(request(b"1", b"/hold") + request(b"2", b"/hold"))
            front.wait(lambda: len(front.held) == 2)
            connection.close()
            front.wait_for_connections(0)
            assert [exchange.body for exchange in front.dropped] == [b"1", b"2"]
            assert all(exchange.answered is None for exchange in front.dropped)
            front.release()  # late answers harm nobody

    def test_what_is_computed_is_still_heard_by_a_client_that_closed_its_side(self):
        with FrontInThread() as front, front.connect() as connection:
            connection.sendall(request(b"1", b"/hold"))
            front.wait(lambda: front.held)
            front.on_loop(lambda: setattr(front, "droppable", True))
            connection.sendall(request(b"2", b"/hold") + request(b"3"))
            front.wait(lambda: len(front.held) == 2)
            connection.shutdown(socket.SHUT_WR)
            front.wait(lambda: front.dropped)
            front.release()
            found = read_all(connection)
            assert found.count(b"HTTP/1.1 200") == 1  # 3 would have been taken for the answer to 2
            assert found.endswith(b"\r\n\r\n1")

    @pytest.mark.parametrize("reset", [False, True])
    def test_clients_that_leave_half_way_leave_nothing_behind(self, reset):
        with FrontInThread() as front:
            front.droppable = True
            before = _descriptors(), front.on_loop(lambda: len(asyncio.all_tasks()))
            for number in range(200):
                connection = front.connect()
                content = (request(b"1", b"/hold"), request(b"1", length=5000), b"POST / HT")[number % 3]
                connection.sendall(content)
                if reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
            front.wait_for_connections(0)
            assert len(front.dropped) == len(front.held)
            assert front.on_loop(lambda: front.server.bodies_bytes) == 0
            assert (_descriptors(), front.on_loop(lambda: len(asyncio.all_tasks()))) == before

    def test_a_client_that_asked_a_moment_ago_is_answered_once_more_while_draining(self):
        with FrontInThread() as front, front.connect() as active, front.connect() as silent:
            stream = active.makefile("rb")
            active.sendall(request(b"1"))
            head, _ = read_reply(stream)
            assert b"Connection" not in head
            front.wait_for_connections(2)
            front.on_loop(front.server.drain)
            active.sendall(request(b"2"))
            head, body = read_reply(stream)
            assert b"Connection: close" in head
            assert body == b"2"
            assert stream.read() == b""
            front.on_loop(front.server.end_quiet)
            assert silent.recv(10) == b""

    def test_draining_finishes_what_was_pipelined(self):
        with FrontInThread() as front, front.connect() as connection:
            connection.sendall(request(b"1", b"/hold") + request(b"2", b"/hold") + request(b"3", length=5))
            front.wait(lambda: len(front.held) == 2)
            front.on_loop(front.server.drain)
            front.release()
            connection.sendall(b"4567")
            stream = connection.makefile("rb")
            heads, bodies = zip(*(read_reply(stream) for _ in range(3)), strict=True)
            assert bodies == (b"1", b"2", b"34567")
            assert [b"Connection: close" in head for head in heads] == [False, False, True]
            assert stream.read() == b""


class TestReplies:
    def test_every_reply_has_a_date(self):
        with FrontInThread() as front, front.connect() as connection:
            connection.sendall(request(b"1") + request(path=b"/large/100000") + b"nonsense\r\n\r\n")
            stream = connection.makefile("rb")
            for _ in range(3):
                head, _ = read_reply(stream)
                (date,) = (line[6:] for line in head.split(b"\r\n") if line.startswith(b"Date: "))
                assert abs(parsedate_to_datetime(date.decode()).timestamp() - time.time()) < 30
            assert stream.read() == b""

    def test_continue_waits_for_the_replies_before_it(self):
        with FrontInThread() as front, front.connect() as connection:
            late = request(length=3, headers=b"Expect: 100-continue\r\n")
            connection.sendall(request(b"1", b"/hold") + late)
            front.wait(lambda: front.held)
            front.release()
            stream = connection.makefile("rb")
            assert read_reply(stream)[1] == b"1"
            assert stream.readline() + stream.readline() == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(b"abc")
            assert read_reply(stream)[1] == b"abc"

    def test_a_refusal_overtakes_no_reply_and_is_not_lost(self):
        with FrontInThread() as front, front.connect() as connection:
            connection.sendall(request(b"1", b"/hold") + b"nonsense\r\n\r\n" + bytes(100_000))
            front.wait(lambda: front.refused[400])
            front.release()
            found = read_all(connection)
            assert found.index(b" 200 ") < found.index(b" 400 ")

    def test_a_fault_of_ours_is_one_answer(self):
        with FrontInThread() as front, front.connect() as connection:
            connection.sendall(request(path=b"/fault") + request(b"1"))
            stream = connection.makefile("rb")
            assert read_reply(stream)[0].startswith(b"HTTP/1.1 500 ")
            assert read_reply(stream)[1] == b"1"
            assert front.refused == {500: 1}


def _descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def _resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
