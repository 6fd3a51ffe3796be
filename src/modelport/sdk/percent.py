"""Shares as people write them."""

from __future__ import annotations

from modelport.domain.errors import InvalidInput


def parse_percent(value: str | float, *, what: str) -> float:
    """Return a share in percent, 0 to 100.

    Args:
        value: `"10%"`, `"10"` or `10`: all mean ten percent.
        what: The noun for the message, for example "traffic".

    Raises:
        InvalidInput: It is no number from 0 to 100.
    """
    text = value.strip().removesuffix("%") if isinstance(value, str) else value
    try:
        number = float(text)
    except (TypeError, ValueError):
        number = -1.0
    if isinstance(value, bool) or not 0.0 <= number <= 100.0:
        raise InvalidInput(f"{what} is {value!r}, expected a share from 0% to 100%", hint=f"write {what} 10%")
    return number
