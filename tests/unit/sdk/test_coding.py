import math

import numpy as np
import pytest

from modelport.domain.signature import Feature, FeatureType, Output, Signature, Task
from modelport.sdk.coding import code


def signature(*features):
    return Signature(features, Output(Task.REGRESSION, targets=("y",)))


def objects(*values):
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def test_words_become_codes_and_numbers_stay():
    word = Feature("word", FeatureType.STRING, vocabulary=("001", "1"))
    number = Feature("x", FeatureType.DOUBLE)
    found = code(
        signature(word, number),
        {"word": objects("001", "1", "new", None), "x": np.array([1.5, math.nan, 0, -0.0])},
    )
    assert found.matrix[:, 0].tolist() == [0, 1, word.unknown_code, word.missing_code]
    assert found.matrix[:, 1].tolist() == pytest.approx([1.5, math.nan, 0, 0], nan_ok=True)
    assert found.matrix.flags.c_contiguous
    assert not found.refused.any()


def test_the_first_feature_that_refuses_is_named():
    found = code(
        signature(
            Feature("word", FeatureType.STRING, vocabulary=("a",), unknown=False, missing=False),
            Feature("x", FeatureType.DOUBLE, missing=False, upper=5),
        ),
        {"word": objects("a", "b", None, "a", "a"), "x": np.array([9.0, 9.0, 1, math.nan, 5])},
    )
    assert found.refuser.tolist() == [1, 0, 0, 1, -1]


def test_one_and_true_and_one_point_zero_are_looked_up_apart():
    feature = Feature("odd", FeatureType.CATEGORY, vocabulary=("x", 1))
    found = code(signature(feature), {"odd": objects(1, "1", "x")})
    assert found.matrix[:, 0].tolist() == [1, feature.unknown_code, 0]


def test_an_unused_column_may_be_left_out():
    assert code(
        signature(Feature("x", FeatureType.DOUBLE), Feature("note", FeatureType.STRING, used=False)),
        {"x": np.array([2.0])},
    ).matrix.tolist() == [[2, 0]]
