"""The object store against a plain dict: what is listed, in which order, a page at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.house import House
from modelport.control.services.objects import ObjectStore
from modelport.domain.objects import BadDigest, NoSuchBucket

KEYS = st.text(st.sampled_from("ab/é😀\U0010ffff\x01"), min_size=1, max_size=5)


@pytest.fixture
def house(tmp_path: Path):
    with House(tmp_path / "home") as built:
        yield built


@pytest.fixture
def store(house: House) -> ObjectStore:
    store = ObjectStore(house.records, house.artifacts)
    store.create_bucket("bucket")
    return store


def listed(store: ObjectStore, **how):
    """Return everything a list gives, page by page: objects' keys and cut keys, in their order."""
    found, after = [], ""
    while True:
        page = store.list_objects("bucket", after=after, **how)
        found += sorted([*(item.key for item in page.objects), *page.prefixes], key=lambda key: key.encode())
        if page.next_after is None:
            return found
        after = page.next_after


def expected(keys, prefix, delimiter):
    found = set()
    for key in keys:
        if key.startswith(prefix):
            at = key.find(delimiter, len(prefix)) if delimiter else -1
            found.add(key if at < 0 else key[: at + len(delimiter)])
    return sorted(found, key=lambda key: key.encode())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.sets(KEYS, max_size=12),
    prefix=st.text(st.sampled_from("ab/"), max_size=2),
    delimiter=st.sampled_from(["", "/", "b", "//"]),
    limit=st.integers(1, 4),
)
def test_lists_are_what_a_dict_would_give(store, keys, prefix, delimiter, limit):
    for item in store.list_objects("bucket").objects:
        store.delete("bucket", [item.key])
    for key in keys:
        store.put("bucket", key, [key.encode()])
    wanted = expected(keys, prefix, delimiter)
    assert listed(store, prefix=prefix, delimiter=delimiter, limit=limit) == wanted


def test_bytes_that_are_not_those_that_were_sent_leave_the_old_object(store):
    store.put("bucket", "k", [b"old"])
    with pytest.raises(BadDigest):
        store.put("bucket", "k", [b"new"], md5="0" * 32)
    item = store.get("bucket", "k")
    assert store.path(item).read_bytes() == b"old"


def test_what_objects_and_parts_are_made_of_is_not_swept(house, store):
    kept = store.put("bucket", "k", [b"kept"])
    upload = store.begin_upload("bucket", "other", headers={})
    part = store.put_part(upload.upload_id, 1, [b"part"])
    gone = store.put("bucket", "gone", [b"gone"])
    store.delete("bucket", ["gone"])
    house.clock.turn(365 * 86_400.0)
    house.retention.sweep()
    assert house.artifacts.has(kept.digest)
    assert house.artifacts.has(part.digest)
    assert not house.artifacts.has(gone.digest)
    store.abort_upload(upload.upload_id)
    house.retention.sweep()
    assert not house.artifacts.has(part.digest)


def test_a_bucket_that_is_gone_takes_nothing(store):
    store.delete_bucket("bucket")
    with pytest.raises(NoSuchBucket):
        store.put("bucket", "k", [b"x"])
