"""A replica's reply is read the same however it is cut, and nothing it says is taken for more than it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.dataplane.upstream import Upstream

OK = b"HTTP/1.1 200 OK\r\n"
REPLIES = {
    b"sized": OK + b"Content-Length: 5\r\nA: b\r\n\r\nsized",
    b"chunked": OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nchu\r\n4\r\nnked\r\n0\r\nT: x\r\n\r\n",
    b"late": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nL: x\r\n\r\n"
    + OK
    + b"Content-Length: 4\r\n\r\nlate",
    b"": b"HTTP/1.1 204 No Content\r\n\r\n",
}


class Wire:
    """A transport that notes what is done to it."""

    def __init__(self):
        self.sent = b""
        self.aborted = False
        self.reads = True

    def set_write_buffer_limits(self, high):
        assert high == 0

    def write(self, data):
        self.sent += data

    def writelines(self, pieces):
        self.sent += b"".join(pieces)

    def is_closing(self):
        return self.aborted

    def abort(self):
        self.aborted = True

    def pause_reading(self):
        self.reads = False

    def resume_reading(self):
        self.reads = True


class Asking:
    """Asks over one connection, and collects what it is told."""

    def __init__(self, **limits):
        self.heard = []
        self.ended = 0
        self.wire = Wire()
        self.upstream = Upstream(limits.get("head_bytes_max", 1000), self._count_end)

    def open(self):
        self.upstream.connection_made(self.wire)
        return self

    def ask(self):
        self.heard = []
        self.upstream.ask(b"HEAD", b"BODY", self)
        return self

    def hear(self, *pieces, close=False):
        for piece in pieces:
            if piece and not self.wire.aborted:
                self.upstream.data_received(piece)
        if close or self.wire.aborted:
            self.upstream.connection_lost(None)
        return self.heard

    def _count_end(self, upstream):
        assert upstream is self.upstream
        self.ended += 1

    def on_head(self, head):
        self.heard.append(("head", head.status))

    def on_part(self, data):
        if self.heard[-1][0] == "part":
            self.heard[-1] = ("part", self.heard[-1][1] + data)
        else:
            self.heard.append(("part", data))

    def on_complete(self):
        self.heard.append(("complete", self.upstream.reusable))

    def on_lost(self, reason):
        self.heard.append(("lost", reason))


def cut(data, draw):
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return [data[start:stop] for start, stop in zip((0, *cuts), (*cuts, len(data)), strict=True)]


@given(st.sampled_from(sorted(REPLIES)), st.data())
def test_a_reply_is_read_wherever_it_is_cut(body, data):
    asking = Asking().open()
    for _ in range(2):  # the connection goes on
        found = asking.ask().hear(*cut(REPLIES[body], data.draw))
        assert found[0][0] == "head"
        assert [said for kind, said in found if kind == "part"] == ([body] if body else [])
        assert found[-1] == ("complete", True)
    assert asking.wire.sent == b"HEADBODY" * 2


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=50).map(lambda tail: OK + tail)), st.data())
def test_whatever_comes_there_is_one_end(garbage, data):
    found = Asking().open().ask().hear(*cut(garbage, data.draw), close=True)
    assert [kind for kind, _ in found if kind in ("complete", "lost")] == [found[-1][0]]


@given(st.sampled_from(sorted(REPLIES)), st.integers(1, 100), st.data())
def test_half_a_reply_is_none(body, missing, data):
    whole = REPLIES[body]
    half = whole[: max(1, len(whole) - missing)]
    found = Asking().open().ask().hear(*cut(half, data.draw), close=True)
    assert found[-1] == ("lost", "its reply was cut short")


def test_a_body_without_a_length_ends_with_the_connection():
    found = Asking().open().ask().hear(OK + b"\r\nall", b" of it", close=True)
    assert found == [("head", 200), ("part", b"all of it"), ("complete", False)]


def test_a_request_waits_for_the_connection():
    asking = Asking().ask()
    assert asking.wire.sent == b""
    assert not asking.upstream.sent
    asking.open()
    assert (asking.wire.sent, asking.upstream.sent) == (b"HEADBODY", True)


def test_a_connection_given_up_before_it_stands_is_cut_when_it_does():
    asking = Asking().ask()
    asking.upstream.close()
    asking.open()
    assert (asking.wire.aborted, asking.wire.sent, asking.heard) == (True, b"", [])


@pytest.mark.parametrize(
    "extra", [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 2", b"\x00", b"x"]
)
@pytest.mark.parametrize("together", [False, True])
def test_bytes_nobody_asked_for_end_the_connection(extra, together):
    asking = Asking().open().ask()
    if together:
        found = asking.hear(REPLIES[b"sized"] + extra)
        assert found[-1] != ("complete", True)
    else:
        assert asking.hear(REPLIES[b"sized"])[-1] == ("complete", True)
        asking.hear(extra)
        assert asking.wire.aborted
        assert asking.ended >= 1
    assert not asking.upstream.reusable


def test_a_reply_before_the_request_is_out_is_the_last():
    asking = Asking().open().ask()
    asking.upstream.pause_writing()
    assert asking.hear(REPLIES[b"sized"])[-1] == ("complete", False)


def test_an_endless_head_is_cut():
    found = Asking(head_bytes_max=100).open().ask().hear(OK, *([b"X: " + b"y" * 20 + b"\r\n"] * 10))
    assert found == [("lost", "the head of its reply is larger than 100 bytes")]


def test_a_large_body_behind_a_head_is_none():
    body = b"x" * 5000
    found = Asking(head_bytes_max=100).open().ask().hear(OK + b"Content-Length: 5000\r\n\r\n" + body)
    assert found[-1] == ("complete", True)


@pytest.mark.parametrize(
    "field", [b"A: b\x00c", b"A: b\x01", b"A: b\r\n folded", b"A: b\rC: d", b"A: b\nC: d"]
)
def test_a_header_that_could_smuggle_is_refused(field):
    found = Asking().open().ask().hear(OK + field + b"\r\nContent-Length: 0\r\n\r\n", close=True)
    assert [kind for kind, _ in found] == ["lost"]


def test_a_pause_holds_also_before_the_connection_stands():
    asking = Asking().ask()
    asking.upstream.pause()
    asking.open()
    assert not asking.wire.reads
    asking.upstream.resume()
    assert asking.wire.reads


def test_a_reply_that_is_complete_ends_its_pause():
    asking = Asking().open().ask()
    asking.upstream.pause()
    assert asking.hear(REPLIES[b"sized"])[-1] == ("complete", True)
    assert asking.wire.reads


@pytest.mark.parametrize(
    ("error", "sent"), [(BrokenPipeError(), False), (ConnectionResetError(), True), (None, True)]
)
def test_a_write_that_failed_was_not_taken_in_whole(error, sent):
    asking = Asking().open().ask()
    asking.upstream.connection_lost(error)
    assert asking.heard == [("lost", "it ended the connection without a reply")]
    assert asking.upstream.sent is sent
