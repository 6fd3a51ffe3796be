"""Rows that are hard for some trees: on their thresholds, beside them, and all else that is accepted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from modelport.domain.signature import Feature, Signature
from modelport.runtime.session import Matrix
from modelport.runtime.trees.arrangement import Arrangement
from modelport.runtime.trees.ensemble import Ensemble

Floats = NDArray[np.float64]
NEAR = 0.1  # of the range of the thresholds: how far from one an ordinary number is


def hard_rows(ensemble: Ensemble, arranged: Arrangement, signature: Signature, count: int) -> Matrix:
    """Return rows that the model accepts, always the same ones.

    Args:
        ensemble: The trees.
        arranged: What happens to a row before them.
        signature: What the model takes.
        count: How many.

    Returns:
        float64 `[count, features]`.
    """
    asked = _thresholds(ensemble, arranged)
    everything = np.concatenate([*asked.values(), np.empty(0)])
    random = np.random.default_rng(0)
    columns = [
        _column(each, asked.get(feature, everything), random, count)
        for feature, each in enumerate(signature.features)
    ]
    return np.ascontiguousarray(np.stack(columns, axis=1))


def _thresholds(ensemble: Ensemble, arranged: Arrangement) -> dict[int, Floats]:
    """Return the numbers that trees ask about, for each feature that they look at itself."""
    asked: dict[int, list[Floats]] = {}
    order = np.argsort(ensemble.feature, kind="stable")
    bounds = np.flatnonzero(np.diff(ensemble.feature[order], prepend=-1))
    for some in np.split(order, bounds)[1:]:
        source = arranged.sources[int(ensemble.feature[some[0]])]
        numbers = ensemble.threshold[some]
        members = [ensemble.members[node] for node in some[np.isnan(numbers)].tolist()]
        if source.values is None and arranged.before is None:
            asked.setdefault(source.feature, []).append(
                np.concatenate([numbers[~np.isnan(numbers)], *members])
            )
    return {feature: np.unique(np.concatenate(parts)) for feature, parts in asked.items()}


def _column(feature: Feature, thresholds: Floats, random: np.random.Generator, count: int) -> Floats:
    """Return values of one feature: codes where it has a vocabulary, else numbers around its thresholds."""
    if feature.vocabulary is not None:
        codes = len(feature.vocabulary) + feature.unknown + feature.missing
        values = random.integers(0, max(1, codes), count).astype(np.float64)
        if feature.missing and not feature.unknown:
            values[values == feature.unknown_code] = feature.missing_code
        return values
    known = thresholds[np.isfinite(thresholds)]
    if not len(known):
        known = np.array([feature.seen_min or 0.0, feature.seen_max or 1.0])
    at = random.choice(known, count)
    near = at + (float(known.max() - known.min()) or 1.0) * NEAR * random.normal(size=count)
    kind = random.integers(0, 16, count)
    values = np.select(
        [kind < 5, kind < 7, kind < 9, kind < 14],
        [at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf), near],
        np.where(kind == 14, np.inf, -np.inf),
    )
    values = np.clip(values, feature.lower, feature.upper)
    if feature.missing:
        values[random.random(count) < 0.08] = np.nan
    return values
