"""What was in flight when a process died is known afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from modelport.dataplane.flights import NAMED_BYTES, Flight, decode, digest_of, read_wrecks

MODEL = bytes(range(32))
REQUESTS = st.lists(
    st.binary(min_size=1, max_size=200) | st.just(b"x" * (NAMED_BYTES + 10)), min_size=1, max_size=20
)

PROGRAM = """
import sys, time
from pathlib import Path
from modelport.dataplane.flights import Flight
flight = Flight(Path(sys.argv[1]), "w")
flight.take_off(bytes(32), [5], b"hello")
print("up", flush=True)
time.sleep(60)
"""


def record_of(folder: Path) -> bytes:
    return next(folder.glob("*.flight")).read_bytes()


@given(REQUESTS)
def test_every_request_of_a_call_is_on_record_until_it_lands(tmp_path_factory, requests):
    folder = tmp_path_factory.mktemp("flights")
    flight = Flight(folder, "w")
    assert decode(record_of(folder)) == []
    flight.take_off(MODEL, [len(each) for each in requests], b"".join(requests))
    found = decode(record_of(folder))
    assert [on_board.request for on_board in found] == [digest_of(each).hex() for each in requests]
    assert {on_board.model for on_board in found} == {MODEL.hex()}
    assert {on_board.alone for on_board in found} == {len(requests) == 1}
    flight.land()
    assert decode(record_of(folder)) == []
    flight.close()
    assert list(folder.iterdir()) == []


@given(REQUESTS, st.integers(0, 3000))
def test_a_torn_record_tells_what_it_can(tmp_path_factory, requests, cut):
    folder = tmp_path_factory.mktemp("flights")
    flight = Flight(folder, "w")
    flight.take_off(MODEL, [len(each) for each in requests], b"".join(requests))
    whole = decode(record_of(folder))
    assert decode(record_of(folder)[:cut]) == whole[: len(decode(record_of(folder)[:cut]))]
    flight.close()


def test_large_requests_differ_by_their_length():
    assert digest_of(b"x" * 10_000) != digest_of(b"x" * 10_001)


def test_the_living_keep_their_records_and_the_dead_are_read_once(tmp_path):
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert list(read_wrecks(tmp_path)) == []
        os.kill(process.pid, signal.SIGKILL)
    assert [on_board.request for on_board in read_wrecks(tmp_path)] == [digest_of(b"hello").hex()]
    assert list(read_wrecks(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []
