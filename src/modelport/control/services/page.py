"""A page of a list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from modelport.domain.resource import Kind
from modelport.stores.records.records import Records

T = TypeVar("T")
LIMIT_DEFAULT = 100
LIMIT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items of a list, in its order.

    Args:
        items: At most as many as were asked for.
        next: Where the next page begins: hand it back as `after`. None on the last page.
    """

    items: tuple[T, ...]
    next: str | None = None


def bounded(limit: int | None) -> int:
    """Return a usable page size: the default for None, else between 1 and the largest allowed."""
    return LIMIT_DEFAULT if limit is None else max(1, min(limit, LIMIT_MAX))


def page_of(records: Records, kind: Kind, after: str | None, limit: int | None) -> Page[Any]:
    """Return some resources of a kind, by name.

    Args:
        records: Where they are kept.
        kind: Which.
        after: They come after this name; None: from the first.
        limit: As many, at most; None: the default.
    """
    size = bounded(limit)
    with records.reading() as tx:
        found = tx.all(kind, after=after, limit=size + 1)
    return Page(tuple(found[:size]), found[size - 1].name if len(found) > size else None)
