"""Chunked bodies come out whole, however they were cut, and malformed ones never."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.dataplane.bodies import SMALL_CHUNKS_MAX, ChunkedBody, SizedBody
from modelport.dataplane.heads import Malformed


def encode(chunks, extension=b"", trailers=b""):
    lines = b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks if chunk)
    return lines + b"0\r\n" + trailers + b"\r\n"


@given(
    st.binary(min_size=1, max_size=9000), st.binary(max_size=20), st.lists(st.integers(1, 5000), min_size=1)
)
def test_any_cut_gives_the_same_body_of_known_length(content, rest, cuts):
    stream = content + rest
    body = SizedBody(len(content))
    at = turn = 0
    left = None
    while left is None:
        step = cuts[turn % len(cuts)]
        turn += 1
        left = body.feed(stream[at : at + step])
        at += step
    assert body.whole() == content
    assert left + stream[at:] == rest


@pytest.mark.parametrize("body", [SizedBody(1 << 20), ChunkedBody(1 << 20)])
def test_memory_follows_the_bytes_however_small_the_pieces(body):
    stream = b"fffff\r\n" + bytes(200_000)
    tracemalloc.start()
    try:
        for at in range(len(stream)):
            body.feed(stream[at : at + 1])
        assert tracemalloc.get_traced_memory()[0] < 2 * len(stream)
    finally:
        tracemalloc.stop()


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    st.binary(max_size=20),
    st.lists(st.integers(1, 17), min_size=1, max_size=200),
    st.sampled_from([b"", b";a=b", b' ; a="b"']),
    st.sampled_from([b"", b"X-Sum: 1\r\n", b"A: b\r\nC: d\r\n"]),
)
def test_any_cut_gives_the_same_body(chunks, rest, cuts, extension, trailers):
    stream = encode(chunks, extension, trailers) + rest
    body = ChunkedBody(10_000)
    at = turn = 0
    left = None
    while left is None:
        step = cuts[turn % len(cuts)]
        turn += 1
        left = body.feed(stream[at : at + step])
        at += step
    assert body.whole() == b"".join(chunks)
    assert left + stream[at:] == rest


@pytest.mark.parametrize(
    "stream",
    [
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"g\r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"123456789\r\n",
        b"5" * 300,
        b"5;" + b"a" * 300 + b"\r\n",
        b"0\r\nnot a trailer\r\n\r\n",
        b"0\r\nX: \x00\r\n\r\n",
        b"0\r\n" + b"X: 1\r\n" * 3000,
        b"0\r\nX: " + b"a" * 9000,
    ],
)
def test_malformed_chunks_are_refused(stream):
    with pytest.raises(Malformed) as caught:
        ChunkedBody(10_000).feed(stream)
    assert caught.value.status == 400


def test_a_body_past_the_limit_is_refused_before_it_came():
    body = ChunkedBody(100)
    assert body.feed(b"32\r\n" + b"a" * 50 + b"\r\n") is None
    with pytest.raises(Malformed) as caught:
        body.feed(b"33\r\n")
    assert caught.value.status == 413


def test_a_flood_of_tiny_chunks_is_refused():
    with pytest.raises(Malformed) as caught:
        ChunkedBody(10_000_000).feed(b"1\r\na\r\n" * (SMALL_CHUNKS_MAX + 1))
    assert caught.value.status == 413
