"""Preconditions: what must hold of the object that is there, so that a request is done.

Source: RFC 9110 section 13 (their order: 13.2.2); Amazon S3, "Conditional requests".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from modelport.api.aws.s3.errors import S3Error
from modelport.control.services.stored import Condition
from modelport.domain.objects import NoSuchKey, StoredObject

OF_SOURCE = "x-amz-copy-source-"


def is_unchanged(headers: Mapping[str, str], item: StoredObject) -> bool:
    """Return whether the client has what there is, so that nothing need be sent.

    Args:
        headers: Of the request, in lower case.
        item: What there is.

    Raises:
        S3Error: What there is is not what the client wants.
    """
    wanted, other = headers.get("if-match"), headers.get("if-none-match")
    modified = item.modified_at.replace(microsecond=0)
    since, unless = read_time(headers.get("if-modified-since")), read_time(headers.get("if-unmodified-since"))
    if wanted is not None:
        if not _names(wanted, item.etag):
            raise _failed("the object has another ETag")
    elif unless is not None and modified > unless:
        raise _failed("the object was modified since")
    if other is not None:
        return _names(other, item.etag)
    return since is not None and modified <= since


def is_range_wanted(headers: Mapping[str, str], item: StoredObject) -> bool:
    """Return whether a Range still counts: If-Range names the object that the client has a part of."""
    given = headers.get("if-range")
    if given is None:
        return True
    moment = read_time(given)
    return given == f'"{item.etag}"' if moment is None else item.modified_at.replace(microsecond=0) == moment


def condition_of(headers: Mapping[str, str]) -> Condition | None:
    """Return what must hold of the object in the place of a new one, or of one to delete; None: nothing.

    Args:
        headers: Of the request, in lower case.

    Raises:
        S3Error: `If-None-Match` is something else than `*`, as in S3.
    """
    wanted, other = headers.get("if-match"), headers.get("if-none-match")
    if other is not None and other.strip() != "*":
        raise S3Error("NotImplemented", "If-None-Match may only be * where something is written", 501)
    if wanted is None and other is None:
        return None

    def check(item: StoredObject | None) -> None:
        if other is not None and item is not None:
            raise _failed("the object is there already")
        if wanted is None:
            return
        if item is None:
            raise NoSuchKey("there is no object of that key, so none with that ETag")
        if not _names(wanted, item.etag):
            raise _failed("the object has another ETag")

    return check


def condition_of_source(headers: Mapping[str, str]) -> Condition | None:
    """Return what must hold of the object that a copy is made of; None: nothing.

    Args:
        headers: Of the request, in lower case.
    """
    of_source = {
        name.removeprefix(OF_SOURCE): value for name, value in headers.items() if name.startswith(OF_SOURCE)
    }
    if not any(name.startswith("if-") for name in of_source):
        return None

    def check(item: StoredObject | None) -> None:
        if item is not None and is_unchanged(of_source, item):
            raise _failed("the object that was to be copied is the one the client has")

    return check


def read_time(text: str | None) -> datetime | None:
    """Return a time of a header, aware; None when there is none that can be read."""
    if text is None:
        return None
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _names(header: str, etag: str) -> bool:
    """Return whether a list of ETags has one in it; S3's clients leave the quotes out at times."""
    return any(given.strip().strip('"') in ("*", etag) for given in header.split(","))


def _failed(message: str) -> S3Error:
    return S3Error("PreconditionFailed", message, 412)
