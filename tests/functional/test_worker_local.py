"""The Unix socket: the same server, for programs of this machine."""

from __future__ import annotations

import stat

import pytest

from fakes.bundles import truthful_bundle
from fakes.callers import callers
from fakes.serving import WorkerInThread, endpoint

ANSWER = b'{"predictions":[1003.0]}'


def request(host=b"localhost", headers=b""):
    body = b'{"instances":[[1,2]]}'
    return b"POST /endpoints/e/invocations HTTP/1.1\r\nHost: %b\r\n%bContent-Length: %d\r\n\r\n%b" % (
        host,
        headers,
        len(body),
        body,
    )


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    made = WorkerInThread(tmp_path_factory.mktemp("home"))
    made.publish(1, endpoint("e", ("v1", "m:1", made.put(truthful_bundle(1)), 1.0)))
    with made:
        yield made


def test_predictions_come_through_the_unix_socket(worker):
    with worker.connect_local() as connection:
        for _ in range(3):
            connection.sendall(request() * 2)
            found = b""
            while found.count(ANSWER) < 2:
                data = connection.recv(65536)
                assert data
                found += data
    assert worker.ask("e", {"instances": [[1, 2]]}).status == 200


@pytest.mark.parametrize(
    ("host", "headers", "status"),
    [
        (b"localhost", b"", 200),
        (b"any.example:1", b"", 200),
        (b"[::1]", b"Origin: http://other.example\r\n", 200),
        (b"two words", b"", 421),
        (b"user@host", b"", 421),
        (b"any.example", b"Sec-Fetch-Site: cross-site\r\n", 421),
    ],
)
def test_every_host_name_is_this_server_there(worker, host, headers, status):
    with worker.connect_local() as connection:
        connection.sendall(request(host, headers))
        assert connection.recv(65536).startswith(b"HTTP/1.1 %d " % status)
    with worker.connect() as connection:  # and only there
        connection.sendall(request(b"any.example"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 421 ")


def test_only_this_user_reaches_it(worker):
    mode = worker.layout.inference_socket.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_tokens_are_asked_for_there_too(tmp_path):
    worker = WorkerInThread(
        tmp_path, {"callers": callers(tmp_path, [("caller", "endpoints:invoke", "right")])}
    )
    worker.publish(1, endpoint("e", ("v1", "m:1", worker.put(truthful_bundle(1)), 1.0)))
    with worker, worker.connect_local() as connection:
        connection.sendall(request())
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")
        connection.sendall(request(headers=b"Authorization: Bearer right\r\n"))
        assert connection.recv(65536).endswith(ANSWER)
