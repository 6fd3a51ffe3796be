"""A result as its shape has it.

Nothing absent is written: SDKs that check replies against a model fail on null and on empty structures.
Source: AWS JSON protocol, timestamps are seconds since 1970 with milliseconds as a fraction.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from modelport.api.aws.shapes import Shape, Table

WRITTEN_EMPTY = {"TrialComponent": frozenset({"Parameters", "InputArtifacts", "OutputArtifacts"})}
"""Maps of a found component that are there though empty: the SageMaker SDK's analytics reads them unasked."""


def shape_output(table: Table, name: str | None, value: dict[str, Any] | None) -> dict[str, Any]:
    """Return what is written of an operation's result.

    Args:
        table: Of the service.
        name: Of the output's shape; None: the operation gives nothing.
        value: Members in AWS's spelling; those the shape does not have are left out.
    """
    if name is None:
        return {}
    shape = table.shapes[name]
    written = _structure(table, shape, value or {}, keep=set(shape.required))
    # A list at the top is the answer itself: clients look for it, also where it has nothing in it.
    for member, of in shape.members.items():
        if table.shapes[of].type == "list" and (value or {}).get(member) is not None:
            written.setdefault(member, [])
    return written


def _structure(table: Table, shape: Shape, value: dict[str, Any], keep: set[str]) -> dict[str, Any]:
    written = {}
    for member, of in shape.members.items():
        if value.get(member) is None:
            continue
        item = _write(table, of, value[member])
        if item not in ({}, []) or member in keep:
            written[member] = item
    return written


def _write(table: Table, name: str, value: Any) -> Any:
    shape = table.shapes[name]
    match shape.type:
        case "structure":
            return _structure(table, shape, value, keep={*shape.required, *WRITTEN_EMPTY.get(name, ())})
        case "list":
            return [_write(table, shape.member, item) for item in value]
        case "map":
            return {key: _write(table, shape.value, item) for key, item in value.items()}
        case "timestamp":
            return _seconds(value)
        case "integer" | "long":
            return int(value)  # a number that may have a fraction here: typed clients would stumble over 5.0
    return value


def _seconds(value: Any) -> Any:
    return round(value.timestamp(), 3) if isinstance(value, datetime) else value
