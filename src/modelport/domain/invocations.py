"""Asynchronous requests: what is asked, where its answer goes, and until when it is of use.

Source: SageMaker runtime API, InvokeEndpointAsync.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from modelport.domain.errors import InvalidInput
from modelport.domain.objects import check_bucket_name, check_key

SCHEME = "s3://"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object lies, or will."""

    bucket: str
    key: str

    @property
    def url(self) -> str:
        """As AWS writes it."""
        return f"{SCHEME}{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class Invocation:
    """One asynchronous request.

    Args:
        endpoint: Whom it asks.
        inference_id: Names it for its caller.
        output: Where its answer goes.
        failure: Where the reason goes if there is none; None: nowhere but into the events.
        expires_at: When its turn must have come, aware, UTC.
        timeout_s: Seconds its answer may take, once it is its turn.
        source: The object with its body; None: `digest` tells.
        digest: SHA-256 of its body, where that came with the request; else empty.
        headers: Of the request to the model, names in lower case.
    """

    endpoint: str
    inference_id: str
    output: Place
    failure: Place | None
    expires_at: datetime
    timeout_s: float
    source: Place | None = None
    digest: str = ""
    headers: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """An asynchronous request in its queue; numbers grow with each request of the platform."""

    number: int
    invocation: Invocation


def read_place(url: str, what: str) -> Place:
    """Return the place a URL of an object names.

    Args:
        url: `s3://BUCKET/KEY`.
        what: What it is, for the error.

    Raises:
        InvalidInput: It names none.
    """
    bucket, slash, key = url.removeprefix(SCHEME).partition("/")
    if not url.startswith(SCHEME) or not (bucket and slash and key):
        raise InvalidInput(f"{what} is {url[:200]!r}, expected {SCHEME}BUCKET/KEY")
    return Place(check_bucket_name(bucket), check_key(key))


def read_folder(url: str, what: str) -> Place:
    """Return the place whose key every object of a folder begins with; it ends in a slash, or is empty.

    Args:
        url: `s3://BUCKET` or `s3://BUCKET/PREFIX`.
        what: What it is, for the error.

    Raises:
        InvalidInput: It names no folder.
    """
    bucket, _, prefix = url.removeprefix(SCHEME).partition("/")
    if not url.startswith(SCHEME) or not bucket:
        raise InvalidInput(f"{what} is {url[:200]!r}, expected {SCHEME}BUCKET or {SCHEME}BUCKET/PREFIX")
    prefix = prefix.strip("/")
    return Place(check_bucket_name(bucket), f"{prefix}/" if prefix else "")


def place_in(folder: str, name: str, what: str) -> Place:
    """Return the place of an object in a folder.

    Args:
        folder: `s3://BUCKET` or `s3://BUCKET/PREFIX`.
        name: The rest of its key.
        what: What the folder is, for the error.

    Raises:
        InvalidInput: The folder is none, or the key would be too long.
    """
    found = read_folder(folder, what)
    return Place(found.bucket, check_key(found.key + name))
