"""The replicas of custom code that should run: one file that control writes and the supervisor reads.

It may hold secrets, as the variables of a container do, and lies in a folder of this user alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from modelport.domain.errors import InvalidInput
from modelport.domain.routes import REPLICA

PREFIX = "replica-"
"""Of a replica's name in the supervisor's table, and of its log's."""

EMPTY = "empty"
"""Stands for the files of a container that brings no archive."""

STARTED = "started: "
"""Begins the line of a replica's log that a start is told by; what follows is of that start."""


class ReplicaSpec(msgspec.Struct, frozen=True):
    """One replica that should run.

    Args:
        name: Of its socket in `run/replicas`.
        endpoint: Whose it is, for people.
        variant: Likewise.
        model: Name of the Model.
        image: As the container names it; says which environment runs it.
        archive: SHA-256 of the model's archive, which lies unpacked in the home; empty: it has none.
        source: SHA-256 of the archive of its code, likewise; empty: the code lies in the model's archive.
        environment: Variables of the container.
        start_timeout_s: Seconds it may take to be ready.
        invocation_timeout_s: Seconds a request may take; None: as the settings say.
    """

    name: str
    endpoint: str
    variant: str
    model: str
    image: str
    archive: str = ""
    source: str = ""
    environment: dict[str, str] = {}
    start_timeout_s: float = 480.0
    invocation_timeout_s: float | None = None


class _Document(msgspec.Struct, frozen=True):
    replicas: tuple[ReplicaSpec, ...] = ()


def encode_replicas(replicas: Sequence[ReplicaSpec]) -> bytes:
    """Return the file's content."""
    return msgspec.json.encode(_Document(tuple(replicas)))


def read_replicas(path: Path) -> tuple[ReplicaSpec, ...]:
    """Return what should run; nothing where there is no file.

    Raises:
        InvalidInput: The file is damaged.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Document).replicas
    except FileNotFoundError:
        return ()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} does not list replicas: {error}") from error
    for one in found:
        if not REPLICA.fullmatch(one.name):
            raise InvalidInput(f"{path} names a replica {one.name[:80]!r}")
    return found
