"""Pages of a bucket's keys, those that share what is before a delimiter cut and shown once."""

from __future__ import annotations

from modelport.domain.objects import Listing, StoredObject
from modelport.stores.records.objects import ObjectIndex

PASSED_MAX = 16
"""Keys of one cut key that are read past; more of them are jumped over, which costs a query."""


def list_keys(
    index: ObjectIndex, bucket: str, *, prefix: str, delimiter: str, after: str, limit: int
) -> Listing:
    """Return a page.

    Args:
        index: Of all buckets.
        bucket: Which.
        prefix: What keys begin with.
        delimiter: Keys that have it after the prefix are cut behind it; empty: none is.
        after: Only what comes after this key or cut key.
        limit: At most so many objects and cut keys, together; 0 gives an empty page, the last.
    """
    shown: list[StoredObject] = []
    cuts: list[str] = []
    last = after
    is_cut = after != "" and _cut(after, prefix, delimiter) == after
    found = index.scan(bucket, prefix=prefix, after=_behind(after) if is_cut else _bytes(after))
    passed = 0
    while limit > 0 and (item := next(found, None)) is not None:
        cut = _cut(item.key, prefix, delimiter)
        if cut is not None and cut == last:
            passed += 1
            if passed == PASSED_MAX:
                found = index.scan(bucket, prefix=prefix, after=_behind(cut))
            continue
        if len(shown) + len(cuts) >= limit:
            return Listing(tuple(shown), tuple(cuts), last)
        passed = 0
        if cut is None:
            shown.append(item)
            last = item.key
        else:
            cuts.append(cut)
            last = cut
    return Listing(tuple(shown), tuple(cuts), None)


def _cut(key: str, prefix: str, delimiter: str) -> str | None:
    if not delimiter:
        return None
    at = key.find(delimiter, len(prefix))
    return None if at < 0 else key[: at + len(delimiter)]


def _behind(cut: str) -> bytes:
    """Return bytes that come after every key which begins with a cut key: no UTF-8 has 0xff."""
    return _bytes(cut) + b"\xff"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
