"""The rows a converted model is proven on: real ones, recombined ones, and the ones that break conversions.

Rows are held by column, by feature name: float64 with NaN for a missing value; for words (features with
a vocabulary, strings) objects with None for a missing value. Everything is drawn from one seed, so that the
same model and example give the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport.domain.errors import InvalidInput
from modelport.domain.signature import Feature, FeatureType, Signature

Column = NDArray[Any]
Columns = dict[str, Column]
ROWS_MAX = 20_000
CELLS_MAX = 4_000_000  # wide models get fewer rows
ROWS_MIN = 400
SEED = 20130101
FLOAT32_MAX = float(np.finfo(np.float32).max)
FLOAT32_OVERFLOW = 3.4028235677973366e38  # the smallest double that rounds to infinity
SHARES = {"example": 0.25, "drawn": 0.15, "special": 0.15, "category": 0.15, "threshold": 0.30}


class Origin(StrEnum):
    """Where a probe row comes from."""

    EXAMPLE = "example"
    DRAWN = "drawn"
    SPECIAL = "special"
    CATEGORY = "category"
    THRESHOLD = "threshold"


@dataclass(frozen=True, slots=True)
class Probes:
    """Rows to ask both models.

    Args:
        columns: Feature name to values, `[N]` each.
        origin: Where each row comes from, `[N]`.
        private: Which rows hold values of the example beyond what the signature tells, bool `[N]`.
    """

    columns: Columns
    origin: NDArray[np.str_]
    private: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.origin)

    def take(self, rows: NDArray[np.intp]) -> Probes:
        """Return some of the rows, in the order asked."""
        return Probes(
            {name: column[rows] for name, column in self.columns.items()},
            self.origin[rows],
            self.private[rows],
        )


def holds_words(feature: Feature) -> bool:
    """Return whether a column of this feature is held as objects rather than as float64."""
    return feature.vocabulary is not None or feature.type in {FeatureType.STRING, FeatureType.CATEGORY}


def accepts(feature: Feature, value: object) -> bool:
    """Return whether the signature takes this value (None or NaN: a missing one)."""
    if not feature.used:
        return True
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return feature.missing
    inside = not isinstance(value, int | float) or feature.lower <= value <= feature.upper
    if holds_words(feature):
        return value in (feature.vocabulary or ()) or (feature.unknown and inside)
    return inside


def make_probes(
    signature: Signature,
    example: Columns,
    thresholds: Mapping[str, NDArray[np.float64]],
    *,
    example_data: bool = True,
    rows_max: int = ROWS_MAX,
    seed: int = SEED,
) -> Probes:
    """Return rows to ask both models.

    Args:
        signature: The model's.
        example: Rows of the training data, at least one; features that are absent here are not asked.
        thresholds: Feature name to raw values on which a tree splits, or near which it does.
        example_data: Adversarial values stand in rows of the example; otherwise in made-up ones.
        rows_max: Most rows; wide models get fewer, so that there are at most four million values.
        seed: Of everything that is drawn.

    Raises:
        InvalidInput: The example is empty.
    """
    rows = len(next(iter(example.values()), ()))
    if rows == 0:
        raise InvalidInput("the example has no rows, expected at least one", hint="pass X_train.head(100)")
    maker = _Maker(signature, example, rows, np.random.default_rng(seed), example_data=example_data)
    budget = min(rows_max, max(ROWS_MIN, CELLS_MAX // max(1, len(signature.features))))
    share = {kind: int(budget * part) for kind, part in SHARES.items()}
    blocks = [
        maker.example_rows(share["example"]),
        maker.drawn_rows(min(share["drawn"], max(200, 4 * rows))),
        maker.rows_with(Origin.SPECIAL, special_values, share["special"]),
        maker.rows_with(Origin.CATEGORY, category_values, share["category"]),
        *maker.threshold_rows(thresholds, share["threshold"]),
    ]
    return _join(blocks)


def special_values(feature: Feature) -> list[Any]:
    """Return the values of a feature at which arithmetic and formats go wrong; words only a missing one."""
    if holds_words(feature):
        return [None]
    if feature.type is FeatureType.BOOL:
        return [math.nan, 0.0, 1.0]
    if feature.type is FeatureType.DATETIME:
        return [math.nan]
    if feature.type is FeatureType.INT64:
        return [math.nan, 0.0, 1.0, -1.0, 2.0**24 + 1, 2.0**31, -(2.0**31), 2.0**53]
    return [
        *(math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 0.1, 2.0**24 + 1, 1e300, -1e300),
        *(5e-324, -5e-324, float(np.finfo(np.float32).tiny) / 4, FLOAT32_MAX, -FLOAT32_MAX),
        *(math.nextafter(FLOAT32_OVERFLOW, 0), FLOAT32_OVERFLOW, -FLOAT32_OVERFLOW),
    ]


def category_values(feature: Feature) -> list[Any]:
    """Return every known word, near misses of one, and words nobody knows."""
    if not holds_words(feature):
        return []
    known = list(feature.vocabulary or ())
    if known and all(isinstance(value, bool) for value in known):
        return known
    numbers = [float(value) for value in known if isinstance(value, int | float)]
    if known and len(numbers) == len(known):
        exact = all(isinstance(value, int) for value in known)
        beyond = [max(numbers) + 1, min(numbers) - 1]
        beyond += [2.0**53] if exact else [max(numbers) + 0.5, 1e300, math.inf, -math.inf]
        return known + [int(value) if exact else value for value in beyond]
    words = [str(value) for value in known]
    near = [form for word in words[:1] for form in (f" {word}", f"{word} ", word.swapcase(), f"0{word}")]
    odd = ["", " ", "nan", "None", "NaN", "null", "0", "modelport-has-never-seen-this", "\N{SNOWMAN}"]
    return words + [word for word in dict.fromkeys(near + odd) if word not in words]


def near_threshold(values: NDArray[np.float64], feature: Feature) -> NDArray[np.float64]:
    """Return values on thresholds and next to them, in double and as a float32 model sees them.

    A model that rounds its input to float32 goes the other way where the rounding does: at the middle
    between two float32 numbers.

    Args:
        values: Raw values on or near a split, float64 `[T]`.
        feature: Whose values.

    Returns:
        float64, distinct and rising.
    """
    values = values[np.isfinite(values)]
    if feature.type in {FeatureType.INT64, FeatureType.DATETIME}:
        return np.unique(np.concatenate([np.floor(values), np.ceil(values)]))
    if feature.type is FeatureType.BOOL:
        return np.empty(0)
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
        above, below = np.nextafter(single, np.float32(np.inf)), np.nextafter(single, np.float32(-np.inf))
    wide = [each.astype(np.float64) for each in (below, single, above)]
    middles = [(wide[0] + wide[1]) / 2, (wide[1] + wide[2]) / 2]
    exact = [values, *wide, *middles]
    around = [np.nextafter(each, way) for each in (values, *middles) for way in (np.inf, -np.inf)]
    near = np.concatenate([*exact, *around])
    return np.unique(near[np.isfinite(near)])


class _Maker:
    """Draws blocks of rows.

    Args:
        signature: The model's.
        example: Rows of the training data.
        rows: How many there are, at least one.
        random: Where chance comes from.
        example_data: Adversarial values stand in example rows.
    """

    def __init__(
        self,
        signature: Signature,
        example: Columns,
        rows: int,
        random: np.random.Generator,
        *,
        example_data: bool,
    ) -> None:
        self._features = tuple(each for each in signature.features if each.name in example)
        self._example = example
        self._rows = rows
        self._random = random
        self._private = example_data
        self._context = example if example_data else self._made_up(ROWS_MIN)

    def example_rows(self, count: int) -> Probes:
        """Return the example, or a sample of it in its own order."""
        rows = np.arange(self._rows)
        if self._rows > count:
            rows = np.sort(self._random.choice(self._rows, size=count, replace=False))
        return self._block(self._take(self._example, rows), Origin.EXAMPLE, private=True)

    def drawn_rows(self, count: int) -> Probes:
        """Return rows whose columns come from different rows of the context."""
        size = len(next(iter(self._context.values())))
        columns = {
            name: column[self._random.integers(0, size, count)] for name, column in self._context.items()
        }
        return self._block(columns, Origin.DRAWN, private=self._private)

    def rows_with(self, origin: Origin, values: Callable[[Feature], Sequence[Any]], count: int) -> Probes:
        """Return rows with one such value each, and then rows made of nothing but such values."""
        found = {feature.name: list(values(feature)) for feature in self._features if feature.used}
        single = [(name, value) for name, some in found.items() for value in some]
        taken = {
            feature.name: [value for value in found.get(feature.name, ()) if accepts(feature, value)]
            for feature in self._features
        }
        mixed = min(count // 4, 8 * max(map(len, taken.values()), default=0))
        blocks = [self._one_each(origin, self._sample(single, count - mixed))]
        if mixed:
            columns = self._contexts(mixed)
            for name, some in taken.items():
                if some:
                    columns[name] = self._pick(some, mixed, like=columns[name])
            blocks.append(self._block(columns, origin, private=self._private))
        return _join(blocks)

    def threshold_rows(self, thresholds: Mapping[str, NDArray[np.float64]], count: int) -> Iterator[Probes]:
        """Return rows with one value on or near a split, and rows in which every value is such a one."""
        near: Columns = {}
        for feature in self._features:
            values = np.unique(np.asarray(thresholds.get(feature.name, ()), dtype=np.float64))
            if holds_words(feature) or values.size == 0:
                continue
            if values.size > count:
                values = self._random.choice(values, size=count, replace=False)
            some = near_threshold(values, feature)
            some = some[(some >= feature.lower) & (some <= feature.upper)]
            if some.size:
                near[feature.name] = some
        if not near:
            return
        half = count // 2
        single = [(name, value) for name, some in near.items() for value in self._at_most(some, half)]
        yield self._one_each(Origin.THRESHOLD, self._sample(single, half))
        longest = min(half, max(len(some) for some in near.values()))
        columns = self._contexts(longest)
        for name, some in near.items():
            shuffled = self._random.permutation(some)
            columns[name] = np.resize(shuffled, longest)
        yield self._block(columns, Origin.THRESHOLD, private=self._private)

    def _one_each(self, origin: Origin, changes: Sequence[tuple[str, Any]]) -> Probes:
        columns = self._contexts(len(changes))
        for row, (name, value) in enumerate(changes):
            columns[name][row] = value
        return self._block(columns, origin, private=self._private)

    def _contexts(self, count: int) -> Columns:
        size = len(next(iter(self._context.values())))
        return self._take(self._context, self._random.integers(0, size, count))

    def _take(self, columns: Columns, rows: NDArray[Any]) -> Columns:
        return {name: column[rows] for name, column in columns.items()}

    def _sample(self, some: list[Any], count: int) -> list[Any]:
        if len(some) <= count:
            return some
        chosen = self._random.choice(len(some), size=count, replace=False)
        return [some[index] for index in np.sort(chosen)]

    def _at_most(self, some: Column, count: int) -> Column:
        return some if len(some) <= count else self._random.choice(some, size=count, replace=False)

    def _pick(self, some: list[Any], count: int, *, like: Column) -> Column:
        column = np.empty(count, dtype=like.dtype)
        for row, index in enumerate(self._random.integers(0, len(some), count).tolist()):
            column[row] = some[index]
        return column

    def _block(self, columns: Columns, origin: Origin, *, private: bool) -> Probes:
        count = len(next(iter(columns.values())))
        return Probes(columns, np.full(count, origin.value, dtype="<U9"), np.full(count, private))

    def _made_up(self, count: int) -> Columns:
        """Return rows that tell nothing but the signature."""
        columns: Columns = {}
        for feature in self._features:
            if holds_words(feature):
                known = [*(feature.vocabulary or ("",)), *([None] if feature.missing else [])]
                columns[feature.name] = self._pick(known, count, like=np.empty(0, dtype=object))
                continue
            low = feature.seen_min if feature.seen_min is not None else 0.0
            high = feature.seen_max if feature.seen_max is not None else 1.0
            column = low + (high - low) * self._random.random(count)
            if feature.type is not FeatureType.DOUBLE:
                column = np.round(column)
            if feature.missing and feature.used:
                column[self._random.random(count) < 0.05] = np.nan
            columns[feature.name] = np.clip(column, low, high)
        return columns


def _join(blocks: Sequence[Probes]) -> Probes:
    return Probes(
        {name: np.concatenate([block.columns[name] for block in blocks]) for name in blocks[0].columns},
        np.concatenate([block.origin for block in blocks]),
        np.concatenate([block.private for block in blocks]),
    )
