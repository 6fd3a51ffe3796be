import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.domain.errors import InvalidInput
from modelport.domain.signature import Feature, FeatureType, Output, Signature, Task
from modelport.evaluation.baseline import (
    Baseline,
    count_bins,
    cut,
    decode_baseline,
    describe_feature,
    describe_numbers,
    encode_baseline,
    measure_baseline,
)

ANY = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(ANY, max_size=200))
def test_every_number_is_counted_once(values):
    column = np.array(values, dtype=np.float64)
    found = describe_numbers("x", column)
    assert found.rows == len(values)
    assert found.missing == sum(math.isnan(value) for value in values)
    assert sum(found.numbers.counts) + found.missing == found.rows
    assert len(found.numbers.counts) == len(found.numbers.edges) + 1
    assert list(found.numbers.edges) == sorted(set(found.numbers.edges))


def test_a_number_with_few_values_gets_a_bin_for_each():
    found = describe_numbers("hour", np.array([5.0, 6, 6, 7, 7, 7]))
    assert found.numbers.counts == (1, 2, 3)


def test_many_zeros_do_not_hide_the_rest():
    column = np.concatenate([np.zeros(900), np.linspace(1, 2, 100)])
    counts = describe_numbers("rain", column).numbers.counts
    assert counts[0] == 900
    assert max(counts[1:]) <= 20


def test_bins_hold_equal_shares_of_a_spread_number():
    column = np.random.default_rng(3).normal(size=1000)
    counts = describe_numbers("x", column).numbers.counts
    assert len(counts) == 10
    assert set(counts) == {100}


def test_infinities_fall_into_the_outer_bins():
    edges = cut(np.arange(100.0))
    assert count_bins(edges, np.array([-math.inf, math.inf]))[[0, -1]].tolist() == [1, 1]


def test_codes_are_counted_as_words():
    feature = Feature("carrier", FeatureType.STRING, vocabulary=("AA", "UA", "DL"))
    column = np.array([0, 0, 2, feature.unknown_code, feature.missing_code], dtype=np.float64)
    found = describe_feature(feature, column)
    assert found.categories.values == ("AA", "UA", "DL")
    assert found.categories.counts == (2, 0, 1)
    assert (found.categories.unknown, found.missing, found.rows) == (1, 1, 5)


def _measured() -> Baseline:
    signature = Signature(
        (Feature("carrier", FeatureType.STRING, vocabulary=("AA", 7)), Feature("hour", FeatureType.INT64)),
        Output(Task.CLASSIFICATION, labels=("late", "on time"), probabilities=True),
    )
    return measure_baseline(
        signature,
        np.array([[0, 5.0], [1, np.nan], [2, np.inf]]),
        label=np.array([1, 1, 0]),
        probabilities=np.array([[0.1, 0.9], [0.2, 0.8], [0.7, 0.3]]),
    )


def test_a_baseline_describes_features_labels_and_probabilities():
    baseline = _measured()
    assert [feature.name for feature in baseline.features] == ["carrier", "hour"]
    assert baseline.predictions[0].categories.counts == (1, 2)
    assert len(baseline.probabilities) == 2
    assert decode_baseline(encode_baseline(baseline)) == baseline


def test_a_regression_has_one_distribution_for_each_target():
    signature = Signature((Feature("x", FeatureType.DOUBLE),), Output(Task.REGRESSION, targets=("a", "b")))
    baseline = measure_baseline(signature, np.array([[1.0]]), predictions=np.array([[2.0, 3.0]]))
    assert [(each.name, each.numbers.mean) for each in baseline.predictions] == [("a", 2.0), ("b", 3.0)]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\xff", b'{"rows":1,"features":[],"predictions":[],"format_version":2}']
)
def test_other_bytes_are_refused(content):
    with pytest.raises(InvalidInput, match="baseline"):
        decode_baseline(content)
