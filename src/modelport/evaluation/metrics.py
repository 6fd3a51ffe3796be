"""How good predictions are, once labels came in: one table of estimates by task.

Every function takes plain arrays; where labels or rows cannot give a number (one class only, too few
rows) the metric is absent rather than wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modelport.evaluation.intervals import (
    BOOTSTRAP_REPEATS,
    SEED,
    Difference,
    Estimate,
    Floats,
    estimate_auc,
    estimate_by_cells,
    estimate_mean,
    estimate_root,
    estimate_share,
    subtract,
)

Integers = NDArray[np.int64]
ROWS_MIN = 10
LOG_FLOOR = float(np.finfo(np.float64).eps)
RELIABILITY_BINS = 10


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric is called and how to read it.

    Args:
        name: Its key.
        title: For people.
        better: Which direction is good.
    """

    name: str
    title: str
    better: Literal["higher", "lower"]


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("auc", "AUC", "higher"),
        Metric("log_loss", "log loss", "lower"),
        Metric("accuracy", "accuracy", "higher"),
        Metric("f1", "F1", "higher"),
        Metric("f1_macro", "macro F1", "higher"),
        Metric("brier", "Brier score", "lower"),
        Metric("calibration_error", "calibration error", "lower"),
        Metric("rmse", "RMSE", "lower"),
        Metric("mae", "MAE", "lower"),
        Metric("r2", "R²", "higher"),
    )
}


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows with a similar predicted probability.

    Args:
        predicted: Mean predicted probability, 0 to 1.
        observed: Share in which it happened, with Wilson's interval.
    """

    predicted: float
    observed: Estimate


def measure_classification(
    truth: Integers, label: Integers, probabilities: Floats | None, classes: int
) -> dict[str, Estimate]:
    """Return every metric that the rows allow.

    With two classes the second one is the positive one, as in scikit-learn. The Brier score of more than
    two classes sums over the classes; AUC of more than two is the mean of one class against the rest;
    the calibration error then is that of the predicted class.

    Args:
        truth: Index of the true class per row, shape [n], 0 to classes - 1.
        label: Index of the predicted class, shape [n].
        probabilities: Predicted, shape [n, classes], rows summing to 1; None when the model gives none.
        classes: Number of classes, at least 1.
    """
    if len(truth) < ROWS_MIN:
        return {}
    rows = len(truth)
    found: dict[str, Estimate] = {}
    if probabilities is not None:
        area = _auc(truth, probabilities, classes)
        if area is not None:
            found["auc"] = area
        own = np.clip(probabilities[np.arange(rows), truth], LOG_FLOOR, 1.0)
        found["log_loss"] = estimate_mean(-np.log(own), least=0.0)
    found["accuracy"] = estimate_share(int((truth == label).sum()), rows)
    found.update(_f1(truth, label, classes))
    if probabilities is not None:
        if classes == 2:
            squares = (probabilities[:, 1] - (truth == 1)) ** 2
        else:
            squares = ((probabilities - np.eye(classes)[truth]) ** 2).sum(axis=1)
        found["brier"] = estimate_mean(squares, least=0.0)
        found["calibration_error"] = _calibration_error(*_event(truth, probabilities, classes))
    return found


def measure_regression(truth: Floats, predicted: Floats) -> dict[str, Estimate]:
    """Return RMSE, MAE and R² of predicted numbers.

    Args:
        truth: True numbers, shape [n].
        predicted: Predicted numbers, shape [n], in the same unit.
    """
    if len(truth) < ROWS_MIN:
        return {}
    errors = predicted - truth
    found = {"rmse": estimate_root(errors**2), "mae": estimate_mean(np.abs(errors), least=0.0)}
    spread = float(((truth - truth.mean()) ** 2).mean())
    if spread > 0:
        found["r2"] = _r2(truth, errors, spread)
    return found


def reliability(
    truth: Integers, probabilities: Floats, classes: int, *, bins: int = RELIABILITY_BINS
) -> tuple[ReliabilityBin, ...]:
    """Return how often what was predicted happened, in bins of equally many rows.

    Args:
        truth: Index of the true class per row, shape [n].
        probabilities: Predicted, shape [n, classes].
        classes: With two, the event is the second class; with more, that the predicted class is right.
        bins: How many at most.
    """
    predicted, happened = _event(truth, probabilities, classes)
    return tuple(
        ReliabilityBin(
            float(predicted[part].mean()), estimate_share(int(happened[part].sum()), int(part.size))
        )
        for part in _equal_parts(predicted, bins)
    )


def compare(first: dict[str, Estimate], second: dict[str, Estimate]) -> dict[str, Difference]:
    """Return first minus second for each metric that both have."""
    return {name: subtract(first[name], second[name]) for name in first if name in second}


def _event(truth: Integers, probabilities: Floats, classes: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the predicted probability of one event per row, and whether it happened."""
    if classes == 2:
        return probabilities[:, 1], truth == 1
    best = probabilities.argmax(axis=1)
    return probabilities[np.arange(len(best)), best], truth == best


def _equal_parts(values: Floats, bins: int) -> list[NDArray[np.intp]]:
    """Split rows into bins of about equal size; equal values stay together."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    edges = {0, len(values)}
    for cut in range(1, bins):
        edges.add(int(np.searchsorted(ordered, ordered[cut * len(values) // bins], side="left")))
    bounds = sorted(edges)
    return [order[start:end] for start, end in pairwise(bounds)]


def _auc(truth: Integers, probabilities: Floats, classes: int) -> Estimate | None:
    if classes == 2:
        positive = truth == 1
        if positive.all() or not positive.any():
            return None
        return estimate_auc(probabilities[:, 1], positive)
    present = [index for index in range(classes) if 0 < int((truth == index).sum()) < len(truth)]
    if len(present) < classes or classes < 2:
        return None
    areas = [estimate_auc(probabilities[:, index], truth == index) for index in present]
    # Their errors are dependent; adding them fully is the widest the interval can be.
    return Estimate(
        float(np.mean([area.value for area in areas])),
        float(np.mean([area.lower for area in areas])),
        float(np.mean([area.upper for area in areas])),
        len(truth),
        "DeLong, averaged",
    )


def _f1(truth: Integers, label: Integers, classes: int) -> dict[str, Estimate]:
    table = np.bincount(truth * classes + label, minlength=classes * classes)
    if classes == 2:
        return {"f1": estimate_by_cells(table, _f1_of_class(classes, 1))}

    def macro(tables: Integers) -> Floats:
        each = [_f1_of_class(classes, index)(tables) for index in range(classes)]
        return np.asarray(np.mean(each, axis=0), dtype=np.float64)

    return {"f1_macro": estimate_by_cells(table, macro)}


def _f1_of_class(classes: int, index: int) -> Callable[[Integers], Floats]:
    def measure(tables: Integers) -> Floats:
        square = tables.reshape(-1, classes, classes)
        hits = square[:, index, index]
        all_of_it = square[:, index, :].sum(axis=1) + square[:, :, index].sum(axis=1)
        return np.asarray(2 * hits / np.maximum(all_of_it, 1), dtype=np.float64)

    return measure


def _r2(truth: Floats, errors: Floats, spread: float) -> Estimate:
    """R² is one minus a ratio of two means; its error follows by linearising the ratio."""
    ratio = float((errors**2).mean()) / spread
    influence = (errors**2 - ratio * (truth - truth.mean()) ** 2) / spread
    shift = estimate_mean(influence)
    return Estimate(
        1 - ratio, 1 - ratio - shift.upper, min(1.0, 1 - ratio - shift.lower), len(truth), "delta method"
    )


def _calibration_error(predicted: Floats, happened: NDArray[np.bool_]) -> Estimate:
    """Return the root mean square gap between predicted and observed, over bins of equally many rows.

    Noise alone makes gaps, so each bin's own variance is taken off; a calibrated model scores near 0
    however few the rows.

    Source: Kumar, Liang and Ma (2019), "Verified Uncertainty Calibration", section 4.
    """
    parts = _equal_parts(predicted, RELIABILITY_BINS)
    sizes = np.array([part.size for part in parts], dtype=np.float64)
    observed = np.array([happened[part].mean() for part in parts])
    gaps = np.array([predicted[part].mean() for part in parts]) - observed
    weights = sizes / sizes.sum()
    shares = (observed * sizes + 0.5) / (sizes + 1)
    variance = shares * (1 - shares) / sizes
    value = _root((gaps**2 - variance) @ weights)
    noise = np.random.default_rng(SEED).normal(size=(BOOTSTRAP_REPEATS, len(parts)))
    repeats = ((gaps + noise * np.sqrt(variance)) ** 2 - 2 * variance) @ weights
    lower, upper = np.quantile(repeats, [0.025, 0.975])
    return Estimate(value, min(_root(lower), value), max(_root(upper), value), len(predicted), "bootstrap")


def _root(square: float) -> float:
    return float(np.sqrt(max(0.0, float(square))))
