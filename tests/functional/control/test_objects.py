"""Objects in a home: what is damaged on its way changes nothing, and what is needed is not swept."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fakes.house import House
from modelport.control.services.objects import ObjectStore
from modelport.domain.objects import BadDigest, NoSuchBucket


@pytest.fixture
def house(tmp_path: Path):
    with House(tmp_path / "home") as built:
        yield built


@pytest.fixture
def store(house: House) -> ObjectStore:
    store = ObjectStore(house.records, house.artifacts)
    store.create_bucket("bucket")
    return store


def test_bytes_that_are_not_those_that_were_sent_leave_the_old_object(store):
    store.put("bucket", "k", [b"old"])
    with pytest.raises(BadDigest):
        store.put("bucket", "k", [b"new"], md5="0" * 32)
    item = store.get("bucket", "k")
    assert store.path(item).read_bytes() == b"old"


def test_what_objects_and_parts_are_made_of_is_not_swept(house, store):
    kept = store.put("bucket", "k", [b"kept"])
    upload = store.uploads.begin("bucket", "other", headers={})
    part = store.uploads.put_part(upload.upload_id, 1, [b"part"])
    gone = store.put("bucket", "gone", [b"gone"])
    store.delete("bucket", ["gone"])
    house.clock.turn(365 * 86_400.0)
    house.retention.sweep()
    assert house.artifacts.has(kept.digest)
    assert house.artifacts.has(part.digest)
    assert not house.artifacts.has(gone.digest)
    store.uploads.abort(upload.upload_id)
    house.retention.sweep()
    assert not house.artifacts.has(part.digest)


class SweptBetween:
    """Artifacts of a house that sweeps itself between the bytes of an object and its index."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.path = house.artifacts.path

    def put(self, chunks):
        digest = self._house.artifacts.put(chunks)
        self._house.retention.sweep()
        return digest


def test_a_sweep_leaves_bytes_whose_object_is_still_on_its_way(house):
    house.clock.time = datetime.now(UTC)  # files have the time of the machine
    waste = house.artifacts.put([b"again"])
    os.utime(house.artifacts.path(waste), (0, 0))
    store = ObjectStore(house.records, SweptBetween(house))
    store.create_bucket("bucket")
    item = store.put("bucket", "k", [b"again"])
    upload = store.uploads.begin("bucket", "parts", headers={}).upload_id
    part = store.uploads.put_part(upload, 1, [b"part"])
    joined = store.uploads.complete(upload, [(1, part.etag)])
    assert store.path(item).read_bytes() == b"again"
    assert store.path(joined).read_bytes() == b"part"


def test_a_bucket_that_is_gone_takes_nothing(store):
    store.delete_bucket("bucket")
    with pytest.raises(NoSuchBucket):
        store.put("bucket", "k", [b"x"])
