"""How far traffic has moved from the training data: the size of the effect first, then whether it is chance.

With few rows every distance looks large, with many every trifle is "significant". So each distance is
corrected for what chance alone gives at these row counts, put in words by its size, and called drift only
when chance would hardly give it. Below a minimum of rows there are words instead of numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from modelport.domain.signature import Value
from modelport.evaluation.baseline import Distribution, Numbers, count_bins

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
ROWS_MIN = 200
BASELINE_ROWS_MIN = 50
PSI_BOUNDS = (0.05, 0.1, 0.25)
SHARE_BOUNDS = (0.02, 0.05, 0.1)
FALSE_ALARM_RATE = 0.001  # of one report, over all its columns together
EXPECTED_ROWS_MIN = 5  # a bin that would hold fewer is merged: its share is mostly chance
SMOOTHING = 0.5
SHAPE_BINS = 24  # between the 1 % and 99 % points of the training data
SHAPE_MARGINS = 2  # as many such ranges again on each side, for traffic that lies beyond
SHAPE_SHOWN_MAX = 32
SHAPE_SHARE_MIN = 0.0005


class Effect(StrEnum):
    """How large a change is."""

    UNKNOWN = "unknown"
    NONE = "none"
    SMALL = "small"
    MODERATE = "moderate"
    LARGE = "large"

    @property
    def alarming(self) -> bool:
        """Return whether this is worth someone's time."""
        return self in {Effect.MODERATE, Effect.LARGE}


ORDER = tuple(Effect)


@dataclass(frozen=True, slots=True)
class Shape:
    """Two distributions side by side, for a picture.

    Args:
        edges: Numbers: rising edges of bins of equal width, one more than shares; values beyond them
            are counted in the outer bins. Empty for categories.
        values: Categories: what each share is of. Empty for numbers.
        expected: Share of the training rows that had a value.
        observed: Share of the traffic that had a value.
    """

    edges: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    expected: tuple[float, ...] = ()
    observed: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Drift:
    """How one column moved.

    Args:
        name: The feature, or the answer.
        rows: Rows of the traffic.
        baseline_rows: Rows of the training data.
        effect: The largest of the changes below, in a word.
        sentence: What happened, for people.
        psi: Population stability index, corrected for chance, at least 0; None with too few rows.
        wasserstein: Numbers only: how far values moved on average, in training standard deviations.
        jensen_shannon: Categories only: Jensen-Shannon distance, base 2, corrected for chance, 0 to 1.
        missing: Share of missing values now.
        baseline_missing: Share of missing values then.
        unseen: Categories only: share of values the training data did not have.
        shape: Both distributions; None with too few rows.
    """

    name: str
    rows: int
    baseline_rows: int
    effect: Effect
    sentence: str
    psi: float | None = None
    wasserstein: float | None = None
    jensen_shannon: float | None = None
    missing: float = 0.0
    baseline_missing: float = 0.0
    unseen: float | None = None
    shape: Shape | None = None


@dataclass(slots=True)
class Tally:
    """Traffic of one column, counted against the baseline as it comes; memory does not grow with rows.

    Args:
        baseline: The training data's distribution.
    """

    baseline: Distribution
    rows: int = 0
    missing: int = 0
    unseen: int = 0
    counts: Integers = field(init=False)
    fine: Integers = field(init=False)
    plain: Integers = field(init=False)
    finite: int = 0
    total: float = 0.0
    beyond: float = 0.0

    def __post_init__(self) -> None:
        numbers, categories = self.baseline.numbers, self.baseline.categories
        bins = len(numbers.counts) if numbers is not None else len(categories.counts) if categories else 0
        self.counts = np.zeros(bins, dtype=np.int64)
        self.fine = np.zeros(1 + (len(numbers.quantiles) if numbers is not None else 0), dtype=np.int64)
        self.plain = np.zeros(SHAPE_BINS * (1 + 2 * SHAPE_MARGINS), dtype=np.int64)

    def add(self, column: Floats) -> None:
        """Count a column of the serving matrix (numbers or codes), or of answers (numbers or label codes).

        Args:
            column: float64 `[N]`.
        """
        self.rows += len(column)
        if self.baseline.numbers is None:
            self._add_codes(column.astype(np.int64))
        else:
            self._add_numbers(column, self.baseline.numbers)

    def _add_codes(self, codes: Integers) -> None:
        known = len(self.counts)
        found = np.bincount(codes, minlength=known + 2)
        self.counts += found[:known]
        self.unseen += int(found[known])
        self.missing += int(found[known + 1])

    def _add_numbers(self, column: Floats, numbers: Numbers) -> None:
        present = column[~np.isnan(column)]
        self.missing += len(column) - len(present)
        self.counts += count_bins(numbers.edges, present)
        finite = present[np.isfinite(present)]
        self.finite += len(finite)
        self.total += float(finite.sum())
        if not numbers.quantiles or not finite.size:
            return
        self.fine += count_bins(numbers.quantiles, finite)
        first, last = numbers.quantiles[0], numbers.quantiles[-1]
        self.beyond += float(np.maximum(finite - last, 0).sum() + np.maximum(first - finite, 0).sum())
        edges = _plain_edges(numbers)
        self.plain += count_bins(tuple(edges[1:-1].tolist()), finite)


def measure_drift(tally: Tally, *, columns: int = 1, unit: str | None = None) -> Drift:
    """Return how far a column moved.

    Args:
        tally: The traffic, counted.
        columns: How many columns the report has: the more, the stronger the evidence each must give.
        unit: Of its numbers, for the sentence.
    """
    baseline = tally.baseline
    short = _too_few(tally)
    if short is not None:
        return Drift(baseline.name, tally.rows, baseline.rows, Effect.UNKNOWN, short)
    alpha = FALSE_ALARM_RATE / columns
    missing, baseline_missing = tally.missing / tally.rows, baseline.missing / baseline.rows
    changes = [_missing_change(tally, alpha)]
    psi = wasserstein = distance = unseen = None
    expected, observed = _cells(tally)
    if expected.sum() and observed.sum():
        psi, noise, sure = _psi(expected, observed, alpha)
        effect = _word(psi, PSI_BOUNDS) if sure else Effect.NONE
        told = f"PSI {psi:.2f}"
        if baseline.numbers is not None:
            wasserstein = _wasserstein(tally, baseline.numbers)
            told += _means(tally, baseline.numbers, unit)
        else:
            distance = _jensen_shannon(expected, observed, noise)
            unseen = tally.unseen / tally.rows
            told += _biggest_change(tally)
        changes.append((effect, told))
    worst = max(changes, key=lambda change: ORDER.index(change[0]))[0]
    told = "; ".join(told for effect, told in changes if effect is not Effect.NONE)
    return Drift(
        name=baseline.name,
        rows=tally.rows,
        baseline_rows=baseline.rows,
        effect=worst,
        sentence=f"{worst} drift: {told}" if worst is not Effect.NONE else "no drift",
        psi=psi,
        wasserstein=wasserstein,
        jensen_shannon=distance,
        missing=missing,
        baseline_missing=baseline_missing,
        unseen=unseen,
        shape=_shape(tally),
    )


def _too_few(tally: Tally) -> str | None:
    if tally.rows < ROWS_MIN:
        return f"too few rows: {tally.rows} of {ROWS_MIN} needed"
    if tally.baseline.rows < BASELINE_ROWS_MIN:
        return f"too few training rows: {tally.baseline.rows} of {BASELINE_ROWS_MIN} needed"
    return None


def _word(size: float, bounds: tuple[float, float, float]) -> Effect:
    small, moderate, large = bounds
    if size >= large:
        return Effect.LARGE
    if size >= moderate:
        return Effect.MODERATE
    return Effect.SMALL if size >= small else Effect.NONE


def _cells(tally: Tally) -> tuple[Integers, Integers]:
    """Return both counts in cells that hold enough rows to compare; the small ones are one cell."""
    baseline = tally.baseline
    if baseline.categories is not None:
        expected = np.array([*baseline.categories.counts, baseline.categories.unknown], dtype=np.int64)
        observed = np.append(tally.counts, tally.unseen)
    else:
        counts = baseline.numbers.counts if baseline.numbers is not None else ()
        expected, observed = np.array(counts, dtype=np.int64), tally.counts
    pooled = expected + observed
    rows = min(int(expected.sum()), int(observed.sum()))
    small = pooled * rows < EXPECTED_ROWS_MIN * pooled.sum()
    if not small.any():
        return expected, observed
    return (
        np.append(expected[~small], expected[small].sum()),
        np.append(observed[~small], observed[small].sum()),
    )


def _psi(expected: Integers, observed: Integers, alpha: float) -> tuple[float, float, bool]:
    """Return (PSI corrected for chance, what chance gives on average, more than chance gives).

    Without drift PSI divided by 1/n + 1/m follows chi-squared with one degree less than there are cells.

    Source: Yurdakul and Naranjo (2020), "Statistical properties of the population stability index".
    """
    then, now = _smooth(expected), _smooth(observed)
    psi = float(((now - then) * np.log(now / then)).sum())
    scale = 1 / int(expected.sum()) + 1 / int(observed.sum())
    freedom = len(expected) - 1
    noise = freedom * scale
    sure = freedom > 0 and psi > _chi_squared(freedom, alpha) * scale
    return max(0.0, psi - noise), noise, sure


def _smooth(counts: Integers) -> Floats:
    smooth: Floats = (counts + SMOOTHING) / (counts.sum() + SMOOTHING * len(counts))
    return smooth


def _chi_squared(freedom: int, alpha: float) -> float:
    """Return what chi-squared exceeds with probability `alpha`.

    Source: Wilson and Hilferty (1931).
    """
    spread = 2 / (9 * freedom)
    return freedom * float((1 - spread + NormalDist().inv_cdf(1 - alpha) * math.sqrt(spread)) ** 3)


def _jensen_shannon(expected: Integers, observed: Integers, noise: float) -> float:
    """Return the distance, base 2; for small changes the divergence is an eighth of PSI, so its noise too."""
    then, now = _smooth(expected), _smooth(observed)
    middle = (then + now) / 2
    divergence = float((then * np.log(then / middle) + now * np.log(now / middle)).sum()) / 2
    return math.sqrt(max(0.0, divergence - noise / 8) / math.log(2))


def _wasserstein(tally: Tally, numbers: Numbers) -> float | None:
    """Return the area between both cumulative curves, in training standard deviations."""
    if numbers.deviation <= 0 or not tally.finite:
        return None
    points = np.array(numbers.quantiles)
    then = np.linspace(0, 1, len(points))
    now = np.cumsum(tally.fine)[:-1] / tally.finite
    gaps = np.abs(now - then)
    inside = float((np.diff(points) * (gaps[1:] + gaps[:-1]) / 2).sum())
    return (inside + tally.beyond / tally.finite) / numbers.deviation


def _missing_change(tally: Tally, alpha: float) -> tuple[Effect, str]:
    baseline = tally.baseline
    now, then = tally.missing / tally.rows, baseline.missing / baseline.rows
    pooled = (tally.missing + baseline.missing) / (tally.rows + baseline.rows)
    error = math.sqrt(pooled * (1 - pooled) * (1 / tally.rows + 1 / baseline.rows))
    if abs(now - then) <= NormalDist().inv_cdf(1 - alpha / 2) * error:
        return Effect.NONE, ""
    return _word(abs(now - then), SHARE_BOUNDS), f"missing values {_percent(then)} → {_percent(now)}"


def _means(tally: Tally, numbers: Numbers, unit: str | None) -> str:
    if not tally.finite or not numbers.quantiles:
        return ""
    of = f" {unit}" if unit else ""
    then, now = numbers.mean, tally.total / tally.finite
    digits = next((few for few in (3, 4, 5) if f"{then:.{few}g}" != f"{now:.{few}g}"), 5)
    return f", mean {then:.{digits}g} → {now:.{digits}g}{of}"


def _biggest_change(tally: Tally) -> str:
    words, then, now = _category_shares(tally)
    if not words:
        return ""
    place = int(np.abs(now - then).argmax())
    return f", {words[place]} {_percent(then[place])} → {_percent(now[place])}"


def _category_shares(tally: Tally) -> tuple[list[str], Floats, Floats]:
    categories = tally.baseline.categories
    if categories is None:
        return [], np.empty(0), np.empty(0)
    expected = np.array([*categories.counts, categories.unknown], dtype=np.float64)
    observed = np.append(tally.counts, tally.unseen).astype(np.float64)
    words = [*(_show(value) for value in categories.values), "(unseen)"]
    return words, expected / max(1.0, expected.sum()), observed / max(1.0, observed.sum())


def _shape(tally: Tally) -> Shape:
    numbers = tally.baseline.numbers
    if numbers is None:
        words, then, now = _category_shares(tally)
        return Shape(values=tuple(words), expected=tuple(then.tolist()), observed=tuple(now.tolist()))
    if not numbers.quantiles or not tally.finite:
        return Shape()
    edges = _plain_edges(numbers)
    levels = np.linspace(0, 1, len(numbers.quantiles))
    below = _share_below(edges, np.array(numbers.quantiles), levels)
    below[0], below[-1] = 0.0, 1.0
    then, now = np.diff(below), tally.plain / tally.finite
    some = np.flatnonzero((then > SHAPE_SHARE_MIN) | (now > SHAPE_SHARE_MIN))
    first, last = int(some[0]), int(some[-1]) + 1
    width = -(-(last - first) // SHAPE_SHOWN_MAX)  # neighbours are added up where there are too many
    starts = np.arange(first, last, width)
    stop = int(starts[-1]) + width
    if stop > len(then):
        starts, stop = starts - (stop - len(then)), len(then)
    places = np.append(starts, stop)
    below, upto = np.append(0.0, np.cumsum(then)), np.append(0.0, np.cumsum(now))
    below[places[0]] = upto[places[0]] = 0.0  # the few beyond are counted in the outer bins
    below[places[-1]] = upto[places[-1]] = 1.0
    return Shape(
        edges=tuple(edges[places].tolist()),
        expected=tuple(np.diff(below[places]).tolist()),
        observed=tuple(np.diff(upto[places]).tolist()),
    )


def _share_below(edges: Floats, quantiles: Floats, levels: Floats) -> Floats:
    """Return the training share below each edge, straight between quantiles and a step at equal ones."""
    places = np.searchsorted(quantiles, edges, side="left")
    inside = np.clip(places, 1, len(quantiles) - 1)
    left, right = quantiles[inside - 1], quantiles[inside]
    part = np.where(right > left, (edges - left) / np.where(right > left, right - left, 1), 0)
    shares = levels[inside - 1] + np.clip(part, 0, 1) * (levels[inside] - levels[inside - 1])
    return np.asarray(np.where(places == 0, 0.0, shares), dtype=np.float64)


def _plain_edges(numbers: Numbers) -> Floats:
    """Return edges of equal width around the 1 % to the 99 % point."""
    first, last = numbers.quantiles[1], numbers.quantiles[-2]
    if first == last:
        first, last = first - 0.5, last + 0.5
    room = SHAPE_MARGINS * (last - first)
    return np.linspace(first - room, last + room, SHAPE_BINS * (1 + 2 * SHAPE_MARGINS) + 1)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _show(value: Value) -> str:
    return repr(value) if isinstance(value, str) else str(value)
