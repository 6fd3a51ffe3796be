"""Made-up rows are rows the model takes."""

import json

import msgspec
import pytest

from fakes.signatures import FLIGHTS
from modelport.domain.signature import Feature, FeatureType, Output, Signature, Task
from modelport.evaluation.probes import accepts
from modelport.sdk.invented_rows import invent_rows

NUMBER = Output(Task.REGRESSION, targets=("y",))


def test_every_value_of_a_mixed_model_is_accepted() -> None:
    rows = invent_rows(FLIGHTS, 200)
    for row in rows:
        assert set(row) == {feature.name for feature in FLIGHTS.features}
        assert all(accepts(feature, row[feature.name]) for feature in FLIGHTS.features)
    assert json.loads(msgspec.json.encode(rows)) == rows
    assert len({row["carrier"] for row in rows}) > 10


@pytest.mark.parametrize(
    ("bounds", "kind"),
    [
        ((5.0, 9.0), FeatureType.DOUBLE),
        ((-9.0, -5.0), FeatureType.DOUBLE),
        ((0.25, 0.75), FeatureType.DOUBLE),
        ((5.0, 9.0), FeatureType.INT64),
        ((-9.0, -5.5), FeatureType.INT64),
    ],
)
def test_bounds_beyond_what_was_seen_are_kept(bounds: tuple[float, float], kind: FeatureType) -> None:
    feature = Feature("x", kind, lower=bounds[0], upper=bounds[1])
    for row in invent_rows(Signature((feature,), NUMBER), 50):
        assert bounds[0] <= row["x"] <= bounds[1]
        assert isinstance(row["x"], int) == (kind is FeatureType.INT64)


def test_a_matrix_gets_lists_in_its_shape() -> None:
    features = tuple(Feature(f"x{place}", FeatureType.DOUBLE) for place in range(12))
    flat = invent_rows(Signature(features, NUMBER, matrix=True), 2)
    pictures = invent_rows(Signature(features, NUMBER, matrix=True, row_shape=(3, 2, 2)), 2)
    assert len(flat[0]) == 12
    assert [len(pictures[0]), len(pictures[0][0]), len(pictures[0][0][0])] == [3, 2, 2]
    assert [cell for plane in pictures[0] for line in plane for cell in line] == flat[0]


def test_the_same_seed_gives_the_same_rows() -> None:
    assert invent_rows(FLIGHTS, 5) == invent_rows(FLIGHTS, 5)
    assert invent_rows(FLIGHTS, 5) != invent_rows(FLIGHTS, 5, seed=1)
