"""How sure a measured number is: an estimate with the interval that holds it in 95 of 100 repetitions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Measure = Callable[[NDArray[np.int64]], Floats]
CONFIDENCE = 0.95
BOOTSTRAP_REPEATS = 500
SEED = 20130101


@dataclass(frozen=True, slots=True)
class Estimate:
    """One measured number and how far the truth may lie from it.

    Args:
        value: The number.
        lower: Lower end of the interval.
        upper: Upper end of the interval.
        rows: Rows it was measured on.
        method: How the interval was made, in a few words.
    """

    value: float
    lower: float
    upper: float
    rows: int
    method: str


@dataclass(frozen=True, slots=True)
class Difference:
    """How much one number exceeds another, with its interval.

    Args:
        value: The first number minus the second.
        lower: Lower end of the interval.
        upper: Upper end of the interval.
    """

    value: float
    lower: float
    upper: float

    @property
    def sign(self) -> Literal[-1, 0, 1]:
        """Return which number is surely the larger: 1 the first, -1 the second, 0 not sure."""
        if self.lower > 0:
            return 1
        return -1 if self.upper < 0 else 0


def quantile(confidence: float = CONFIDENCE) -> float:
    """Return how many standard errors a two-sided interval of this confidence reaches."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def estimate_share(successes: int, rows: int, *, confidence: float = CONFIDENCE) -> Estimate:
    """Return a share of rows with Wilson's score interval, which holds for small and extreme shares.

    Args:
        successes: Rows that count, 0 to `rows`.
        rows: All rows, at least 1.
        confidence: Between 0 and 1.

    Source: Wilson (1927), J. Am. Stat. Assoc. 22.
    """
    z = quantile(confidence)
    share = successes / rows
    scale = 1 + z * z / rows
    centre = (share + z * z / (2 * rows)) / scale
    half = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows)) / scale
    lower, upper = max(0.0, centre - half), min(1.0, centre + half)
    return Estimate(share, min(lower, share), max(upper, share), rows, "Wilson")


def estimate_mean(values: Floats, *, least: float = -math.inf, confidence: float = CONFIDENCE) -> Estimate:
    """Return a mean with its normal interval.

    Args:
        values: One number per row, shape [n], n at least 1.
        least: What the mean cannot fall below, for example 0 for a loss.
        confidence: Between 0 and 1.
    """
    rows = len(values)
    mean = float(values.mean())
    half = quantile(confidence) * _standard_error(values)
    return Estimate(mean, max(least, mean - half), mean + half, rows, "normal")


def estimate_root(squares: Floats, *, confidence: float = CONFIDENCE) -> Estimate:
    """Return the square root of a mean of squares, with the root of its normal interval.

    Args:
        squares: One squared error per row, shape [n], n at least 1.
        confidence: Between 0 and 1.
    """
    mean = estimate_mean(squares, least=0.0, confidence=confidence)
    return Estimate(
        math.sqrt(mean.value), math.sqrt(mean.lower), math.sqrt(mean.upper), mean.rows, "normal, on squares"
    )


def estimate_auc(scores: Floats, positive: NDArray[np.bool_], *, confidence: float = CONFIDENCE) -> Estimate:
    """Return the area under the ROC curve with DeLong's interval on the logit scale.

    Args:
        scores: Score of the positive class per row, shape [n]; ties count half.
        positive: Which rows are positive, shape [n]; both kinds must occur.
        confidence: Between 0 and 1.

    Source: DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44; computed by midranks as in Sun and Xu
    (2014), IEEE Signal Processing Letters 21. With perfect separation its variance is 0; then the interval
    is Wilson's on the smaller class, which errs on the careful side.
    """
    positives, negatives = scores[positive], scores[~positive]
    count, others = len(positives), len(negatives)
    everything = midranks(np.concatenate([positives, negatives]))
    above = (everything[:count] - midranks(positives)) / others
    below = 1.0 - (everything[count:] - midranks(negatives)) / count
    area = float(above.mean())
    error = math.hypot(_standard_error(above), _standard_error(below))
    rows = count + others
    if error == 0 or area in {0.0, 1.0}:
        fallback = estimate_share(round(area * min(count, others)), min(count, others), confidence=confidence)
        return Estimate(
            area, min(area, fallback.lower), max(area, fallback.upper), rows, "Wilson on smaller class"
        )
    logit = math.log(area / (1 - area))
    half = quantile(confidence) * error / (area * (1 - area))
    return Estimate(area, _expit(logit - half), _expit(logit + half), rows, "DeLong")


def estimate_by_cells(
    cells: NDArray[np.int64], measure: Measure, *, confidence: float = CONFIDENCE
) -> Estimate:
    """Return a number that depends only on a table of counts, with a percentile bootstrap interval.

    Drawing rows with replacement is the same as drawing the table from a multinomial, so the cost does
    not grow with the rows.

    Args:
        cells: Counts, shape [c]; at least one row in all.
        measure: Maps tables [r, c] to r numbers.
        confidence: Between 0 and 1.
    """
    rows = int(cells.sum())
    draws = np.random.default_rng(SEED).multinomial(rows, cells / rows, size=BOOTSTRAP_REPEATS)
    repeats = measure(draws)
    value = float(measure(cells[None, :])[0])
    lower, upper = np.quantile(repeats, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value, min(float(lower), value), max(float(upper), value), rows, "bootstrap")


def subtract(first: Estimate, second: Estimate) -> Difference:
    """Return first minus second, measured on separate rows, with an interval from both intervals.

    Where both were measured on the same rows and agree on which are hard, the interval is wider than it
    need be, never narrower.

    Source: Newcombe (1998), Statistics in Medicine 17, method 10; Zou and Donner (2008), ibid. 27.
    """
    value = first.value - second.value
    lower = value - math.hypot(first.value - first.lower, second.upper - second.value)
    upper = value + math.hypot(first.upper - first.value, second.value - second.lower)
    return Difference(value, lower, upper)


def midranks(values: Floats) -> Floats:
    """Return the rank of each value, from 1; equal values share the middle of their ranks."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    ends = np.append(starts[1:], len(values))
    ranks = np.empty(len(values), dtype=np.float64)
    ranks[order] = np.repeat((starts + ends + 1) / 2, ends - starts)
    return ranks


def _standard_error(values: Floats) -> float:
    if len(values) < 2:
        return 0.0
    return float(values.std(ddof=1)) / math.sqrt(len(values))


def _expit(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))
