"""Record batches become matrices, row by row as the rules say; answers become columns."""

from __future__ import annotations

import decimal
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from fakes.signatures import FLIGHT, FLIGHTS, regression_signature
from modelport.domain.errors import InvalidInput
from modelport.domain.signature import Feature, FeatureType, Output, Signature, Task, Value
from modelport.runtime.columns import ColumnEncoder, Encoded, column_types, output_schema, to_arrays
from modelport.runtime.outputs import Outputs

ONE = Output(Task.REGRESSION, targets=("y",))
NUMBER = Feature("x", FeatureType.DOUBLE)
WHOLE = Feature("x", FeatureType.INT64, missing=False)
FLAG = Feature("x", FeatureType.BOOL)
WORD = Feature("x", FeatureType.STRING, vocabulary=("a", "b"))
CLOSED = replace(WORD, missing=False, unknown=False)
BOUNDED = Feature("x", FeatureType.DOUBLE, missing=False, lower=0.0, upper=1.0)


def encode(feature: Feature, array: pa.Array) -> Encoded:
    batch = pa.RecordBatch.from_arrays([array], names=["x"])
    return ColumnEncoder(Signature((feature,), ONE), ["x"]).encode(batch)


@pytest.mark.parametrize(
    "kind",
    [pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.decimal128(9, 2), pa.string()],
)
def test_numbers_of_any_width(kind: pa.DataType) -> None:
    array = pa.array(["1", None, "3"]).cast(kind) if kind != pa.float16() else _halves()
    assert np.array_equal(encode(NUMBER, array).matrix[:, 0], [1.0, np.nan, 3.0], equal_nan=True)


def _halves() -> pa.Array:
    return pa.array([np.float16(1), None, np.float16(3)], pa.float16())


@pytest.mark.parametrize(
    ("feature", "array", "expected"),
    [
        (FLAG, pa.array([True, None, False]), [1.0, np.nan, 0.0]),
        (FLAG, pa.array([1, 0], pa.int8()), [1.0, 0.0]),
        (WORD, pa.array(["b", None, "z", ""]), [1.0, 3.0, 2.0, 2.0]),
        (WORD, pa.array(["b", "a", "b"], pa.large_string()).dictionary_encode(), [1.0, 0.0, 1.0]),
        (WORD, pa.nulls(2), [3.0, 3.0]),
        (NUMBER, pa.nulls(1), [np.nan]),
        (
            WORD,
            pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array(["b", None])),
            [1.0, 3.0],
        ),
        (NUMBER, pa.array([], pa.float64()), []),
        (WORD, pa.array([], pa.string()), []),
        (NUMBER, pa.array([2.5, 1.0]).dictionary_encode(), [2.5, 1.0]),
        (replace(WORD, used=False, vocabulary=None), pa.array(["?", None]), [0.0, 0.0]),
        (Feature("x", FeatureType.DATETIME, used=False), pa.array([0, 1], pa.timestamp("s")), [0.0, 0.0]),
        (Feature("x", FeatureType.CATEGORY, vocabulary=(10, 20)), pa.array([20, 5, None]), [1.0, 2.0, 3.0]),
    ],
)
def test_columns_are_coded(feature: Feature, array: pa.Array, expected: list[float]) -> None:
    encoded = encode(feature, array)
    assert encoded.failures == []
    assert np.array_equal(encoded.matrix[:, 0], expected, equal_nan=True)


@pytest.mark.parametrize(
    ("feature", "array", "failures"),
    [
        (CLOSED, ["a", "z", None], {1: 'found "z"', 2: "found null, expected string: the model accepts no"}),
        (
            BOUNDED,
            [0.5, None, 1.5, float("nan"), -0.1],
            {1: "found null", 2: "found 1.5", 3: "found NaN", 4: "found -0.1"},
        ),
        (WHOLE, [1.0, 1.5, None], {1: "found 1.5, expected int64", 2: "found null"}),
        (WHOLE, ["1", "x", ""], {1: 'found "x", expected int64', 2: "found an empty cell"}),
        (FLAG, [0, 1, 2], {2: "found 2, expected bool"}),
        (WHOLE, [None, None], {0: "found null", 1: "found null"}),
    ],
)
def test_rows_that_fail_are_listed_with_their_reason(
    feature: Feature, array: list[Any], failures: dict[int, str]
) -> None:
    found = {row: (name, reason) for row, name, reason in encode(feature, pa.array(array)).failures}
    assert found.keys() == failures.keys()
    for row, start in failures.items():
        assert found[row][0] == "x"
        assert found[row][1].startswith(start)


def test_a_row_that_fails_leaves_its_neighbours_alone() -> None:
    rows = [FLIGHT, FLIGHT | {"origin": "XXX", "weekday": 9}, FLIGHT]
    encoded = ColumnEncoder(FLIGHTS, list(FLIGHT)).encode(pa.RecordBatch.from_pylist(rows))
    assert [(row, name) for row, name, _ in encoded.failures] == [(1, "origin")]
    assert encoded.matrix[0].tobytes() == encoded.matrix[2].tobytes()


@pytest.mark.parametrize(
    ("feature", "array"),
    [
        (WORD, pa.array([1, 2])),
        (WORD, pa.array([1, 2]).dictionary_encode()),
        (NUMBER, pa.array([True])),
        (NUMBER, pa.array([0], pa.timestamp("s"))),
        (NUMBER, pa.array([[1.0]])),
        (NUMBER, pa.array([b"1"])),
    ],
)
def test_a_column_of_a_type_that_never_fits_is_refused_whole(feature: Feature, array: pa.Array) -> None:
    with pytest.raises(InvalidInput, match=r'feature "x": found a column of .*, expected') as caught:
        encode(feature, array)
    assert caught.value.feature == "x"


def test_a_column_that_is_absent_is_named_with_the_nearest() -> None:
    names = ["Dep_hour" if name == "dep_hour" else name for name in FLIGHT]
    with pytest.raises(InvalidInput, match='"dep_hour": not found') as caught:
        ColumnEncoder(FLIGHTS, names)
    assert caught.value.hint == 'is it the column "Dep_hour"?'
    with pytest.raises(InvalidInput, match="stands twice"):
        ColumnEncoder(FLIGHTS, [*FLIGHT, "temp"])


def test_columns_that_are_no_feature_are_left_alone() -> None:
    batch = pa.RecordBatch.from_pylist([{"id": 1} | FLIGHT | {"late": True}])
    assert ColumnEncoder(FLIGHTS, batch.schema.names).encode(batch).matrix.shape == (1, 13)


def test_values_under_nulls_do_not_show() -> None:
    validity = pa.py_buffer(np.packbits([1, 0, 1], bitorder="little"))
    array = pa.Array.from_buffers(pa.float64(), 3, [validity, pa.py_buffer(np.array([0.5, 77.0, 1.0]))])
    assert np.array_equal(
        encode(replace(BOUNDED, missing=True), array).matrix[:, 0], [0.5, np.nan, 1], equal_nan=True
    )


@pytest.mark.parametrize("offset", [0, 1, 7, 8, 9, 13])
def test_slices_begin_where_they_begin(offset: int) -> None:
    values = [None if j % 3 == 0 else float(j) for j in range(30)]
    flags = [None if j % 5 == 0 else j % 2 == 0 for j in range(30)]
    sliced = encode(NUMBER, pa.array(values).slice(offset, 11)).matrix[:, 0]
    expected = [np.nan if value is None else value for value in values[offset : offset + 11]]
    assert np.array_equal(sliced, expected, equal_nan=True)
    sliced = encode(FLAG, pa.array(flags).slice(offset, 11)).matrix[:, 0]
    expected = [np.nan if value is None else float(value) for value in flags[offset : offset + 11]]
    assert np.array_equal(sliced, expected, equal_nan=True)


def test_csv_read_by_our_types_keeps_zeros_and_gaps() -> None:
    body = f"{','.join(FLIGHT)}\n001,EWR,001,13,2,1400,,,,,,,\n,EWR,,13,2,1400,1,,,,,,\n".encode()
    options = pyarrow.csv.ConvertOptions(column_types=column_types(FLIGHTS), strings_can_be_null=True)
    batch = pyarrow.csv.read_csv(io.BytesIO(body), convert_options=options).to_batches()[0]
    encoded = ColumnEncoder(FLIGHTS, batch.schema.names).encode(batch)
    assert encoded.failures == []
    assert encoded.matrix[0, :3].tolist() == [
        16.0,
        0.0,
        10.0,
    ]  # carrier 001 is unknown, destination 001 known
    assert encoded.matrix[1, :3].tolist() == [17.0, 0.0, 12.0]


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (("late", "né"), pa.string()),
        ((0, 1), pa.int64()),
        ((0.5, 1), pa.float64()),
        ((False, True), pa.bool_()),
        (("a", 1), pa.string()),
    ],
)
def test_answers_are_columns_in_the_words_of_the_labels(labels: tuple[Value, ...], kind: pa.DataType) -> None:
    signature = replace(FLIGHTS, output=Output(Task.CLASSIFICATION, labels, probabilities=True))
    outputs = Outputs(np.array([1, 0, 1]), np.array([[0.1, 0.9], [0.8, 0.2], [np.nan, 1.0]]))
    table = pa.Table.from_arrays(to_arrays(signature, outputs), schema=output_schema(signature))
    table.validate(full=True)
    assert table.schema.names == ["prediction", f"probability_{labels[0]}", f"probability_{labels[1]}"]
    assert table.schema.field(0).type == kind
    words = [str(label) if kind == pa.string() else label for label in labels]
    assert table["prediction"].to_pylist() == [words[1], words[0], words[1]]
    assert table[2].to_pylist() == [0.9, 0.2, 1.0]


def test_answers_of_a_regression() -> None:
    numbers = np.arange(6.0).reshape(3, 2)
    two = regression_signature(1, targets=2)
    assert output_schema(two).names == ["prediction_y0", "prediction_y1"]
    assert [array.to_pylist() for array in to_arrays(two, Outputs(predictions=numbers))] == [
        [0, 2, 4],
        [1, 3, 5],
    ]
    one = to_arrays(regression_signature(1), Outputs(predictions=numbers[::2, :1]))
    assert [array.to_pylist() for array in one] == [[0, 4]]


def test_decimals_are_the_nearest_doubles() -> None:
    array = pa.array([decimal.Decimal("0.10"), None], pa.decimal128(9, 2))
    assert encode(NUMBER, array).matrix[0, 0] == 0.1
