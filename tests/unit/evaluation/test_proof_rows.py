import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.domain.errors import InvalidInput
from modelport.domain.signature import Feature, FeatureType, Output, Signature, Task
from modelport.evaluation.proof_rows import ProofRows, decode_rows, encode_rows

SIGNATURE = Signature(
    (
        Feature("x", FeatureType.DOUBLE),
        Feature("word", FeatureType.STRING, vocabulary=("001", "")),
        Feature("code", FeatureType.INT64, vocabulary=(1, 2)),
        Feature("odd", FeatureType.CATEGORY, vocabulary=(1, "1")),
    ),
    Output(Task.CLASSIFICATION, labels=("a", "b"), probabilities=True),
)


def objects(values):
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


@given(st.lists(st.floats(), min_size=0, max_size=20), st.data())
def test_rows_come_back_as_they_were(numbers, data):
    count = len(numbers)
    some = st.lists(st.sampled_from(["001", "", None, "é\x00☃"]), min_size=count, max_size=count)
    rows = ProofRows(
        columns={
            "x": np.array(numbers, dtype=np.float64),
            "word": objects(data.draw(some)),
            "code": objects([1, None, 7][:1] * count),
            "odd": objects([(1, "1", None)[index % 3] for index in range(count)]),
        },
        origin=np.array(["example"] * count, dtype="<U9"),
        refused=np.zeros(count, dtype=bool),
        allowed=np.full(count, 1e-14),
        label=np.arange(count) % 2,
        probabilities=np.column_stack([np.array(numbers, dtype=np.float64)] * 2),
        margin=np.full(count, math.inf),
    )
    found = decode_rows(SIGNATURE, encode_rows(SIGNATURE, rows))
    for name, column in rows.columns.items():
        assert found.columns[name].dtype == column.dtype
        np.testing.assert_array_equal(found.columns[name], column)
        assert [type(value) for value in found.columns[name]] == [type(value) for value in column]
    np.testing.assert_array_equal(found.probabilities, rows.probabilities)
    np.testing.assert_array_equal(found.label, rows.label)
    assert found.predictions is None
    assert found.margin.tolist() == rows.margin.tolist()


@pytest.mark.parametrize("content", [b"", b"ARROW1\0\0garbage"])
def test_other_bytes_are_refused(content):
    with pytest.raises(InvalidInput, match="rows of a proof"):
        decode_rows(SIGNATURE, content)
