"""The conversation between the control process and its inference workers, and the route files.

Control publishes a table as `routes/{revision:012d}.json`, asks every live worker to *prepare* it, and
only when all have, writes the revision into `routes/active` and says *activate*. Messages are framed by a
4-byte big-endian length. A worker speaks first, with `Hello`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from modelport.domain.errors import InvalidInput
from modelport.domain.routes import RouteTable

FRAME_BYTES_MAX = 1 << 20
LENGTH_BYTES = 4


class Hello(msgspec.Struct, frozen=True, tag=True):
    """A worker introduces itself; `active_revision` is what it already serves (0: nothing)."""

    index: int
    pid: int
    active_revision: int


class Prepare(msgspec.Struct, frozen=True, tag=True):
    """Control asks: load and warm up all that this revision needs, beside what is served now."""

    revision: int


class Activate(msgspec.Struct, frozen=True, tag=True):
    """Control asks: new requests belong to this revision from now on."""

    revision: int


class ModelState(msgspec.Struct, frozen=True, tag=True):
    """A worker reports on one model."""

    digest: str
    state: Literal["loading", "ready", "failed"]
    reason: str | None = None


class Prepared(msgspec.Struct, frozen=True, tag=True):
    """A worker can activate this revision."""

    revision: int


class PrepareFailed(msgspec.Struct, frozen=True, tag=True):
    """A worker cannot; `digest` names the model at fault."""

    revision: int
    digest: str
    reason: str


class Activated(msgspec.Struct, frozen=True, tag=True):
    """New requests of this worker belong to this revision."""

    revision: int


class Drained(msgspec.Struct, frozen=True, tag=True):
    """No request of this older revision is left in this worker."""

    revision: int


class HostedName(msgspec.Struct, frozen=True):
    """A model that a variant hosts, or is to: endpoint, variant, what it is of, and its name there."""

    endpoint: str
    variant: str
    source: str
    name: str


class Asked(msgspec.Struct, frozen=True, tag=True):
    """Requests of a worker wait for models that are not hosted; said again while they do."""

    models: tuple[HostedName, ...]


class Used(msgspec.Struct, frozen=True, tag=True):
    """These hosted models were asked since a worker said so last."""

    models: tuple[HostedName, ...]


class CannotHost(msgspec.Struct, frozen=True, tag=True):
    """Control answers that nobody need wait for a model any more.

    Args:
        model: Which.
        known: There is such a model, but it does not work.
        reason: Why, in plain words.
    """

    model: HostedName
    known: bool
    reason: str


FromControl = Prepare | Activate | CannotHost
FromWorker = Hello | ModelState | Prepared | PrepareFailed | Activated | Drained | Asked | Used


def frame(message: FromControl | FromWorker) -> bytes:
    """Return the message with its length in front."""
    body = msgspec.json.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def decode_from_control(body: bytes) -> FromControl:
    """Read one message a worker received.

    Raises:
        InvalidInput: It is not one.
    """
    try:
        message: FromControl = msgspec.json.decode(body, type=FromControl)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"not a feed message: {error}") from error
    return message


def decode_from_worker(body: bytes) -> FromWorker:
    """Read one message control received.

    Raises:
        InvalidInput: It is not one.
    """
    try:
        message: FromWorker = msgspec.json.decode(body, type=FromWorker)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"not a feed message: {error}") from error
    return message


def route_file(routes: Path, revision: int) -> Path:
    """Return where the table of `revision` lies inside the `routes` folder."""
    return routes / f"{revision:012d}.json"


def active_file(routes: Path) -> Path:
    """Return the file that holds the revision last activated, as decimal text."""
    return routes / "active"


def encode_routes(table: RouteTable) -> bytes:
    """Return the table as UTF-8 JSON."""
    return msgspec.json.encode(table)


def decode_routes(content: bytes) -> RouteTable:
    """Read a table.

    Raises:
        InvalidInput: The bytes are not a route table.
    """
    try:
        return msgspec.json.decode(content, type=RouteTable)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"not a route table: {error}") from error
