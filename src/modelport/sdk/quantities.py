"""Rates and times as people write them."""

from __future__ import annotations

import math
import re

from modelport.domain.errors import InvalidInput

RATE = re.compile(r"([0-9][0-9,_]*(?:\.[0-9]+)?)\s*(k?)\s*(?:/\s*(s|min|h))?", re.IGNORECASE)
TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(us|µs|ms|s)?", re.IGNORECASE)
PER = {"s": 1.0, "min": 60.0, "h": 3600.0}
MILLISECONDS = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}


def parse_rate(text: str) -> float:
    """Return requests per second: `2000/s`, `2000`, `2k/s`, `90000/min`.

    Raises:
        InvalidInput: It is no such rate above 0.
    """
    match = RATE.fullmatch(text.strip())
    value = math.nan
    if match is not None:
        number = float(match[1].replace(",", "").replace("_", ""))
        value = number * (1000.0 if match[2] else 1.0) / PER[(match[3] or "s").lower()]
    if not 0.0 < value < math.inf:
        raise InvalidInput(f"found {text!r}, expected a rate above 0", hint="write 2000/s or 90000/min")
    return value


def parse_milliseconds(text: str) -> float:
    """Return milliseconds: `20ms`, `0.5s`, `800us`; a bare number is milliseconds.

    Raises:
        InvalidInput: It is no such time above 0.
    """
    match = TIME.fullmatch(text.strip())
    value = math.nan if match is None else float(match[1]) * MILLISECONDS[(match[2] or "ms").lower()]
    if not 0.0 < value < math.inf:
        raise InvalidInput(f"found {text!r}, expected a time above 0", hint="write 20ms or 0.5s")
    return value
