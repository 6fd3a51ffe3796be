"""The signature's rules: what the original refuses, feature by feature, and where its trees turn.

The original is asked wherever one question settles it. How large a number may be is found on our own copy of
the preprocessing, and the original is asked about the first number beyond.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport.domain.signature import Feature, FeatureType, Signature
from modelport.formats.elementwise import DOUBLE, SINGLE, Chain, Operation
from modelport.formats.emission import Emission
from modelport.formats.inversion import LARGEST, finite_range, raw_thresholds
from modelport.formats.scikit.acceptance import accepted_row, accepting
from modelport.formats.scikit.original import SklearnOriginal, holds_words
from modelport.formats.scikit.walk import Walk, quiet, unknown_value
from modelport.formats.tabular import INT64_END

LARGEST_EXPONENT = 1024
NEVER_OVERFLOW = {"fill", DOUBLE}
ROWS_MAX = 1000  # of the example are enough to start from
SIDES = (-1, 1)
Bounds = dict[str, dict[int, float]]


class Rules:
    """What one original accepts.

    Args:
        model: Fitted.
        original: The model, asked by column.
        walk: What the walk found out.
        emission: Columns as the model sees them.
        signature: Names, types and vocabularies.
        example: The user's rows.
    """

    def __init__(
        self,
        model: Any,
        original: SklearnOriginal,
        walk: Walk,
        emission: Emission,
        signature: Signature,
        example: Any,
    ) -> None:
        self._model = model
        self._original = original
        self._walk = walk
        self._emission = emission
        self._features = signature.features
        self._place = {feature.name: place for place, feature in enumerate(signature.features)}
        self._columns = original.columns(example[:ROWS_MAX])
        self._row = accepted_row(lambda row: original.answer(original.build(row)), self._columns)

        self._alike = {
            feature.name: (feature.type, feature.vocabulary is None, *self._steps_of(place))
            for place, feature in enumerate(signature.features)
        }

    def features(self, units: Mapping[str, str]) -> tuple[Feature, ...]:
        """Return the features with what the original accepts.

        Args:
            units: Feature name to unit.
        """
        used = [feature for feature in self._features if feature.used]
        missing = self._accepting(dict.fromkeys((feature.name for feature in used), None))
        unknown = self._accepting(
            {
                feature.name: unknown_value(feature.vocabulary or ())
                for feature in used
                if holds_words(feature)
            }
        )
        bounds = self._bounds([feature for feature in used if _is_number(feature)])
        found = []
        for place, feature in enumerate(self._features):
            changed = replace(feature, unit=units.get(feature.name))
            if feature.used:
                sides = bounds.get(feature.name, {})
                changed = replace(
                    changed,
                    missing=feature.name in missing and place not in self._walk.refused_missing,
                    unknown=_may_be_unknown(feature, unknown) and place not in self._walk.refused_unknown,
                    lower=sides.get(-1, -math.inf),
                    upper=sides.get(1, math.inf),
                )
            found.append(changed)
        return tuple(found)

    def thresholds(self, features: tuple[Feature, ...]) -> dict[str, NDArray[np.float64]]:
        """Return the raw values on and around which a tree turns, by feature."""
        found: dict[str, list[NDArray[np.float64]]] = {}
        for splits in self._emission.splits:
            feature = features[splits.chain.feature]
            lower, upper = max(feature.lower, -LARGEST), min(feature.upper, LARGEST)
            raw = raw_thresholds(splits.chain, splits.thresholds, lower, upper)
            if len(raw):
                found.setdefault(feature.name, []).append(raw)
        return {name: np.unique(np.concatenate(some)) for name, some in found.items()}

    def _steps_of(self, place: int) -> list[tuple[str, ...]]:
        """Return which operations a feature goes through on its way to the model."""
        return sorted(
            tuple(operation.kind for operation in chain.operations)
            for chain in self._emission.seen
            if chain.feature == place
        )

    def _accepting(self, values: Mapping[str, Any]) -> set[str]:
        with quiet():
            return accepting(
                lambda row: self._model.predict(self._original.build(row)), self._row, values, self._alike
            )

    def _bounds(self, features: list[Feature]) -> Bounds:
        """Return the smallest and the largest accepted number of each feature."""
        endless = {side: self._accepting({each.name: side * math.inf for each in features}) for side in SIDES}
        bounds: Bounds = {each.name: {} for each in features}
        pending: dict[tuple[str, int], list[float]] = {}
        for feature in features:
            ranges = self._candidates(feature)
            for side in SIDES:
                ends = sorted({low if side < 0 else high for low, high in ranges}, key=abs)
                pending[feature.name, side] = [end for end in ends if abs(end) < LARGEST]
        while pending:
            for side in SIDES:
                asked = {name: ends for (name, where), ends in pending.items() if where == side and ends}
                taken = self._accepting(
                    {name: _beyond(self._feature(name), ends[0], side) for name, ends in asked.items()}
                )
                for name, ends in asked.items():
                    if name not in taken:
                        bounds[name][side] = ends[0]
                        del pending[name, side]
                    else:
                        pending[name, side] = ends[1:]
            for name, side in [key for key, ends in pending.items() if not ends]:
                bounds[name][side] = side * (math.inf if name in endless[side] else LARGEST)
                del pending[name, side]
        self._check_largest(bounds)
        for feature in features:
            self._tighten(feature, bounds[feature.name])
        return bounds

    def _check_largest(self, bounds: Bounds) -> None:
        """Ask about the largest numbers, which may overflow where our own copy does not see it."""
        for side in SIDES:
            asked = {name: side * LARGEST for name, sides in bounds.items() if sides[side] == side * LARGEST}
            for name in sorted(set(asked) - self._accepting(asked)):
                low, high = 0, LARGEST_EXPONENT
                while high - low > 1:
                    middle = (low + high) // 2
                    taken = self._accepting({name: side * 2.0**middle})
                    low, high = (middle, high) if taken else (low, middle)
                bounds[name][side] = side * 2.0**low

    def _candidates(self, feature: Feature) -> list[tuple[float, float]]:
        """Return the ranges in which each stage of the preprocessing stays finite."""
        chains = [chain for chain in self._emission.seen if self._reads(chain, feature)]
        place = self._place[feature.name]
        if self._walk.plan.layout.columns[place].single:
            chains.append(Chain(place, (Operation(SINGLE),)))  # encoders check it too
        stages = {
            (id(chain), length): Chain(chain.feature, chain.operations[:length])
            for chain in chains
            for length in range(1, len(chain.operations) + 1)
            if chain.operations[length - 1].kind not in NEVER_OVERFLOW
        }
        ranges = []
        for stage in stages.values():
            start = self._start(feature, [stage])
            if start is not None:
                ranges.append(finite_range([stage], start))
        return ranges

    def _tighten(self, feature: Feature, sides: dict[int, float]) -> None:
        """Keep what comes from several features finite, and give whole numbers no useless bounds."""
        limits = [chain for chain in self._emission.limits if self._reads(chain, feature)]
        start = self._start(feature, limits)
        if limits and start is not None:
            low, high = finite_range(limits, start)
            sides[-1], sides[1] = max(sides[-1], low), min(sides[1], high)
        if feature.type is FeatureType.INT64:
            for side in SIDES:
                if abs(sides[side]) >= INT64_END:
                    sides[side] = side * math.inf

    def _reads(self, chain: Chain, feature: Feature) -> bool:
        return chain.feature == self._place[feature.name]

    def _feature(self, name: str) -> Feature:
        return self._features[self._place[name]]

    def _start(self, feature: Feature, chains: list[Chain]) -> float | None:
        """Return a number of the example for which the chains are finite."""
        if holds_words(feature):
            return None
        values = np.unique(self._columns[feature.name])
        for chain in chains:
            values = values[np.isfinite(values) & np.isfinite(chain.compute(values))]
        return float(values[len(values) // 2]) if len(values) else None


def _is_number(feature: Feature) -> bool:
    """Return whether the feature has numbers that may be too large."""
    if feature.vocabulary is not None:
        return bool(feature.vocabulary) and all(
            isinstance(value, int | float) and not isinstance(value, bool) for value in feature.vocabulary
        )
    return feature.type in {FeatureType.DOUBLE, FeatureType.INT64}


def _beyond(feature: Feature, end: float, side: int) -> float:
    """Return the first number beyond a bound."""
    if feature.type is FeatureType.INT64:
        return float(math.floor(end) + 1 if side > 0 else math.ceil(end) - 1)
    return math.nextafter(end, side * math.inf)


def _may_be_unknown(feature: Feature, accepted: set[str]) -> bool:
    if feature.type is FeatureType.BOOL and set(feature.vocabulary or ()) == {True, False}:
        return False  # there is no third truth value
    return not holds_words(feature) or feature.name in accepted
