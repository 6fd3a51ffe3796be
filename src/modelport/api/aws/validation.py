"""A request against its shape: every violation at once, in AWS's words.

Source: the ValidationException of AWS's JSON services, "N validation errors detected: Value '…' at '…' failed
to satisfy constraint: …"; members are named in lower camel case, list members `name.1.member`.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from modelport.api.aws.errors import VALIDATION, AwsError
from modelport.api.aws.shapes import Shape, Table

SHOWN_MAX = 256
WHOLE_MAX = {"integer": 2**31 - 1, "long": 2**63 - 1}
_NUMBERS = ("integer", "long", "float", "double")
_WORDS = {"structure": "a structure", "list": "a list", "map": "a map"}


def validate(table: Table, name: str, value: Any, violation: str = VALIDATION) -> Any:
    """Return a request's value as operations want it.

    Members that the shape does not have are left out, as AWS ignores them; None is as good as absent.

    Args:
        table: Of the service.
        name: Of the shape.
        value: From JSON.
        violation: Code of the service's error for it.

    Raises:
        AwsError: SerializationException when a value is of another type than its shape's,
            `violation` when it violates constraints; the message names all of them.
    """
    read = _read(table, name, value, "")
    violations = list(_violations(table, name, read, ""))
    if violations:
        count = len(violations)
        told = f"{count} validation error{'s' if count > 1 else ''} detected: {'; '.join(violations)}"
        raise AwsError(violation, told)
    return read


def _read(table: Table, name: str, value: Any, path: str) -> Any:
    shape = table.shapes[name]
    match shape.type:
        case "structure":
            given = _expect(value, dict, shape, path)
            return {
                member: _read(table, of, given[member], _join(path, member))
                for member, of in shape.members.items()
                if given.get(member) is not None
            }
        case "list":
            items = _expect(value, list, shape, path)
            return [
                _read(table, shape.member, item, f"{path}.{number}.member")
                for number, item in enumerate(items, 1)
            ]
        case "map":
            entries = _expect(value, dict, shape, path)
            return {
                key: _read(table, shape.value, item, f"{path}.{key[:SHOWN_MAX]}.member")
                for key, item in entries.items()
            }
        case "timestamp":
            return _read_time(value, path)
    return _read_scalar(shape, value, path)


def _expect(value: Any, kind: type, shape: Shape, path: str) -> Any:
    if not isinstance(value, kind):
        raise _misfit(path, value, _WORDS[shape.type])
    return value


def _read_scalar(shape: Shape, value: Any, path: str) -> Any:
    if shape.type in _NUMBERS:
        whole = shape.type in ("integer", "long")
        fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        if not fits or not _is_within(shape.type, value):
            raise _misfit(path, value, "a whole number" if whole else "a number")
        return value if whole else float(value)
    wanted: type = bool if shape.type == "boolean" else str
    if not isinstance(value, wanted):
        raise _misfit(path, value, "a boolean" if wanted is bool else "a string")
    return value


def _is_within(kind: str, value: float) -> bool:
    """Return whether a number is one of its type: JSON knows larger ones."""
    if kind in WHOLE_MAX:
        return -WHOLE_MAX[kind] - 1 <= value <= WHOLE_MAX[kind]
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _read_time(value: Any, path: str) -> datetime:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str):
            read = datetime.fromisoformat(value)
            return read if read.tzinfo else read.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise _misfit(path, value, "a time in seconds since 1970")


def _misfit(path: str, value: Any, expected: str) -> AwsError:
    found = {dict: "a structure", list: "a list", str: "a string", bool: "a boolean"}.get(
        type(value), "a number"
    )
    return AwsError("SerializationException", f"found {found} at '{path or 'the body'}', expected {expected}")


def _violations(table: Table, name: str, value: Any, path: str) -> Iterator[str]:
    shape = table.shapes[name]
    yield from _bounds(shape, value, path)
    match shape.type:
        case "structure":
            for member in shape.required:
                if member not in value:
                    yield _told(None, _join(path, member), "Member must not be null")
            if shape.union and len(value) != 1:
                yield _told(value, path, "Exactly one member must be set")
            for member, item in value.items():
                yield from _violations(table, shape.members[member], item, _join(path, member))
        case "list":
            for number, item in enumerate(value, 1):
                yield from _violations(table, shape.member, item, f"{path}.{number}.member")
        case "map":
            for key, item in value.items():
                yield from _violations(table, shape.key, key, f"{path}.key")
                yield from _violations(table, shape.value, item, f"{path}.{key[:SHOWN_MAX]}.member")


def _bounds(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if shape.type in ("structure", "boolean", "timestamp"):
        return
    measured, noun = (value, "value") if shape.type in _NUMBERS else (len(value), "length")
    if shape.min is not None and measured < shape.min:
        yield _told(value, path, f"Member must have {noun} greater than or equal to {shape.min:g}")
    if shape.max is not None and measured > shape.max:
        yield _told(value, path, f"Member must have {noun} less than or equal to {shape.max:g}")
    if shape.type != "string":
        return
    if shape.pattern is not None and not _compiled(shape.pattern).fullmatch(value):
        yield _told(value, path, f"Member must satisfy regular expression pattern: {shape.pattern}")
    if shape.enum and value not in shape.enum:
        yield _told(value, path, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")


def _told(value: Any, path: str, constraint: str) -> str:
    if value is None:
        return f"Value null at '{path}' failed to satisfy constraint: {constraint}"
    shown = str(value)
    shown = shown if len(shown) <= SHOWN_MAX else shown[: SHOWN_MAX - 1] + "…"
    return f"Value '{shown}' at '{path}' failed to satisfy constraint: {constraint}"


def _join(path: str, member: str) -> str:
    lower = member[:1].lower() + member[1:]
    return f"{path}.{lower}" if path else lower


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
