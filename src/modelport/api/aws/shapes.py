"""The tables of the AWS door: operations and the shapes of what they take and give.

Made by tools/aws_tables.py from botocore's service models.
"""

from __future__ import annotations

import functools
from importlib.resources import files

import msgspec


class Shape(msgspec.Struct, frozen=True):
    """One shape: a type and its constraints.

    Args:
        type: structure, list, map, string, integer, long, float, double, boolean, timestamp or blob.
        members: Of a structure: member to shape.
        required: Members that must be there.
        member: Of a list: the shape of its members.
        key: Of a map.
        value: Of a map.
        enum: Allowed strings.
        pattern: The whole string must match it.
        min: Least length or value.
        max: Largest length or value.
        union: Exactly one member is there.
        timestamp_format: How a time is written, where it is not the protocol's way.
    """

    type: str
    members: dict[str, str] = {}
    required: tuple[str, ...] = ()
    member: str = ""
    key: str = ""
    value: str = ""
    enum: tuple[str, ...] = ()
    pattern: str | None = None
    min: float | None = None
    max: float | None = None
    union: bool = False
    timestamp_format: str | None = msgspec.field(default=None, name="timestampFormat")


class Signature(msgspec.Struct, frozen=True):
    """What an operation takes and gives: names of shapes, None for nothing."""

    input: str | None = None
    output: str | None = None


class Table(msgspec.Struct, frozen=True):
    """One service.

    Args:
        botocore: The version it was made from.
        target_prefix: Before the operation in X-Amz-Target.
        json_version: Of the protocol.
        requests: Of a service whose protocol is REST-JSON: operation to `METHOD /path`.
        operations: Those we offer.
        others: Those the service has besides.
        shapes: By name.
    """

    botocore: str
    target_prefix: str
    json_version: str
    requests: dict[str, str]
    operations: dict[str, Signature]
    others: tuple[str, ...]
    shapes: dict[str, Shape]


@functools.cache
def load_table(service: str) -> Table:
    """Return the table of a service."""
    path = files("modelport.api.aws") / "tables" / f"{service}.json"
    return msgspec.json.decode(path.read_bytes(), type=Table)
