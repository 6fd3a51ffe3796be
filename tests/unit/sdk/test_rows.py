"""Rows become requests exactly: every value keeps its meaning, in pieces; what cannot says where it is."""

import datetime as dt
import io
import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.domain.errors import InvalidInput
from modelport.sdk.rows import CSV, JSON, NPY, encode_rows, index_of


def split(bodies):
    """Return the rows of JSON bodies as dicts by column."""
    rows = []
    for body in bodies:
        assert body.content_type == JSON
        table = json.loads(body.content)["dataframe_split"]
        assert len(table["data"]) == body.rows
        rows += [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    return rows


def instances(bodies):
    return [row for body in bodies for row in json.loads(body.content)["instances"]]


def test_every_kind_of_column_keeps_its_meaning():
    frame = pd.DataFrame(
        {
            "number": [1.5, math.nan],
            "integer": [2**53 + 1, -1],
            "nullable": pd.array([7, None], dtype="Int64"),
            "flag": [True, False],
            "maybe": pd.array([True, None], dtype="boolean"),
            "text": ["001", None],
            "string": pd.array(["1e5", None], dtype="string"),
            "category": pd.Categorical(["a", None], categories=["a", "b"]),
            "codes": pd.Categorical([3, 1], categories=[1, 3]),
            "time": pd.to_datetime(["2013-01-01 05:00", None]),
            "mixed": ["x", 3],
            "single": np.array([0.1, 0.2], dtype=np.float32),
            "small": np.array([1, 2], dtype=np.int8),
            7: [1, 2],
        },
        index=["p", "q"],
    )
    first, second = split(encode_rows(frame))
    assert first == {
        "number": 1.5,
        "integer": 2**53 + 1,
        "nullable": 7,
        "flag": True,
        "maybe": True,
        "text": "001",
        "string": "1e5",
        "category": "a",
        "codes": 3,
        "time": "2013-01-01T05:00:00",
        "mixed": "x",
        "single": float(np.float32(0.1)),
        "small": 1,
        "7": 1,
    }
    assert [name for name, value in second.items() if value is None] == [
        "number",
        "nullable",
        "maybe",
        "text",
        "string",
        "category",
        "time",
    ]
    assert second["flag"] is False
    assert type(second["integer"]) is int


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(allow_infinity=False)),
            st.integers(-(2**63), 2**63 - 1),
            st.one_of(st.none(), st.text(max_size=5)),
        ),
        min_size=1,
        max_size=40,
    ),
    st.integers(50, 2000),
)
def test_pieces_joined_are_the_frame(rows, body_bytes):
    frame = pd.DataFrame(rows, columns=["number", "integer", "text"]).astype(
        {"number": float, "text": object}
    )
    sent = split(encode_rows(frame, body_bytes=body_bytes))
    assert len(sent) == len(rows)
    for (number, integer, text), row in zip(rows, sent, strict=True):
        assert row["number"] == (None if number is None or math.isnan(number) else number)
        assert row["integer"] == integer
        assert row["text"] == text


@given(st.integers(1, 300), st.integers(1, 5), st.integers(200, 4000))
def test_a_matrix_is_sent_bit_for_bit(rows, features, body_bytes):
    matrix = np.random.default_rng(rows).standard_normal((rows, features))
    matrix[0, 0], matrix[-1, -1] = math.nan, math.inf
    pieces = []
    for body in encode_rows(np.asfortranarray(matrix), body_bytes=body_bytes):
        assert body.content_type == NPY
        pieces.append(np.load(io.BytesIO(body.content), allow_pickle=False))
        assert len(pieces[-1]) == body.rows
    np.testing.assert_array_equal(np.concatenate(pieces), matrix)


def test_columns_without_names_go_by_position():
    (body,) = encode_rows(pd.DataFrame([[1.5, 2.0], [np.nan, 4.0]]))
    assert body.content_type == NPY
    np.testing.assert_array_equal(np.load(io.BytesIO(body.content)), [[1.5, 2.0], [np.nan, 4.0]])
    (body,) = encode_rows(pd.DataFrame({0: ["001", None], 1: pd.array([7, None], dtype="Int64")}))
    assert json.loads(body.content) == {"instances": [["001", 7], [None, None]]}


def test_pieces_stay_near_their_size():
    frame = pd.DataFrame({"text": ["x" * 100] * 20_000})
    sizes = [len(body.content) for body in encode_rows(frame, body_bytes=50_000)]
    assert max(sizes) <= 100_000
    assert len(sizes) < 60


def test_lists_and_dicts_are_rows():
    assert instances(encode_rows([[1, 2.5], ["a", None]])) == [[1, 2.5], ["a", None]]
    assert instances(encode_rows({"a": np.float64(1.5), "b": np.int64(2)})) == [{"a": 1.5, "b": 2}]
    assert instances(encode_rows([{"a": math.nan}])) == [{"a": None}]
    assert instances(encode_rows(np.array([["a", 1]], dtype=object))) == [["a", 1]]
    assert instances(encode_rows([(1, 2)])) == [[1, 2]]


def test_an_arrow_table_is_rows():
    table = pa.table(
        {
            "a": [1, None],
            "t": pa.array([dt.datetime(2013, 1, 1, tzinfo=dt.UTC), None], pa.timestamp("s", tz="UTC")),
        }
    )
    assert split(encode_rows(table)) == [{"a": 1, "t": "2013-01-01T00:00:00+00:00"}, {"a": None, "t": None}]


def test_infinity_travels_as_csv_where_all_is_numeric():
    (body,) = encode_rows(pd.DataFrame({"a": [math.inf, 1.0], 'b"c': [math.nan, -math.inf]}))
    assert body.content_type == CSV
    assert body.content == b'"a","b""c"\ninf,\n1.0,-inf\n'


@pytest.mark.parametrize(
    ("rows", "says", "row", "feature"),
    [
        (pd.DataFrame(), "no rows", None, None),
        ([], "no rows", None, None),
        (pd.DataFrame({"a": [math.inf], "b": ["text"]}), "infinity and text", 0, "b"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "2 times", None, None),
        (pd.DataFrame({"a": [1, object()]}), "found a object", 1, "a"),
        (pd.DataFrame({"a": pd.to_timedelta([1], "s")}), "Timedelta", 0, "a"),
        ([{"a": math.inf}], "inf", 0, "a"),
        ([[1], [math.inf]], "inf", 1, None),
        (np.array([1.0, 2.0]), "reshape", None, None),
        ([1.0, 2.0], "row 0 is a float", 0, None),
        (pd.Series([1.0]), "Series", None, None),
        ("rows.csv", "str", None, None),
    ],
)
def test_what_cannot_be_sent_says_where(rows, says, row, feature):
    with pytest.raises(InvalidInput) as caught:
        list(encode_rows(rows))
    assert says in f"{caught.value.message} {caught.value.hint}"
    assert (caught.value.row, caught.value.feature) == (row, feature)


def test_the_row_of_an_error_counts_from_the_beginning():
    frame = pd.DataFrame({"a": pd.Series([1] * 1000 + [object()], dtype=object)})
    with pytest.raises(InvalidInput, match="row 1000"):
        list(encode_rows(frame, body_bytes=100))


def test_only_frames_have_an_index():
    frame = pd.DataFrame({"a": [1]}, index=["x"])
    assert list(index_of(frame)) == ["x"]
    assert index_of(np.zeros((1, 1))) is None
