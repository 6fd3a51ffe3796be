"""The inference door on real sockets: what it refuses, how long it waits, in which order it answers."""

from __future__ import annotations

import random
import re
import socket
import time
from contextlib import suppress

import pytest

from fakes.bundles import truthful_bundle
from fakes.serving import WorkerInThread, endpoint

ROW = b'{"instances":[[1,2]]}'
HOST = b"Host: localhost\r\n"


def request(body=ROW, headers=b"", path=b"/endpoints/e/invocations", method=b"POST"):
    return (
        method + b" " + path + b" HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n" + headers
    ) + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def chunked(body=ROW, size=7):
    pieces = b"".join(
        b"%x\r\n%b\r\n" % (len(body[at : at + size]), body[at : at + size])
        for at in range(0, len(body), size)
    )
    return (
        b"POST /endpoints/e/invocations HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + pieces
        + b"0\r\n\r\n"
    )


def refused(worker, status):
    found = re.search(
        rb'^modelport_http_refused_total\{code="%d"\} (\d+)$' % status,
        worker.get("/metrics").body,
        re.MULTILINE,
    )
    return int(found[1]) if found else 0


def read_all(connection, limit_s=10.0):
    connection.settimeout(limit_s)
    found = b""
    while True:
        try:
            data = connection.recv(65536)
        except ConnectionResetError:
            return found
        if not data:
            return found
        found += data


def read_replies(connection, count):
    found = b""
    replies = []
    while len(replies) < count:
        data = connection.recv(65536)
        assert data, (replies, found)
        found += data
        while b"\r\n\r\n" in found:
            head, _, rest = found.partition(b"\r\n\r\n")
            length = int(
                next(
                    line.split(b":")[1]
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                )
            )
            if len(rest) < length:
                break
            replies.append((head, rest[:length]))
            found = rest[length:]
    assert not found
    return replies


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    made = WorkerInThread(
        tmp_path_factory.mktemp("home"),
        header_timeout_s=0.4,
        body_timeout_s=0.4,
        idle_timeout_s=0.8,
        body_bytes_max=1 << 20,
        header_bytes_max=8192,
    )
    digest = made.put(truthful_bundle(1))
    made.publish(1, endpoint("e", ("v1", "m:1", digest, 1.0)))
    with made:
        yield made


@pytest.mark.parametrize(
    ("probe", "status"),
    [
        pytest.param(
            b"POST /endpoints/e/invocations HTTP/1.1\r\n"
            + HOST
            + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            + request(),
            400,
            id="length and chunks, with a request behind",
        ),
        pytest.param(b"GET /livez HTTP/1.1\nHost: localhost\n\n", 400, id="bare line feeds"),
        pytest.param(b"GET /livez HTTP/1.1\r\nHost: localhost\n\r\n", 400, id="one bare line feed"),
        pytest.param(chunked().replace(b"\r\n0\r\n", b"XX0\r\n"), 400, id="a chunk without its end"),
        pytest.param(chunked().replace(b"7\r\n", b"7;a\nb\r\n", 1), 400, id="a line feed in an extension"),
        pytest.param(b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, id="two hosts"),
        pytest.param(b"GET /livez HTTP/1.1\r\n\r\n", 400, id="no host"),
        pytest.param(request(headers=b"X: " + b"a" * (1 << 20) + b"\r\n"), 431, id="a huge header"),
        pytest.param(request(headers=b"X: 1\r\n" * 101), 431, id="a hundred headers"),
        pytest.param(request().replace(b"Content-Length: ", b"Content-Length: -"), 400, id="less than 0"),
        pytest.param(request(headers=b"Content-Length: 3\r\n"), 400, id="two lengths"),
        pytest.param(
            b"POST /endpoints/e/invocations HTTP/1.1\r\n" + HOST + b"Content-Length: 1048577\r\n\r\n",
            413,
            id="a body too large",
        ),
        pytest.param(
            b"POST /endpoints/e/invocations HTTP/1.1\r\n"
            + HOST
            + b"Transfer-Encoding: chunked\r\n\r\nfffff0\r\n",
            413,
            id="chunks too large",
        ),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, id="TLS"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="HTTP/2"),
        pytest.param(b"FETCH /livez HTTP/1.1\r\n" + HOST + b"\r\n", 501, id="an unknown method"),
        pytest.param(b"GET /livez HTTP/2.0\r\n" + HOST + b"\r\n", 505, id="another version"),
        pytest.param(b"GET /livez HTTP/1.0\r\n\r\n", 400, id="HTTP/1.0 without a host"),
        pytest.param(request().replace(b"Content-Length: ", b"Content-Length: +"), 400, id="a signed length"),
        pytest.param(request(headers=b"Content-Length: 21\r\n"), 400, id="the same length twice"),
        pytest.param(chunked().replace(b": chunked", b": xchunked"), 400, id="an unknown coding"),
        pytest.param(chunked().replace(b": chunked", b": gzip, chunked"), 501, id="two codings"),
        pytest.param(chunked().replace(b"HTTP/1.1", b"HTTP/1.0"), 400, id="chunks in HTTP/1.0"),
        pytest.param(request().replace(b"Host:", b"Host :"), 400, id="a space before the colon"),
        pytest.param(request().replace(b"Host: ", b"Host:\r\n "), 400, id="a folded header"),
        pytest.param(request().replace(b"localhost", b"local\0host"), 400, id="a zero byte"),
        pytest.param(request().replace(b"POST ", b"POST  "), 400, id="two spaces"),
        pytest.param(request(path=b"http://other.example/livez", method=b"GET"), 400, id="another target"),
        pytest.param(b"CONNECT other.example:80 HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="a tunnel"),
        pytest.param(request(headers=b"Expect: 200-ok\r\n"), 417, id="another expectation"),
        pytest.param(chunked(b"[" + b" " * 40_000 + ROW, size=1), 413, id="a flood of tiny chunks"),
        pytest.param(chunked().replace(b"0\r\n\r\n", b"0\r\nno trailer\r\n\r\n"), 400, id="a bad trailer"),
        pytest.param(chunked().replace(b"7\r\n", b"-7\r\n", 1), 400, id="a chunk of less than 0"),
        pytest.param(b"\0" * 100, 400, id="zeros"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", 400, id="SSH"),
    ],
)
def test_what_is_unclear_is_refused_counted_and_ends_the_connection(worker, probe, status):
    before = refused(worker, status)
    with worker.connect() as connection:
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(probe)
        found = read_all(connection)
    assert found.startswith(b"HTTP/1.1 %d " % status), found[:200]
    assert len(re.findall(rb"HTTP/1\.1 \d\d\d ", found)) == 1
    assert b"Connection: close" in found
    assert refused(worker, status) == before + 1
    assert worker.get("/livez").status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        (b"HEAD", b"/livez", 200, None),
        (b"HEAD", b"/nothing", 404, None),
        (b"HEAD", b"/endpoints/e/invocations", 405, b"POST"),
        (b"OPTIONS", b"*", 404, None),
        (b"POST", b"/metrics", 405, b"GET, HEAD"),
        (b"GET", b"/endpoints/e/invocations", 405, b"POST"),
        (b"DELETE", b"/endpoints/e/invocations", 405, b"POST"),
        (b"GET", b"/nothing", 404, None),
        (b"POST", b"/endpoints/e/invocations/", 404, None),
        (b"POST", b"/endpoints/../livez", 404, None),
        (b"POST", b"//endpoints/e/invocations", 404, None),
    ],
)
def test_other_methods_and_paths_leave_the_connection_open(worker, method, path, status, allow):
    before = refused(worker, status)
    with worker.connect() as connection:
        connection.sendall(request(method=method, path=path))
        if method == b"HEAD":
            head = connection.recv(65536)
            assert head.endswith(b"\r\n\r\n")
        else:
            ((head, _),) = read_replies(connection, 1)
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert allow is None or b"Allow: " + allow in head
        assert refused(worker, status) == before + (status != 200)
        connection.sendall(request())
        ((head, body),) = read_replies(connection, 1)
        assert head.startswith(b"HTTP/1.1 200 ")
        assert body == b'{"predictions":[1003.0]}'


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}],
)
def test_requests_meant_for_another_server_are_refused(worker, headers):
    answer = worker.ask("e", ROW, headers)
    assert answer.status == 421
    assert worker.ask("e", ROW, {"Origin": "http://localhost:3000"}).status == 200


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(chunked().replace(b"0\r\n\r\n", b"0\r\nX-Sum: 1\r\n\r\n"), id="trailers"),
        pytest.param(chunked().replace(b"7\r\n", b'7;a="b"\r\n'), id="extensions"),
        pytest.param(b"\r\n" + request(), id="an empty line before it"),
        pytest.param(request(path=b"http://localhost/endpoints/e/invocations"), id="a target with its host"),
        pytest.param(request(headers=b"Connection: Upgrade\r\nUpgrade: websocket\r\n"), id="an upgrade"),
        pytest.param(
            request(headers=b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"),
            id="an upgrade to h2c",
        ),
        pytest.param(request(headers=b"Connection: keep-alive\r\n"), id="keep-alive"),
    ],
)
def test_what_is_unusual_and_clear_is_answered(worker, content):
    with worker.connect() as connection:
        connection.sendall(content * 2)
        replies = read_replies(connection, 2)
    assert [body for _, body in replies] == [b'{"predictions":[1003.0]}'] * 2


def test_http_1_0_is_answered_once(worker):
    with worker.connect() as connection:
        connection.sendall(request(headers=b"Expect: 100-continue\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"))
        found = read_all(connection)
    assert found.startswith(b"HTTP/1.1 200 ")
    assert b"Connection: close" in found


def test_a_body_refused_before_it_came_is_counted(worker):
    before = refused(worker, 404)
    with worker.connect() as connection:
        connection.sendall(request(path=b"/nothing", headers=b"Expect: 100-continue\r\n")[: -len(ROW)])
        assert read_all(connection).startswith(b"HTTP/1.1 404 ")
    assert refused(worker, 404) == before + 1


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("make", [request, chunked])
def test_a_request_in_pieces_is_one_request(worker, piece, make):
    content = make() * 2
    with worker.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(content), piece):
            connection.sendall(content[at : at + piece])
        replies = read_replies(connection, 2)
    assert [body for _, body in replies] == [b'{"predictions":[1003.0]}'] * 2


def test_pipelined_requests_are_answered_in_order(worker):
    count = 500
    content = b"".join(
        b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n"
        if number % 5 == 0
        else request(b"[[%d,0]]" % number)
        if number % 5 < 3
        else chunked(b"[[%d,0]]" % number)
        if number % 5 == 3
        else request(b"broken")
        for number in range(count)
    )
    with worker.connect() as connection:
        connection.sendall(content)
        replies = read_replies(connection, count)
    for number, (head, body) in enumerate(replies):
        if number % 5 == 0:
            assert body == b"ok\n"
        elif number % 5 < 4:
            assert body == b'{"predictions":[%d.0]}' % (1000 + number)
        else:
            assert head.startswith(b"HTTP/1.1 400")


def test_what_follows_a_last_request_is_not_answered(worker):
    with worker.connect() as connection:
        connection.sendall(request(headers=b"Connection: close\r\n") + request())
        found = read_all(connection)
    assert found.count(b"HTTP/1.1 200") == 1
    assert b"Connection: close" in found


def test_a_client_that_closed_its_side_still_hears_its_answer(worker):
    with worker.connect() as connection:
        connection.sendall(request())
        connection.shutdown(socket.SHUT_WR)
        assert b'{"predictions":[1003.0]}' in read_all(connection)


def test_expect_continue(worker):
    with worker.connect() as connection:
        whole = request(headers=b"Expect: 100-continue\r\n")
        head, body = whole[: -len(ROW)], whole[-len(ROW) :]
        connection.sendall(head)
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        ((reply, _),) = read_replies(connection, 1)
        assert reply.startswith(b"HTTP/1.1 200")
    with worker.connect() as connection:
        connection.sendall(head.replace(b"Host: localhost", b"Host: evil.example"))
        assert read_all(connection).startswith(b"HTTP/1.1 421 ")


def test_patience_ends(worker):
    """A head, a body, a silent and an idle client: each is cut, within its limit and some air."""
    cases = {
        "silent": (b"", b"", 0.4),
        "head": (b"POST /endpoints/e/inv", b"HTTP/1.1 408 ", 0.4),
        "body": (request()[:-3], b"HTTP/1.1 408 ", 0.4),
        "idle": (request(), b"HTTP/1.1 200 ", 0.8),
    }
    connections = {}
    for name, (content, _, _) in cases.items():
        connections[name] = worker.connect()
        connections[name].sendall(content)
    began = time.monotonic()
    for name, (_, start, at_least) in cases.items():
        with connections[name] as connection:
            assert read_all(connection).startswith(start), name
        assert time.monotonic() - began >= at_least * 0.7, name
    assert time.monotonic() - began < 5


def test_a_dripped_head_is_cut(worker):
    with worker.connect() as connection:
        connection.settimeout(0.05)
        began = time.monotonic()
        connection.sendall(b"GET /livez HTTP/1.1\r\n" + HOST)
        found = b""
        while time.monotonic() - began < 5:
            try:
                connection.sendall(b"X: 1\r\n")
                found = connection.recv(1000)
                break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - began < 3
        assert found.startswith(b"HTTP/1.1 408") or not found


def test_large_bodies_and_replies(worker):
    rows = 20_000
    body = b"[" + b",".join(b"[%d,0]" % number for number in range(rows)) + b"]"
    with worker.connect() as connection:
        connection.sendall(request(body) + request())
        replies = read_replies(connection, 2)
    assert len(replies[0][1]) > 100_000
    assert replies[0][1].startswith(b'{"predictions":[1000.0,1001.0,')
    assert replies[1][1] == b'{"predictions":[1003.0]}'


def test_a_large_body_that_is_broken_says_where(worker):
    body = b"[" + b"[1,0]," * 40_000 + b"[1]]"
    with worker.connect() as connection:
        connection.sendall(request(body))
        ((head, reply),) = read_replies(connection, 1)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"row 40000" in reply


def test_mutated_requests_never_harm_the_worker(worker):
    """Bytes changed, dropped and doubled at random: an answer below 500 or silence, and the worker lives."""
    chance = random.Random(7)
    whole = (request(), chunked(), request(headers=b"Expect: 100-continue\r\n", body=b"[[1,2],[3,4]]"))
    for turn in range(300):
        content = bytearray(chance.choice(whole))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(content))
            match chance.randrange(4):
                case 0:
                    content[at] = chance.randrange(256)
                case 1:
                    del content[at : at + chance.randint(1, 8)]
                case 2:
                    content[at:at] = content[at : at + chance.randint(1, 30)]
                case _:
                    content[at:at] = bytes([chance.choice(b'\r\n\0:; ,{}[]"')])
        with worker.connect() as connection:
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(content)
                connection.shutdown(socket.SHUT_WR)
            found = read_all(connection)
        for status in re.findall(rb"HTTP/1\.1 (\d\d\d) ", found):
            assert int(status) < 500 or int(status) in (501, 505), (turn, bytes(content), found)
    assert worker.ask("e", ROW).status == 200


def test_a_client_that_does_not_read_is_held_back_and_cut(tmp_path):
    worker = WorkerInThread(tmp_path, write_timeout_s=0.5)
    worker.publish(1, endpoint("e", ("v1", "m:1", worker.put(truthful_bundle(1)), 1.0)))
    rows = b"[" + b",".join([b"[1,0]"] * 2000) + b"]"
    with worker:
        with worker.connect() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(5.0)
            with pytest.raises((TimeoutError, ConnectionError)):
                connection.sendall(request(rows) * 5000)  # 60 MB of requests, whose replies nobody reads
        assert worker.ask("e", ROW).status == 200
        _wait_for_no_connections(worker)


def _wait_for_no_connections(worker):
    end = time.monotonic() + 5
    while worker.on_loop(lambda: len(worker.worker.server.connections)):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_connections_past_the_limit_are_told_so(tmp_path):
    worker = WorkerInThread(tmp_path, connections_max=2)
    worker.publish(1)
    with worker:
        with worker.connect() as first, worker.connect() as second:
            for connection in (first, second):
                connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
                read_replies(connection, 1)
            with worker.connect() as third:
                assert read_all(third).startswith(b"HTTP/1.1 503 ")
        _wait_for_no_connections(worker)
        assert worker.get("/livez").status == 200
