"""Metrics and their intervals: scikit-learn's numbers, and true as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from modelport.evaluation import intervals, metrics


def binary(rows: int, seed: int, *, strength: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return true classes and calibrated probabilities of two classes."""
    generator = np.random.default_rng(seed)
    positive = 1 / (1 + np.exp(-generator.normal(0.0, strength, rows)))
    truth = (generator.random(rows) < positive).astype(np.int64)
    return truth, np.column_stack([1 - positive, positive])


def test_binary_metrics_are_scikit_learns() -> None:
    truth, probabilities = binary(5000, 1)
    label = probabilities.argmax(axis=1)
    found = metrics.measure_classification(truth, label, probabilities, 2)
    expected = {
        "auc": sklearn.metrics.roc_auc_score(truth, probabilities[:, 1]),
        "log_loss": sklearn.metrics.log_loss(truth, probabilities),
        "accuracy": sklearn.metrics.accuracy_score(truth, label),
        "f1": sklearn.metrics.f1_score(truth, label),
        "brier": sklearn.metrics.brier_score_loss(truth, probabilities[:, 1]),
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, abs=1e-12), name
        assert found[name].lower < value < found[name].upper, name
    assert set(found) == {*expected, "calibration_error"}
    assert found["calibration_error"].lower == 0


def test_multiclass_metrics_are_scikit_learns() -> None:
    generator = np.random.default_rng(2)
    probabilities = generator.dirichlet([1.0, 1.0, 2.0], 3000)
    truth = np.array([generator.choice(3, p=row) for row in probabilities])
    label = probabilities.argmax(axis=1)
    found = metrics.measure_classification(truth, label, probabilities, 3)
    assert found["auc"].value == pytest.approx(
        sklearn.metrics.roc_auc_score(truth, probabilities, multi_class="ovr"), abs=1e-12
    )
    assert found["f1_macro"].value == pytest.approx(
        sklearn.metrics.f1_score(truth, label, average="macro"), abs=1e-12
    )
    assert found["log_loss"].value == pytest.approx(sklearn.metrics.log_loss(truth, probabilities), abs=1e-12)
    assert found["brier"].lower < found["brier"].value < found["brier"].upper


def test_regression_metrics_are_scikit_learns() -> None:
    generator = np.random.default_rng(3)
    truth = generator.normal(size=2000)
    predicted = truth + generator.normal(0.1, 0.5, 2000)
    found = metrics.measure_regression(truth, predicted)
    squares = sklearn.metrics.mean_squared_error(truth, predicted)
    assert found["rmse"].value == pytest.approx(math.sqrt(squares))
    assert found["mae"].value == pytest.approx(sklearn.metrics.mean_absolute_error(truth, predicted))
    assert found["r2"].value == pytest.approx(sklearn.metrics.r2_score(truth, predicted))


def test_what_rows_cannot_give_is_absent() -> None:
    ones = np.ones(50, dtype=np.int64)
    probabilities = np.full((50, 2), 0.5)
    assert "auc" not in metrics.measure_classification(ones, ones, probabilities, 2)
    assert metrics.measure_classification(ones[:5], ones[:5], probabilities[:5], 2) == {}
    without = metrics.measure_classification(ones, ones, None, 2)
    assert set(without) == {"accuracy", "f1"}
    assert "r2" not in metrics.measure_regression(np.ones(50), np.zeros(50))


def test_perfect_separation_is_not_called_certain() -> None:
    scores = np.arange(20.0)
    area = intervals.estimate_auc(scores, scores >= 10)
    assert area.value == 1.0
    assert 0.6 < area.lower < 0.95


@pytest.mark.parametrize("rows", [100, 1000])
def test_intervals_hold_the_truth_as_often_as_they_say(rows: int) -> None:
    big_truth, big = binary(400_000, 0)
    goal = metrics.measure_classification(big_truth, big.argmax(axis=1), big, 2)
    held = dict.fromkeys(("auc", "log_loss", "accuracy", "f1", "brier"), 0)
    repeats = 200
    for seed in range(1, repeats + 1):
        truth, probabilities = binary(rows, seed)
        found = metrics.measure_classification(truth, probabilities.argmax(axis=1), probabilities, 2)
        for name in held:
            held[name] += found[name].lower <= goal[name].value <= found[name].upper
    for name, count in held.items():
        assert count / repeats >= 0.90, name


def test_calibration_error_is_near_zero_for_calibrated_and_found_for_wrong() -> None:
    values = []
    for seed in range(20):
        truth, probabilities = binary(500, seed)
        values.append(
            metrics.measure_classification(truth, probabilities.argmax(axis=1), probabilities, 2)[
                "calibration_error"
            ].value
        )
    assert np.mean(values) < 0.025
    truth, probabilities = binary(5000, 7)
    wrong = np.clip(probabilities[:, 1] + 0.15, 0, 1)
    shifted = np.column_stack([1 - wrong, wrong])
    found = metrics.measure_classification(truth, shifted.argmax(axis=1), shifted, 2)["calibration_error"]
    assert found.lower > 0.1
    assert found.upper < 0.2


def test_difference_is_sure_only_where_it_is() -> None:
    better_truth, better = binary(4000, 1, strength=3.0)
    worse_truth, worse = binary(4000, 2, strength=0.5)
    first = metrics.measure_classification(better_truth, better.argmax(axis=1), better, 2)
    second = metrics.measure_classification(worse_truth, worse.argmax(axis=1), worse, 2)
    difference = metrics.compare(first, second)["auc"]
    assert difference.sign == 1
    assert difference.value == pytest.approx(first["auc"].value - second["auc"].value)
    same_truth, same = binary(4000, 3, strength=3.0)
    third = metrics.measure_classification(same_truth, same.argmax(axis=1), same, 2)
    assert metrics.compare(first, third)["auc"].sign == 0


def test_reliability_bins_hold_every_row_once() -> None:
    truth, probabilities = binary(1000, 5)
    bins = metrics.reliability(truth, probabilities, 2)
    assert sum(part.observed.rows for part in bins) == 1000
    assert [part.predicted for part in bins] == sorted(part.predicted for part in bins)
    constant = metrics.reliability(truth, np.full((1000, 2), 0.5), 2)
    assert len(constant) == 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, -3.0]), min_size=1, max_size=40))
def test_midranks_are_the_mean_place_among_equals(values: list[float]) -> None:
    ranks = intervals.midranks(np.array(values))
    for value, rank in zip(values, ranks, strict=True):
        below = sum(other < value for other in values)
        equal = sum(other == value for other in values)
        assert rank == below + (equal + 1) / 2
