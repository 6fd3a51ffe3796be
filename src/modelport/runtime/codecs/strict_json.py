"""One JSON value, strictly: what is wrong with one that is none, and names that stand twice."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from modelport.domain.errors import InvalidInput
from modelport.runtime.rows import Rows
from modelport.runtime.wording import located

REFINE_BYTES_MAX = 1 << 20


def parse_value(
    text: bytes, parse: Callable[[bytes], Any], explain: Callable[[Any], Rows] | None = None
) -> Any:
    """Return one JSON value.

    Args:
        text: The bytes.
        parse: A strict parser.
        explain: Reads rows from a value; asked, for its error, where the strict parser failed on NaN,
            Infinity or a number beyond float64.

    Raises:
        InvalidInput: The bytes are not JSON.
    """
    if not text.strip():
        raise InvalidInput("the body is empty, expected rows as JSON")
    try:
        return parse(text)
    except RecursionError:
        raise InvalidInput("the JSON is nested too deeply, expected rows") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"the JSON is not UTF-8: byte {error.object[error.start]:#04x} at {error.start} of a text",
            hint="encode the body as UTF-8",
        ) from None
    except msgspec.DecodeError as error:
        if explain is not None and len(text) <= REFINE_BYTES_MAX:
            _explain_numbers(text, explain)
        hint = "encode the body as UTF-8 without a byte order mark" if not text[:1].isascii() else None
        raise InvalidInput(f"not valid JSON: {error}", hint=hint) from None


def _explain_numbers(text: bytes, explain: Callable[[Any], Rows]) -> None:
    """Raise the error of the cell that holds NaN, Infinity or a number out of range, if that is the cause."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return
    if not _holds_special(value):
        return
    explain(value)


def _holds_special(value: Any) -> bool:
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, float) and not math.isfinite(part):
            return True
        if isinstance(part, list):
            pending += part
        elif isinstance(part, dict):
            pending += part.values()
    return False


def refuse_doubled(text: bytes, *, rows: int = 0, first: int = 0) -> None:
    """Refuse JSON in which a name stands twice in one object.

    Args:
        text: Valid JSON whose rows, where they are objects, hold no other objects.
        rows: How many of its objects, from the first that ends, are rows.
        first: Number of the first row, for the error.

    Raises:
        InvalidInput: There is one.
    """
    ended = itertools.count()

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        at = next(ended)
        if len(made) < len(pairs):
            names = [name for name, _ in pairs]
            doubled = next(name for name in names if names.count(name) > 1)
            row = first + at if at < rows else None
            raise located(row, doubled, "stands twice in one object, expected once")
        return made

    # the strict parser took the text: whatever Python's refuses (too many digits) is no doubled name
    with suppress(ValueError, RecursionError):
        json.loads(text, object_pairs_hook=unique)
