"""Frames are what botocore reads, however large, and a flipped bit is seen."""

from __future__ import annotations

import json

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from modelport.dataplane.event_stream import PART, PAYLOAD_BYTES_MAX, failure, frame, parts

ASCII = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
NAMES = st.text(ASCII, min_size=1, max_size=255)
HEADERS = st.lists(st.tuples(NAMES, st.text(ASCII, max_size=300)), max_size=5, unique_by=lambda item: item[0])


def read(data, *cuts):
    buffer = EventStreamBuffer()
    for start, stop in zip((0, *cuts), (*cuts, len(data)), strict=True):
        buffer.add_data(data[start:stop])
    return [(message.headers, message.payload) for message in buffer]


@given(st.lists(st.tuples(HEADERS, st.binary(max_size=2000)), min_size=1, max_size=4), st.data())
def test_frames_are_read_back_wherever_they_are_cut(messages, data):
    whole = b"".join(frame(headers, payload) for headers, payload in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    assert read(whole, *cuts) == [(dict(headers), payload) for headers, payload in messages]


@given(st.binary(max_size=500))
def test_a_piece_is_one_part(content):
    assert read(parts(content)) == [(dict(PART), content)]


def test_a_very_large_piece_is_several():
    content = bytes(PAYLOAD_BYTES_MAX) + b"end"
    assert [len(payload) for _, payload in read(parts(content))] == [PAYLOAD_BYTES_MAX, 3]


def test_a_failure():
    [(headers, payload)] = read(failure("the reply was cut short: é", "StreamBroken"))
    assert headers[":message-type"] == "exception"
    assert headers[":exception-type"] == "ModelStreamError"
    assert json.loads(payload) == {"Message": "the reply was cut short: é", "ErrorCode": "StreamBroken"}


@given(st.binary(min_size=1, max_size=50), st.data())
def test_a_flipped_bit_of_the_payload_is_seen(content, data):
    whole = bytearray(frame([("a", "b")], content))
    at = data.draw(st.integers(len(whole) - 4 - len(content), len(whole) - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ChecksumMismatch):
        read(bytes(whole))
