"""A page of a list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

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
