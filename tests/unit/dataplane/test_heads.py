"""A head that is unclear is refused, never guessed."""

import gc
from contextlib import suppress

import pytest

from modelport.dataplane.heads import CHUNKED, FIELDS_MAX, HeadReader, Malformed, want
from modelport.dataplane.heads import read_head as read

WANTED = want(["content-type", "accept"])
LINE = b"POST /x?q=1 HTTP/1.1\r\n"


def read_head(block):
    return read(block, WANTED)


def head(*fields: bytes, line: bytes = LINE) -> bytes:
    return line + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def test_a_proper_head():
    found = read_head(head(b"Host: a", b"Content-Length: 5", b"Accept: text/csv", b"accept: */*"))
    assert (found.method, found.path, found.length, found.keep_alive) == ("POST", "/x", 5, True)
    assert found.headers == {"host": "a", "accept": "text/csv, */*"}
    assert not found.expects_continue


def test_chunked_close_and_expect():
    found = read_head(
        head(b"Host: a", b"Transfer-Encoding: Chunked", b"Connection: Close", b"Expect: 100-Continue")
    )
    assert (found.length, found.keep_alive, found.expects_continue) == (CHUNKED, False, True)


def test_an_offer_to_upgrade_is_not_taken():
    assert read_head(head(b"Host: a", b"Connection: Upgrade", b"Upgrade: websocket")).length == 0


def test_http_1_0_does_not_stay_and_is_sent_no_interim_reply():
    found = read_head(head(b"Host: a", b"Expect: 100-continue", line=b"GET / HTTP/1.0\r\n"))
    assert (found.keep_alive, found.expects_continue) == (False, False)


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (b"GET http://a:1/x?y HTTP/1.1\r\n", "/x"),
        (b"GET HTTPS://A:1/ HTTP/1.1\r\n", "/"),
        (b"OPTIONS * HTTP/1.1\r\n", "*"),
    ],
)
def test_targets_that_name_a_host_or_the_whole_server(line, path):
    assert read_head(head(b"Host: a:1", line=line)).path == path


def test_heads_leave_no_work_for_the_collector():
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            read_head(head(b"Host: a"))
            with suppress(Malformed):
                read_head(head(b"Host: a", b"Host: b"))
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("block", "status"),
    [
        (head(b"Host: a", b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
        (head(b"Host: a", b"Transfer-Encoding: chunked", b"Content-Length: 5"), 400),
        (head(b"Host: a", b"Content-Length: 5", b"Content-Length: 5"), 400),
        (head(b"Host: a", b"Content-Length: 5, 5"), 400),
        (head(b"Host: a", b"Content-Length: -5"), 400),
        (head(b"Host: a", b"Content-Length: +5"), 400),
        (head(b"Host: a", b"Content-Length: 0x5"), 400),
        (head(b"Host: a", b"Content-Length: 5 5"), 400),
        (head(b"Host: a", b"Content-Length:"), 400),
        (head(b"Host: a", b"Content-Length: 99999999999999999999"), 400),
        (head(b"Host: a", b"Transfer-Encoding: xchunked"), 400),
        (head(b"Host: a", b"Transfer-Encoding: gzip, chunked"), 501),
        (head(b"Host: a", b"Transfer-Encoding: chunked, chunked"), 400),
        (head(b"Host: a", b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0\r\n"), 400),
        (head(), 400),
        (head(b"Host: a", b"Host: a"), 400),
        (head(b"Host: a", b"Content-Type: text/csv", b"Content-Type: text/csv"), 400),
        (head(b"Host: a", b"Authorization: a", b"Authorization: b"), 400),
        (head(b"Host : a"), 400),
        (head(b"Host: a", b" folded"), 400),
        (head(b"Host: a\x00b"), 400),
        (head(b"Host: a\rb"), 400),
        (head(b": a", b"Host: a"), 400),
        (b"POST / HTTP/1.1\nHost: a\n\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
        (head(b"Host: a", line=b"GET http://other/x HTTP/1.1\r\n"), 400),
        (head(b"Host: a", line=b"GET * HTTP/1.1\r\n"), 400),
        (head(b"Host: a", line=b"GET ftp://a/x HTTP/1.1\r\n"), 400),
        (head(b"Host: a", line=b"GET http://a HTTP/1.1\r\n"), 400),
        (head(b"Host: a", b"Expect: 200-ok"), 417),
        (head(b"Host: a", line=b"CONNECT a:80 HTTP/1.1\r\n"), 400),
        (head(b"Host: a", line=b"GET /\xc3\xa9 HTTP/1.1\r\n"), 400),
        (head(b"Host: a", line=b"GET /\x00 HTTP/1.1\r\n"), 400),
        (head(b"Host: a", line=b"GET  / HTTP/1.1\r\n"), 400),
        (head(b"Host: a", line=b"get / HTTP/1.1\r\n"), 400),
        (head(b"Host: a", line=b"GET / HTTP/2.0\r\n"), 505),
        (head(b"Host: a", line=b"GET / HTTP/0.9\r\n"), 505),
        (head(b"Host: a", line=b"FETCH / HTTP/1.1\r\n"), 501),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (head(b"Host: a", *[b"X-%d: 1" % number for number in range(FIELDS_MAX)]), 431),
    ],
)
def test_unclear_heads_are_refused(block, status):
    with pytest.raises(Malformed) as caught:
        read_head(block)
    assert caught.value.status == status


def test_a_head_in_pieces_is_refused_at_its_first_wrong_byte():
    reader = HeadReader()
    reader.feed(b"GET / HTTP/1.1\r\nHo")
    with pytest.raises(Malformed):
        reader.feed(b"st: a\n")
