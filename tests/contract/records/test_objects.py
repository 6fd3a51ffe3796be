"""The object store against a plain dict: what is listed, in which order, a page at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelport.control.services.objects import ObjectStore
from modelport.domain.objects import PART_BYTES_MIN, NoSuchKey
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.stores.records.records import Records

KEYS = st.text(st.sampled_from("ab/é😀\U0010ffff\x01"), min_size=1, max_size=5)


@pytest.fixture
def store(records: Records, tmp_path: Path) -> ObjectStore:
    store = ObjectStore(records, LocalArtifacts(tmp_path / "artifacts"))
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


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


@pytest.mark.parametrize("limit", [1, 2, 7, 1_000])
def test_folders_of_many_objects_are_shown_once_each(store, limit):
    keys = {
        f"{folder:02}/{number:03}"
        for folder, many in enumerate((1, 15, 16, 17, 70))
        for number in range(many)
    }
    keys |= {"02", "03!", "zz"}
    for key in keys:
        store.put("bucket", key, [b""])
    for prefix in ("", "04/", "04/00"):
        for delimiter in ("/", "", "00"):
            wanted = expected(keys, prefix, delimiter)
            assert listed(store, prefix=prefix, delimiter=delimiter, limit=limit) == wanted


def test_an_object_is_put_replaced_copied_and_deleted(store):
    store.put("bucket", "k", [b"a", b"b"], headers={"x-amz-meta-é": "ü"}, tags={"t": "1"})
    store.put("bucket", "k", [b"new"], headers={"content-type": "x"}, tags={"t": "2"})
    store.copy(("bucket", "k"), "bucket", "copy")
    item = store.get("bucket", "copy")
    assert (item.size, item.headers, item.tags) == (3, {"content-type": "x"}, {"t": "2"})
    assert store.path(item).read_bytes() == b"new"
    store.delete("bucket", ["k", "none"])
    with pytest.raises(NoSuchKey):
        store.get("bucket", "k")


def test_an_object_of_parts_is_their_bytes_in_order(store):
    upload = store.uploads.begin("bucket", "k", headers={"content-type": "x"})
    large = bytes(PART_BYTES_MIN)
    etags = {}
    for number, content in ((2, b"end"), (1, b"replaced"), (1, large)):
        etags[number] = store.uploads.put_part(upload.upload_id, number, [content]).etag
    assert [part.number for part in store.uploads.parts(upload.upload_id)] == [1, 2]
    item = store.uploads.complete(upload.upload_id, sorted(etags.items()))
    assert store.path(item).read_bytes() == large + b"end"
    assert store.uploads.of("bucket") == []
