"""Drift: quiet where nothing moved, at any number of rows, and loud where something did."""

from __future__ import annotations

import numpy as np
import pytest

from modelport.domain.signature import Feature, FeatureType
from modelport.evaluation.baseline import describe_feature, describe_numbers
from modelport.evaluation.drift import Drift, Effect, Tally, measure_drift

COLUMNS = 13


def numbers_drift(then: np.ndarray, now: np.ndarray, **options: object) -> Drift:
    tally = Tally(describe_numbers("temp", then))
    tally.add(now)
    return measure_drift(tally, **options)  # type: ignore[arg-type]


def codes_drift(then: np.ndarray, now: np.ndarray, known: int) -> Drift:
    feature = Feature("dest", FeatureType.STRING, vocabulary=tuple(f"v{code}" for code in range(known)))
    tally = Tally(describe_feature(feature, then.astype(np.float64)))
    tally.add(now.astype(np.float64))
    return measure_drift(tally)


def skewed_codes(generator: np.random.Generator, rows: int, known: int) -> np.ndarray:
    weights = 1 / np.arange(1, known + 1)
    return generator.choice(known, rows, p=weights / weights.sum())


@pytest.mark.parametrize(
    ("rows", "windows"), [(200, 400), (500, 200), (2_000, 100), (20_000, 40), (200_000, 5)]
)
@pytest.mark.parametrize("baseline_rows", [100, 5_000, 100_000])
def test_no_drift_raises_no_alarm(rows: int, windows: int, baseline_rows: int) -> None:
    generator = np.random.default_rng(rows + baseline_rows)
    alarms = 0
    for _ in range(windows if baseline_rows < 100_000 else windows // 10 + 1):
        numbers = numbers_drift(
            generator.lognormal(size=baseline_rows), generator.lognormal(size=rows), columns=COLUMNS
        )
        categories = codes_drift(
            skewed_codes(generator, baseline_rows, 105), skewed_codes(generator, rows, 105), 105
        )
        alarms += numbers.effect is not Effect.NONE
        alarms += categories.effect is not Effect.NONE
    assert alarms <= 1


@pytest.mark.parametrize(("rows", "least"), [(500, 0.95), (2_000, 1.0), (20_000, 1.0)])
def test_a_planted_psi_of_a_quarter_is_found(rows: int, least: float) -> None:
    generator = np.random.default_rng(rows)
    then = generator.normal(size=20_000)
    windows, found, sizes = 60, 0, []
    for _ in range(windows):
        drift = numbers_drift(then, generator.normal(0.5, 1, rows), columns=COLUMNS)  # PSI 0.5² = 0.25
        found += drift.effect.alarming
        sizes.append(drift.psi)
    assert found / windows >= least
    assert np.mean(sizes) == pytest.approx(0.24, abs=0.03)  # ten bins see a little less than all


def test_wasserstein_is_the_shift_in_standard_deviations() -> None:
    generator = np.random.default_rng(1)
    then = generator.normal(10, 2, 50_000)
    assert numbers_drift(then, then + 1).wasserstein == pytest.approx(0.5, abs=0.03)
    assert numbers_drift(then, then - 20).wasserstein == pytest.approx(10, abs=0.05)
    assert numbers_drift(then, then).wasserstein == pytest.approx(0, abs=0.01)


def test_the_sentence_says_what_moved() -> None:
    generator = np.random.default_rng(2)
    then = generator.normal(40, 5, 5_000)
    drift = numbers_drift(then, then + 30, unit="°F")
    assert drift.effect is Effect.LARGE
    assert drift.sentence.startswith("large drift: PSI ")
    assert "mean 40" in drift.sentence
    assert "→ 70" in drift.sentence
    assert "°F" in drift.sentence


def test_missing_values_are_drift_of_their_own() -> None:
    generator = np.random.default_rng(3)
    then = generator.normal(size=5_000)
    now = generator.normal(size=5_000)
    now[:400] = np.nan
    drift = numbers_drift(then, now)
    assert drift.effect is Effect.MODERATE
    assert drift.sentence == "moderate drift: missing values 0.0 % → 8.0 %"
    assert drift.missing == 0.08


def test_unseen_categories_are_counted_and_named() -> None:
    generator = np.random.default_rng(4)
    then, now = skewed_codes(generator, 5_000, 10), skewed_codes(generator, 5_000, 10)
    now[:1500] = 10  # the code of an unknown value
    drift = codes_drift(then, now, 10)
    assert drift.unseen == 0.3
    assert drift.effect is Effect.LARGE
    assert "(unseen) 0.0 % → 30.0 %" in drift.sentence
    assert drift.jensen_shannon is not None
    assert 0.3 < drift.jensen_shannon < 0.5
    assert drift.shape is not None
    assert drift.shape.values[-1] == "(unseen)"
    assert sum(drift.shape.observed) == pytest.approx(1)


def test_too_few_rows_give_words_and_no_number() -> None:
    drift = numbers_drift(np.arange(1000.0), np.arange(37.0))
    assert drift.effect is Effect.UNKNOWN
    assert drift.sentence == "too few rows: 37 of 200 needed"
    assert drift.psi is None
    small = numbers_drift(np.arange(20.0), np.arange(1000.0))
    assert small.sentence == "too few training rows: 20 of 50 needed"


def test_counting_in_parts_is_counting_at_once() -> None:
    generator = np.random.default_rng(5)
    then, now = generator.normal(size=3_000), generator.normal(0.2, 1.3, 3_000)
    parts = Tally(describe_numbers("temp", then))
    for part in np.array_split(now, 7):
        parts.add(part)
    assert measure_drift(parts).psi == numbers_drift(then, now).psi
    assert measure_drift(parts).wasserstein == pytest.approx(numbers_drift(then, now).wasserstein)


@pytest.mark.parametrize(
    "now",
    [np.full(500, np.nan), np.full(500, np.inf), np.zeros(500), np.full(500, 1e300)],
    ids=["missing", "infinite", "constant", "far"],
)
def test_strange_columns_give_a_verdict(now: np.ndarray) -> None:
    generator = np.random.default_rng(6)
    assert numbers_drift(generator.normal(size=1000), now).effect is Effect.LARGE
    same = numbers_drift(now, now)
    assert same.effect is Effect.NONE


def test_both_shapes_sum_to_one() -> None:
    generator = np.random.default_rng(7)
    shape = numbers_drift(generator.normal(size=5_000), generator.normal(1, 1, 5_000)).shape
    assert shape is not None
    assert len(shape.edges) == len(shape.expected) + 1
    assert sum(shape.expected) == pytest.approx(1)
    assert sum(shape.observed) == pytest.approx(1)
