"""What the training data looked like, kept with the model so that later traffic can be compared with it.

Everything is measured on the serving matrix (codes for coded features, see `domain/signature.py`), which
is also what captured requests decode to. A distribution holds counts and quantiles only, never rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelport.domain.errors import InvalidInput
from modelport.domain.signature import Feature, Signature, Value

Floats = NDArray[np.float64]
BINS = 10
SINGLE_VALUES_MAX = 20  # a number with so few distinct values gets one bin for each
QUANTILES = 101  # 0 %, 1 %, … 100 %
PREDICTION = "prediction"
PROBABILITY = "probability"


@dataclass(frozen=True, slots=True)
class Numbers:
    """How numbers are spread. Infinities are counted in the outer bins and in nothing else.

    Args:
        edges: Rising inner cut points, finite. Bin i holds `edges[i-1] <= x < edges[i]`; the first bin
            is open below, the last one above.
        counts: Rows of each bin, one more than there are edges.
        quantiles: The 0 %, 1 %, … 100 % points of the finite numbers; empty when there were none.
        mean: Of the finite numbers; 0 when there were none.
        deviation: Standard deviation of the finite numbers; 0 when there were none.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    quantiles: tuple[float, ...]
    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Categories:
    """How often each category came.

    Args:
        values: The categories, in code order.
        counts: Rows of each.
        unknown: Rows with a value outside `values`.
    """

    values: tuple[Value, ...]
    counts: tuple[int, ...]
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class Distribution:
    """One column: exactly one of `numbers` and `categories` is set.

    Args:
        name: The feature, the target, or for a classifier `prediction`.
        rows: All rows, the missing ones too.
        missing: Rows without a value.
        numbers: Where the column holds numbers.
        categories: Where it holds categories or labels.
    """

    name: str
    rows: int
    missing: int
    numbers: Numbers | None = None
    categories: Categories | None = None


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a model was shown when it was registered.

    Args:
        rows: Rows it was measured on.
        features: One distribution for each feature of the signature, in its order.
        predictions: The model's answers on those rows: one distribution of labels for a classifier, one
            of numbers for each target of a regression.
        probabilities: For a classifier that gives them, one for each label, in the labels' order; named
            `probability`.
        format_version: Layout; readers refuse one they do not know.
    """

    rows: int
    features: tuple[Distribution, ...]
    predictions: tuple[Distribution, ...]
    probabilities: tuple[Distribution, ...] = ()
    format_version: int = 1


def measure_baseline(
    signature: Signature,
    matrix: Floats,
    *,
    label: NDArray[np.int64] | None = None,
    probabilities: Floats | None = None,
    predictions: Floats | None = None,
) -> Baseline:
    """Return the distributions of features and answers.

    Args:
        signature: The model's.
        matrix: Rows as the serving graph takes them, float64 `[N, F]`.
        label: Answers of a classifier, int64 `[N]`, indices into `signature.output.labels`.
        probabilities: float64 `[N, K]`, or None.
        predictions: Answers of a regression, float64 `[N, T]`.
    """
    output = signature.output
    answers: list[Distribution] = []
    if label is not None:
        counts = np.bincount(label, minlength=len(output.labels))
        categories = Categories(output.labels, tuple(counts.tolist()))
        answers.append(Distribution(PREDICTION, len(label), 0, categories=categories))
    if predictions is not None:
        answers += [
            describe_numbers(name, predictions[:, column]) for column, name in enumerate(output.targets)
        ]
    return Baseline(
        rows=len(matrix),
        features=tuple(
            describe_feature(feature, matrix[:, column]) for column, feature in enumerate(signature.features)
        ),
        predictions=tuple(answers),
        probabilities=()
        if probabilities is None
        else tuple(
            describe_numbers(PROBABILITY, probabilities[:, column]) for column in range(len(output.labels))
        ),
    )


def describe_feature(feature: Feature, column: Floats) -> Distribution:
    """Return the distribution of one column of the serving matrix.

    Args:
        feature: Which feature it is.
        column: Numbers, or codes where the feature has a vocabulary; float64 `[N]`.
    """
    if feature.vocabulary is None:
        return describe_numbers(feature.name, column)
    known = len(feature.vocabulary)
    counts = np.bincount(column.astype(np.int64), minlength=known + 2)
    return Distribution(
        feature.name,
        len(column),
        int(counts[feature.missing_code]),
        categories=Categories(
            feature.vocabulary, tuple(counts[:known].tolist()), int(counts[feature.unknown_code])
        ),
    )


def describe_numbers(name: str, column: Floats) -> Distribution:
    """Return the distribution of numbers; NaN counts as missing.

    Args:
        name: What the numbers are.
        column: float64 `[N]`.
    """
    present = column[~np.isnan(column)]
    finite = present[np.isfinite(present)]
    edges = cut(finite)
    some = finite.size > 0
    levels = np.linspace(0, 1, QUANTILES)
    with np.errstate(over="ignore", invalid="ignore"):  # squares of the largest doubles
        moments = np.nan_to_num([finite.mean(), finite.std()]) if some else np.zeros(2)
    numbers = Numbers(
        edges=edges,
        counts=tuple(count_bins(edges, present).tolist()),
        quantiles=tuple(np.quantile(finite, levels, method="inverted_cdf").tolist()) if some else (),
        mean=float(moments[0]),
        deviation=float(moments[1]),
    )
    return Distribution(name, len(column), len(column) - len(present), numbers=numbers)


def count_bins(edges: tuple[float, ...], column: Floats) -> NDArray[np.int64]:
    """Return how many numbers fall into each bin.

    Args:
        edges: As in `Numbers`.
        column: float64 `[N]` without NaN.

    Returns:
        int64 `[len(edges) + 1]`.
    """
    places = np.searchsorted(np.asarray(edges, dtype=np.float64), column, side="right")
    return np.bincount(places, minlength=len(edges) + 1).astype(np.int64)


def cut(values: Floats) -> tuple[float, ...]:
    """Return edges of bins with about equally many numbers; equal numbers share a bin.

    A number that alone fills a bin gets one for itself, so that many zeros do not hide the rest.

    Args:
        values: Finite float64 `[N]`.
    """
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= SINGLE_VALUES_MAX:
        return _between(distinct[:-1], distinct[1:])
    upto = np.concatenate([[0], np.cumsum(counts)])
    starts: list[int] = []
    start, bins_left = 0, BINS
    while bins_left > 1 and start < len(distinct):
        wanted = (upto[-1] - upto[start]) / bins_left
        end = int(np.searchsorted(upto, upto[start] + wanted, side="left"))
        end = max(end, start + 1)
        if end > start + 1 and counts[end - 1] >= wanted:
            end -= 1  # the heavy number opens the next bin
        if end >= len(distinct):
            break
        starts.append(end)
        start, bins_left = end, bins_left - 1
    places = np.asarray(starts, dtype=np.int64)
    return _between(distinct[places - 1], distinct[places])


def encode_baseline(baseline: Baseline) -> bytes:
    """Return the baseline as UTF-8 JSON."""
    return msgspec.json.encode(baseline)


def decode_baseline(content: bytes) -> Baseline:
    """Read a baseline.

    Raises:
        InvalidInput: The bytes are not a baseline, or of a later layout.
    """
    try:
        baseline = msgspec.json.decode(content, type=Baseline)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"not a baseline: {error}", hint="register the model again") from error
    if baseline.format_version != 1:
        raise InvalidInput(
            f"baseline has format version {baseline.format_version}, expected 1", hint="upgrade modelport"
        )
    return baseline


def _between(lower: Floats, upper: Floats) -> tuple[float, ...]:
    """Return a cut between each pair: above `lower`, not above `upper`."""
    middle = lower / 2 + upper / 2
    return tuple(np.where((middle > lower) & (middle <= upper), middle, upper).tolist())
