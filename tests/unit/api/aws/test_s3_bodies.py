"""Bodies framed in aws-chunked give back what was framed, or say what is wrong."""

import base64
import hashlib
import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.api.aws.s3.bodies import read_body
from modelport.domain.errors import InvalidInput
from modelport.domain.objects import BadDigest

UNSIGNED = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}


def frame(chunks, trailer=b"", signature=b""):
    parts = [b"%x%b\r\n%b\r\n" % (len(chunk), signature, chunk) for chunk in chunks if chunk]
    return b"".join([*parts, b"0", signature, b"\r\n", trailer, b"\r\n"])


def crc(content):
    return base64.b64encode(zlib.crc32(content).to_bytes(4, "big"))


@given(st.lists(st.binary(max_size=200)), st.sampled_from([b"", b";chunk-signature=" + b"0" * 64]))
def test_what_was_framed_comes_back_with_its_trailer(chunks, signature):
    content = b"".join(chunks)
    body = frame(chunks, b"x-amz-checksum-crc32:" + crc(content) + b"\r\n", signature)
    headers = UNSIGNED | {
        "x-amz-trailer": "x-amz-checksum-crc32",
        "x-amz-decoded-content-length": str(len(content)),
    }
    trailer = {}
    assert b"".join(read_body(io.BytesIO(body), headers, trailer)) == content
    assert trailer == {"x-amz-checksum-crc32": crc(content).decode()}


@given(st.binary(min_size=1, max_size=300), st.data())
def test_a_framed_body_that_is_cut_never_passes(content, data):
    body = frame([content])
    cut = body[: data.draw(st.integers(0, len(body) - 5))]
    headers = UNSIGNED | {"x-amz-decoded-content-length": str(len(content))}
    with pytest.raises(InvalidInput):
        b"".join(read_body(io.BytesIO(cut), headers, {}))


@pytest.mark.parametrize("body", [b"", b"zz\r\n", b"-1\r\n\r\n", b"2\r\nabc\r\n0\r\n\r\n", b"5\r\nab"])
def test_broken_frames_are_told(body):
    with pytest.raises(InvalidInput):
        b"".join(read_body(io.BytesIO(body), UNSIGNED, {}))


def test_a_trailing_checksum_is_verified():
    body = frame([b"content"], b"x-amz-checksum-crc32:AAAAAA==\r\n")
    headers = UNSIGNED | {"x-amz-trailer": "x-amz-checksum-crc32"}
    with pytest.raises(BadDigest):
        b"".join(read_body(io.BytesIO(body), headers, {}))


def test_the_signed_hash_of_a_plain_body_is_verified():
    good = hashlib.sha256(b"content").hexdigest()
    assert b"".join(read_body(io.BytesIO(b"content"), {"x-amz-content-sha256": good}, {})) == b"content"
    with pytest.raises(BadDigest):
        b"".join(read_body(io.BytesIO(b"damaged"), {"x-amz-content-sha256": good}, {}))
