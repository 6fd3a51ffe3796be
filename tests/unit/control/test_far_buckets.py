"""Objects of another S3 come without anybody waiting for them, and none is told of a look of long ago."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from fakes.house import HandClock
from fakes.platform import wait_for
from modelport.control.buckets import FORGOTTEN_S, FarBuckets
from modelport.domain.errors import NotFound


class Elsewhere:
    """An S3 that answers when it is let."""

    def __init__(self):
        self.gate = threading.Event()
        self.holds = {}
        self.reads = 0

    def digest_of(self, bucket, key):
        self.reads += 1
        assert self.gate.wait(10)
        if (bucket, key) not in self.holds:
            raise NotFound("none")
        return self.holds[bucket, key]


@pytest.fixture
def stage():
    elsewhere, clock, woken = Elsewhere(), HandClock(), threading.Event()
    speaks = SimpleNamespace(bucket=None, path_of=None, put=None, digest_of=elsewhere.digest_of)
    far = FarBuckets(speaks, clock.monotonic, woken.set)
    yield SimpleNamespace(far=far, elsewhere=elsewhere, clock=clock, woken=woken)
    elsewhere.gate.set()
    far.close()


def test_an_object_is_read_once_and_whoever_waits_is_woken(stage):
    stage.elsewhere.holds["b", "k"] = "d"
    assert [stage.far.find("b", "k") for _ in range(3)] == [None] * 3
    stage.elsewhere.gate.set()
    assert stage.woken.wait(10)
    assert stage.far.find("b", "k") == "d"
    assert stage.elsewhere.reads == 1


def test_one_that_is_not_there_is_told_and_looked_for_anew(stage):
    assert stage.far.find("b", "k") is None
    stage.elsewhere.gate.set()
    assert stage.woken.wait(10)
    with pytest.raises(NotFound):
        stage.far.find("b", "k")
    stage.elsewhere.holds["b", "k"] = "d"
    assert wait_for(lambda: stage.far.find("b", "k")) == "d"


def test_what_came_for_somebody_who_went_away_is_not_told_the_next(stage):
    stage.elsewhere.holds["b", "k"] = "old"
    assert stage.far.find("b", "k") is None
    stage.elsewhere.gate.set()
    assert stage.woken.wait(10)
    stage.elsewhere.holds["b", "k"] = "new"
    stage.clock.turn(FORGOTTEN_S + 1)
    assert wait_for(lambda: stage.far.find("b", "k")) == "new"
