"""Replies say what the model answered, exactly, in each content type."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.signatures import FLIGHTS, matrix_signature, regression_signature
from modelport.domain.errors import NotAcceptable
from modelport.domain.signature import Output, Signature, Task, Value
from modelport.runtime.codecs import Codecs, Encoder
from modelport.runtime.outputs import Outputs

ANSWERS = Outputs(np.array([1, 0, 1]), np.array([[0.1, 0.9], [2 / 3, 1 / 3], [0.0, 1.0]]))


def encoder(signature: Signature, accept: str | None = None) -> Encoder:
    return Codecs(signature).encoder_for(accept)


def classifier(*labels: Value, probabilities: bool = False) -> Signature:
    return replace(FLIGHTS, output=Output(Task.CLASSIFICATION, labels, probabilities=probabilities))


def test_a_classifiers_reply() -> None:
    assert json.loads(encoder(FLIGHTS).encode(ANSWERS, 0, 2)) == {
        "predictions": ["on time", "late"],
        "probabilities": [[0.1, 0.9], [2 / 3, 1 / 3]],
        "classes": ["late", "on time"],
    }


def test_a_slice_of_a_shared_run_is_the_reply_of_its_rows() -> None:
    for accept in ("application/json", "text/csv", "application/jsonlines", "application/x-npy"):
        write = encoder(FLIGHTS, accept)
        assert write.encode(ANSWERS, 1, 2) == write.encode(ANSWERS.rows(1, 2), 0, 1)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [((0, 1), b"[1]"), ((False, True), b"[true]"), ((0.5, 1.5), b"[1.5]"), (("a", 'b"\n'), b'["b\\"\\n"]')],
)
def test_labels_keep_their_type(labels: tuple[Value, ...], expected: bytes) -> None:
    reply = encoder(classifier(*labels)).encode(Outputs(np.array([1])), 0, 1)
    assert reply == b'{"predictions":%b}' % expected


@given(st.lists(st.floats(), min_size=1, max_size=5), st.sampled_from([1, 600]))
def test_floats_come_back_bit_for_bit(values: list[float], times: int) -> None:
    column = np.array(values * times)
    outputs = Outputs(predictions=column[:, None])
    signature = regression_signature(1)
    read = json.loads(encoder(signature).encode(outputs, 0, len(column)))["predictions"]
    for back, value in zip(read, column.tolist(), strict=True):
        assert back == value if np.isfinite(value) else back is None  # JSON has no NaN and no infinity
    text = encoder(signature, "text/csv").encode(outputs, 0, len(column)).decode().splitlines()
    assert np.array([float(line) for line in text]).tobytes() == _plain_nan(column).tobytes()
    array = np.load(io.BytesIO(encoder(signature, "application/x-npy").encode(outputs, 0, len(column))))
    assert array.tobytes() == column.tobytes()


def _plain_nan(column: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(column), np.nan, column)


@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_several_targets_are_lists(rows: int) -> None:
    numbers = np.arange(rows * 2.0).reshape(rows, 2)
    signature = regression_signature(1, targets=2)
    outputs = Outputs(predictions=numbers)
    assert json.loads(encoder(signature).encode(outputs, 0, rows)) == {"predictions": numbers.tolist()}
    lines = encoder(signature, "application/jsonlines").encode(outputs, 0, rows).splitlines()
    assert json.loads(lines[-1]) == {"prediction": numbers[-1].tolist()}
    assert encoder(signature, "text/csv").encode(outputs, 0, 1) == b"0.0,1.0\n"


def test_large_and_small_replies_are_alike() -> None:
    rng = np.random.default_rng(0)
    outputs = Outputs(rng.integers(0, 2, 2000), rng.random((2000, 2)))
    whole = json.loads(encoder(FLIGHTS).encode(outputs, 0, 2000))
    parts = [json.loads(encoder(FLIGHTS).encode(outputs, at, at + 1)) for at in range(2000)]
    assert whole["predictions"] == [part["predictions"][0] for part in parts]
    assert whole["probabilities"] == [part["probabilities"][0] for part in parts]
    assert whole["classes"] == parts[0]["classes"]


def test_csv_has_the_prediction_first_and_quotes_what_must_be() -> None:
    signature = classifier('a "b", c', "=1", probabilities=True)
    reply = encoder(signature, "text/csv").encode(ANSWERS.rows(0, 2), 0, 2).decode()
    assert list(csv.reader(io.StringIO(reply))) == [
        ["=1", "0.1", "0.9"],
        ['a "b", c', repr(2 / 3), repr(1 / 3)],
    ]


def test_json_lines_have_a_line_per_row() -> None:
    lines = encoder(FLIGHTS, "application/jsonlines").encode(ANSWERS, 0, 3).splitlines()
    assert json.loads(lines[0]) == {"prediction": "on time", "probabilities": [0.1, 0.9]}
    assert len(lines) == 3


def test_npy_needs_no_unpickling() -> None:
    array = np.load(
        io.BytesIO(encoder(FLIGHTS, "application/x-npy").encode(ANSWERS, 0, 3)), allow_pickle=False
    )
    assert array["prediction"].tolist() == ["on time", "late", "on time"]
    assert array["probabilities"].tolist() == ANSWERS.probabilities.tolist()
    bare = encoder(classifier(10, 20), "application/x-npy").encode(Outputs(np.array([1, 0])), 0, 2)
    assert np.load(io.BytesIO(bare)).tolist() == [20, 10]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/*", "text/csv"),
        ("text/csv", "text/csv"),
        ("TEXT/CSV; q=0.5, application/x-npy;q=0.9", "application/x-npy"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "application/json"),
        ("application/json;q=0, */*", "text/csv"),
        ("application/x-ndjson", "application/jsonlines"),
        ("application/jsonlines; charset=utf-8", "application/jsonlines"),
    ],
)
def test_accept_chooses(accept: str | None, expected: str) -> None:
    assert encoder(matrix_signature(1), accept).content_type == expected


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "json",
        "*/*;q=2",
        "text/csv;q=0",
        "application/json;q=high",
        ";",
        "text/csv;;=",
        "a" * 5000,
    ],
)
def test_what_nothing_writes_is_refused_with_what_would_do(accept: str) -> None:
    with pytest.raises(NotAcceptable) as caught:
        encoder(matrix_signature(1), accept)
    assert caught.value.hint == (
        "use one of application/json, text/csv, application/jsonlines, application/x-npy, "
        "application/vnd.apache.arrow.stream"
    )
