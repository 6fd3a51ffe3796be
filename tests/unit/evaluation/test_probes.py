import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.domain.errors import InvalidInput
from modelport.domain.signature import Feature, FeatureType, Output, Signature, Task
from modelport.evaluation.probes import (
    FLOAT32_OVERFLOW,
    Origin,
    accepts,
    category_values,
    make_probes,
    near_threshold,
)

DISTANCE = Feature(
    "distance", FeatureType.DOUBLE, missing=False, lower=-1e30, upper=1e30, seen_min=1, seen_max=9
)
HOUR = Feature("hour", FeatureType.INT64, seen_min=0, seen_max=23)
CARRIER = Feature("carrier", FeatureType.STRING, vocabulary=("AA", "UA"))
UNUSED = Feature("note", FeatureType.STRING, used=False)
SIGNATURE = Signature((DISTANCE, HOUR, CARRIER, UNUSED), Output(Task.REGRESSION, targets=("y",)))


def example(rows=20):
    return {
        "distance": np.linspace(1.25, 9, rows),
        "hour": np.arange(rows, dtype=np.float64) % 24,
        "carrier": np.array(["AA", "UA"] * (rows // 2), dtype=object),
        "note": np.array(["secret"] * rows, dtype=object),
    }


def probes(**options):
    return make_probes(SIGNATURE, example(), {"distance": np.array([3.3])}, **options)


def test_the_same_seed_gives_the_same_rows():
    first, second = probes(), probes()
    for name in first.columns:
        assert first.columns[name].tolist() == pytest.approx(second.columns[name].tolist(), nan_ok=True)


def test_every_kind_of_row_is_there():
    found = probes()
    assert set(found.origin.tolist()) == {origin.value for origin in Origin}
    example_rows = found.take(np.flatnonzero(found.origin == Origin.EXAMPLE.value))
    assert example_rows.columns["distance"].tolist() == example()["distance"].tolist()


def test_a_threshold_and_its_neighbours_are_asked():
    asked = set(probes().columns["distance"].tolist())
    assert {3.3, math.nextafter(3.3, 4), math.nextafter(3.3, 3), float(np.float32(3.3))} <= asked


def test_values_the_signature_refuses_are_asked_one_at_a_time():
    found = probes()
    distance = found.columns["distance"]
    refused = [row for row, value in enumerate(distance.tolist()) if not accepts(DISTANCE, value)]
    assert {math.inf, -math.inf, 1e300} <= set(distance[refused].tolist())
    assert np.isnan(distance[refused]).sum() == 1
    others = found.take(np.array(refused))
    assert all(accepts(HOUR, value) for value in others.columns["hour"].tolist())


def test_unseen_empty_and_missing_words_are_asked():
    asked = set(probes().columns["carrier"].tolist())
    assert {"", None, "AA", "UA", "nan", "0AA", "aa"} <= asked


def test_whole_numbers_stay_whole():
    hours = probes().columns["hour"]
    assert np.array_equal(hours[~np.isnan(hours)], np.round(hours[~np.isnan(hours)]))


def test_without_example_data_no_kept_row_holds_any_of_it():
    found = probes(example_data=False)
    kept = found.take(np.flatnonzero(~found.private))
    assert len(kept) > 300
    assert not set(kept.columns["distance"].tolist()) & set(example()["distance"][1:-1].tolist())
    assert "secret" not in kept.columns["note"].tolist()
    assert found.private[found.origin == Origin.EXAMPLE.value].all()


@pytest.mark.parametrize("features", [3, 900])
def test_there_are_never_too_many_rows(features):
    columns = tuple(Feature(f"x{index}", FeatureType.DOUBLE) for index in range(features))
    signature = Signature(columns, Output(Task.REGRESSION, targets=("y",)))
    rows = {feature.name: np.random.default_rng(1).normal(size=8000) for feature in columns}
    thresholds = {"x0": np.random.default_rng(2).normal(size=100_000)}
    found = make_probes(signature, rows, thresholds)
    assert 400 <= len(found) <= 20_000
    assert len(found) * features <= 4_100_000


def test_an_empty_example_is_refused():
    with pytest.raises(InvalidInput, match="no rows"):
        make_probes(SIGNATURE, {name: column[:0] for name, column in example().items()}, {})


@given(st.floats(-1e30, 1e30).filter(lambda value: abs(value) > 1e-30))
def test_both_sides_of_a_float32_rounding_are_asked(threshold):
    near = near_threshold(np.array([threshold]), DISTANCE)
    rounded = near.astype(np.float32).astype(np.float64)
    assert (near <= threshold).any()
    assert (near > threshold).any()
    assert (rounded <= threshold).any()
    assert (rounded > threshold).any()
    # the last double that rounds down and the first that rounds up stand beside each other
    below, above = near[rounded <= threshold].max(), near[rounded > threshold].min()
    assert math.nextafter(below, math.inf) == above


def test_whole_numbers_beside_a_threshold():
    assert near_threshold(np.array([3.5, 4.0]), HOUR).tolist() == [3.0, 4.0]


def test_the_overflow_of_float32_is_where_numpy_has_it():
    with np.errstate(over="ignore"):
        assert np.isinf(np.float32(FLOAT32_OVERFLOW))
    assert np.isfinite(np.float32(math.nextafter(FLOAT32_OVERFLOW, 0)))


@pytest.mark.parametrize(
    ("vocabulary", "unseen"),
    [
        ((1, 5), {6, 0, 2**53}),
        ((1.5, 2.5), {3.5, 0.5, 3.0, 1e300, math.inf, -math.inf}),
        ((True, False), set()),
    ],
)
def test_numbers_as_categories(vocabulary, unseen):
    found = category_values(Feature("x", FeatureType.INT64, vocabulary=vocabulary))
    assert set(found) - set(vocabulary) == unseen
