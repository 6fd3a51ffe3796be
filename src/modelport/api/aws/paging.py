"""Lists: which resources, in which order, a page at a time.

Source: SageMaker, ListModels and its like: NameContains, times after and before, StatusEquals, SortBy
(CreationTime by default), SortOrder (Descending by default), MaxResults (10 by default), NextToken.

A token tells after which resource the next page begins, by what the list is sorted by: what is made or
deleted meanwhile moves nothing else from page to page.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from modelport.api.aws.errors import VALIDATION, AwsError
from modelport.control.services.page import LIMIT_MAX, Page
from modelport.domain.resource import Resource

PAGE_DEFAULT = 10
Found = Resource[Any, Any, Any]
_Mark = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list.

    Args:
        items: The resources of the page.
        next_token: Where the next one begins; None on the last.
    """

    items: list[Found]
    next_token: str | None


def list_page(
    parameters: dict[str, Any],
    found: Iterable[Found],
    *,
    status: Callable[[Found], str] | None = None,
    version: Callable[[Found], int] | None = None,
) -> Listing:
    """Return the page a request asks for.

    Args:
        parameters: Of the request.
        found: All resources of the kind.
        status: Returns a resource's status, where the list filters or sorts by it.
        version: Returns a resource's number, where the list sorts by it.

    Raises:
        AwsError: The token is not one that this list gave.
    """
    order = parameters.get("SortBy", "CreationTime")
    descending = parameters.get("SortOrder", "Descending") == "Descending"
    marked = sorted(
        (
            (_mark(item, order, status, version), item)
            for item in found
            if _is_wanted(item, parameters, status)
        ),
        key=lambda pair: pair[0],
        reverse=descending,
    )
    token = parameters.get("NextToken")
    if token is not None:
        after = _read_token(token)
        marked = [pair for pair in marked if (pair[0] < after if descending else pair[0] > after)]
    size = parameters.get("MaxResults", PAGE_DEFAULT)
    page = marked[:size]
    more = len(marked) > size
    return Listing([item for _, item in page], _write_token(page[-1][0]) if more else None)


def every(page: Callable[[str | None, int], Page[Any]]) -> list[Any]:
    """Return all items of a list of a service, which gives them by pages.

    Args:
        page: Takes `after` and `limit`.
    """
    items: list[Any] = []
    after = None
    while True:
        found = page(after, LIMIT_MAX)
        items.extend(found.items)
        if found.next is None:
            return items
        after = found.next


def _is_wanted(item: Found, parameters: dict[str, Any], status: Callable[[Found], str] | None) -> bool:
    if parameters.get("NameContains", "").lower() not in item.name.lower():
        return False
    wanted = parameters.get("StatusEquals")
    if wanted is not None and status is not None and status(item) != wanted:
        return False
    for member, at in (("CreationTime", item.created_at), ("LastModifiedTime", item.modified_at)):
        after: datetime | None = parameters.get(f"{member}After")
        before: datetime | None = parameters.get(f"{member}Before")
        if (after is not None and at <= after) or (before is not None and at >= before):
            return False
    return True


def _mark(
    item: Found,
    order: str,
    status: Callable[[Found], str] | None,
    version: Callable[[Found], int] | None,
) -> _Mark:
    if order == "Version" and version is not None:
        return f"{version(item):012d}", item.name
    if order == "Name":
        return item.name, item.name
    if order == "Status" and status is not None:
        return status(item), item.name
    return item.created_at.isoformat(timespec="microseconds"), item.name


def _write_token(mark: _Mark) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(mark)).decode("ascii").rstrip("=")


def _read_token(token: str) -> _Mark:
    try:
        decoded = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        mark: _Mark = msgspec.json.decode(decoded, type=_Mark)
    except (binascii.Error, ValueError) as error:
        raise AwsError(VALIDATION, f"NextToken {token[:80]!r} is not one that this list gave.") from error
    return mark
