"""Rows made up from a signature: they tell nothing but what it tells, and every one of them is accepted."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from modelport.domain.signature import Feature, FeatureType, Signature

SEED = 20130101
DECIMALS = 4
FIRST_MOMENT = datetime(2013, 1, 1, tzinfo=UTC)
YEAR_S = 365 * 86_400


def invent_rows(signature: Signature, count: int, *, seed: int = SEED) -> list[Any]:
    """Return rows as they are written in JSON.

    Args:
        signature: Its types, vocabularies, bounds and seen ranges are kept.
        count: How many.
        seed: The same gives the same rows.

    Returns:
        Lists (nested by `row_shape`) for a model trained on a matrix; otherwise objects by feature name.
    """
    chance = random.Random(seed)  # noqa: S311 - made-up rows, not secrets
    rows: list[Any] = []
    for _ in range(count):
        values = [_value(feature, chance) for feature in signature.features]
        if signature.matrix:
            rows.append(_nested(values, signature.row_shape))
        else:
            names = (feature.name for feature in signature.features)
            rows.append(dict(zip(names, values, strict=True)))
    return rows


def _value(feature: Feature, chance: random.Random) -> Any:
    if feature.vocabulary:
        return chance.choice(feature.vocabulary)
    if feature.type is FeatureType.BOOL:
        return chance.random() < 0.5
    if feature.type is FeatureType.DATETIME:
        moment = FIRST_MOMENT + timedelta(seconds=chance.randrange(YEAR_S))
        return moment.strftime("%Y-%m-%dT%H:%M:%S")
    if feature.type in (FeatureType.STRING, FeatureType.CATEGORY):
        return "a"
    low, high = _range(feature)
    number = low + (high - low) * chance.random()
    if feature.type is FeatureType.INT64:
        return min(max(round(number), math.ceil(low)), math.floor(high))
    return min(max(round(number, DECIMALS), low), high)


def _range(feature: Feature) -> tuple[float, float]:
    """Return where numbers are drawn from: what was seen, else from 0 to 1; within the bounds."""
    low = 0.0 if feature.seen_min is None else feature.seen_min
    high = 1.0 if feature.seen_max is None else feature.seen_max
    low, high = max(low, feature.lower), min(high, feature.upper)
    if low <= high:
        return low, high
    nearest = feature.lower if math.isfinite(feature.lower) else feature.upper
    return nearest, nearest


def _nested(values: list[Any], shape: tuple[int, ...] | None) -> list[Any]:
    for size in reversed((shape or ())[1:]):
        values = [values[at : at + size] for at in range(0, len(values), size)]
    return values
