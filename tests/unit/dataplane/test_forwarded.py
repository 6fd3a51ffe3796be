"""What a replica is asked, and in which words its failures come back."""

from __future__ import annotations

import json

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.dataplane.forwarded import (
    ORIGINAL_BYTES_MAX,
    PASSED_ON,
    ReplicaFailed,
    describe_failure,
    read_fields,
    read_type,
    write_head,
)
from modelport.dataplane.protocols import Ask
from modelport.dataplane.protocols.invocations import Invocations, refuse_failed
from modelport.runtime.codecs import Unpacking

DIALECT = Invocations(Unpacking(1 << 20, 100))
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), min_size=1)


class Head:
    """A head as a server reads it."""

    def __init__(self, block):
        self.headers = []
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(block)
        self.method = parser.get_method()

    def on_url(self, url):
        self.url = url

    def on_header(self, name, value):
        self.headers.append((name.decode().lower(), value.decode("latin-1")))


@given(
    st.dictionaries(st.sampled_from([*PASSED_ON, "host", "origin", "x-modelport-timeout-ms"]), VALUES),
    st.none() | VALUES,
    st.integers(0, 1 << 40),
)
def test_a_head_holds_what_is_passed_on_and_nothing_else(headers, accept, size):
    head = Head(write_head(Ask(DIALECT, "e", accept=accept, headers=headers), size))
    assert (head.method, head.url) == (b"POST", b"/invocations")
    expected = {name: value for name, value in headers.items() if name in PASSED_ON}
    expected |= {"host": "localhost", "content-length": str(size)}
    expected |= {} if accept is None else {"accept": accept}
    assert sorted(head.headers) == sorted(expected.items())


def test_what_comes_back_of_a_head():
    fields = {
        b"content-type": b"text/csv",
        b"x-amzn-sagemaker-custom-attributes": b"a",
        b"content-encoding": b"gzip",
        b"set-cookie": b"no",
        b"connection": b"close",
    }
    assert read_type(fields) == b"text/csv"
    assert read_fields(fields) == b"X-Amzn-SageMaker-Custom-Attributes: a\r\nContent-Encoding: gzip\r\n"
    assert read_type({}) == read_type({b"content-type": b"x" * 1025}) == b"application/octet-stream"
    assert read_fields({b"x-amzn-sagemaker-custom-attributes": b"x" * 1025}) == b""


@pytest.mark.parametrize(
    ("body", "message", "original"),
    [
        (b"no such column\nat line 3", ": no such column", "no such column\nat line 3"),
        (b"\n  \n why", ": why", "\n  \n why"),
        (b"", "", ""),
        (b"\xff\xfe", ": \ufffd\ufffd", "\ufffd\ufffd"),
        (b"x" * 5000, ": " + "x" * 300, "x" * ORIGINAL_BYTES_MAX),
    ],
)
def test_a_failure_is_told_with_what_the_code_said(body, message, original):
    reply = refuse_failed(describe_failure(503, body))
    head, _, content = reply.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 424 ")
    assert b"\r\nx-amzn-errortype: ModelError\r\n" in head
    assert b"Retry-After" not in head
    assert json.loads(content) == {
        "Message": f"the model's own code answered with status 503{message}",
        "code": "model_failed",
        "OriginalStatusCode": 503,
        "OriginalMessage": original,
    }


def test_what_is_not_known_is_left_out():
    document = json.loads(refuse_failed(ReplicaFailed("too late", late=True)).partition(b"\r\n\r\n")[2])
    assert document == {"Message": "too late", "code": "model_failed"}


@given(st.integers(300, 999), st.binary(max_size=200))
def test_any_body_of_a_failure_becomes_json(status, body):
    document = json.loads(refuse_failed(describe_failure(status, body)).partition(b"\r\n\r\n")[2])
    assert document["OriginalStatusCode"] == status
    assert "\n" not in document["Message"]
