"""What a search expression says of one described resource.

Source: SageMaker, Search: Filter, NestedFilters, SearchExpression. A name is a path through the description;
where that leads through a list, one of its members suffices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from operator import ge, gt, le, lt
from typing import Any

from modelport.domain.errors import InvalidInput

DEPTH_MAX = 6
TAG = "Tags."
_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "GreaterThan": gt,
    "GreaterThanOrEqualTo": ge,
    "LessThan": lt,
    "LessThanOrEqualTo": le,
}


def matches(document: Mapping[str, Any], expression: Mapping[str, Any], depth: int = 0) -> bool:
    """Return whether a description fits a search expression; one that says nothing fits all.

    Args:
        document: In AWS's spelling; times are aware.
        expression: SearchExpression.
        depth: Of expressions around this one.

    Raises:
        InvalidInput: Expressions lie too deep in each other, or a value cannot be compared.
    """
    if depth > DEPTH_MAX:
        raise InvalidInput(f"search expressions lie more than {DEPTH_MAX} deep in each other")
    found = [_fits(document, one) for one in expression.get("Filters", ())]
    found += [_nested(document, one) for one in expression.get("NestedFilters", ())]
    found += [matches(document, one, depth + 1) for one in expression.get("SubExpressions", ())]
    if not found:
        return True
    return any(found) if expression.get("Operator") == "Or" else all(found)


def value_of(document: Mapping[str, Any], name: str) -> Any:
    """Return the first value at a path, None when there is none: what results are sorted by."""
    return next(_values(document, name), None)


def _nested(document: Mapping[str, Any], nested: Mapping[str, Any]) -> bool:
    """Return whether one member of a list fits all filters; their names begin with the list's."""
    path = nested["NestedPropertyName"]
    inner = [{**one, "Name": one["Name"].removeprefix(f"{path}.")} for one in nested["Filters"]]
    members = [member for member in _values(document, path) if isinstance(member, Mapping)]
    return any(all(_fits(member, one) for one in inner) for member in members)


def _fits(document: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    values = list(_values(document, wanted["Name"]))
    kind, given = wanted.get("Operator", "Equals"), wanted.get("Value", "")
    if kind in ("Exists", "NotExists"):
        return bool(values) is (kind == "Exists")
    if kind == "NotEquals":
        return all(_text(value) != given for value in values)
    if kind in _ORDERS:
        return any(_in_order(value, given, _ORDERS[kind]) for value in values)
    texts = [_text(value) for value in values]
    if kind == "Contains":
        return any(given in text for text in texts)
    if kind == "In":
        return bool({part.strip() for part in given.split(",")} & set(texts))
    return given in texts


def _values(document: Any, path: str) -> Iterator[Any]:
    """Yield what lies at a path. `Tags.KEY` is the value of that tag, whatever is in the key."""
    if path.startswith(TAG) and isinstance(document, Mapping):
        wanted = path.removeprefix(TAG)
        yield from (tag["Value"] for tag in document.get("Tags", ()) if tag["Key"] == wanted)
        return
    name, _, rest = path.partition(".")
    if not isinstance(document, Mapping) or document.get(name) is None:
        return
    found = document[name]
    for value in found if isinstance(found, list | tuple) else [found]:
        if rest:
            yield from _values(value, rest)
        else:
            yield value


def _in_order(value: Any, given: str, order: Callable[[Any, Any], bool]) -> bool:
    try:
        if isinstance(value, datetime):
            moment = datetime.fromisoformat(given)
            return order(value, moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        if isinstance(value, int | float):
            return order(value, float(given))
    except ValueError as error:
        raise InvalidInput(f"{given[:80]!r} cannot be compared with {_text(value)!r}: {error}") from error
    return order(_text(value), given)


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value).lower() if isinstance(value, bool) else str(value)
