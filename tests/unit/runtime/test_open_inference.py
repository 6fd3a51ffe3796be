"""V2 bodies of many rows are refused with their place; replies have the types their labels have."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from fakes.malformed_tensors import binary, blob, request, tensor, texts
from fakes.signatures import FLIGHT, FLIGHTS, LATE, matrix_signature, regression_signature
from modelport.domain.errors import InvalidInput, PayloadTooLarge
from modelport.domain.signature import Output, Task
from modelport.runtime.codecs import TRITON_TYPE, Codecs, MixedReply, OpenInferenceEncoder
from modelport.runtime.outputs import Outputs

ROWS = 40
BAD = 25
NAMES = [feature.name for feature in FLIGHTS.features]


def many(feature: str, value: Any, datatype: str) -> list[dict[str, Any]]:
    """Return tensors of forty flights, row 25 of one feature as given."""
    tensors = [tensor(name, [FLIGHT[name]] * ROWS) for name in NAMES]
    plain = FLIGHT[feature]
    values = [str(plain) if datatype == "BYTES" else plain] * ROWS
    values[BAD] = value
    tensors[NAMES.index(feature)] = tensor(feature, values, datatype=datatype)
    return tensors


@pytest.mark.parametrize(
    ("feature", "value", "datatype"),
    [
        ("dep_hour", None, "INT64"),
        ("dep_hour", 5.5, "FP64"),
        ("dep_hour", 1e30, "FP32"),
        ("origin", "XXX", "BYTES"),
        ("origin", None, "BYTES"),
        ("weekday", 7, "INT8"),
        ("weekday", 300, "UINT8"),
        ("weekday", 2**64, "UINT64"),
        ("temp", "cold", "BYTES"),
        ("distance", -1, "INT32"),
        ("distance", 1e39, "FP32"),
        ("distance", 2**53 + 1, "INT64"),
        ("distance", True, "FP64"),
        ("distance", [1.0], "FP64"),
        ("carrier", 5, "BYTES"),
    ],
)
def test_a_bad_row_among_many_is_named(feature: str, value: Any, datatype: str) -> None:
    body = json.dumps({"inputs": many(feature, value, datatype)}).encode()
    with pytest.raises(InvalidInput) as caught:
        Codecs(FLIGHTS).decoder_for(TRITON_TYPE)(body)
    assert (caught.value.row, caught.value.feature) == (BAD, feature), caught.value.message


@pytest.mark.parametrize(
    ("feature", "value", "datatype"),
    [
        ("dep_hour", 5.5, "FP64"),
        ("dep_hour", np.nan, "FP32"),
        ("origin", b"XXX", "BYTES"),
        ("origin", b"", "BYTES"),
        ("origin", b"\xff", "BYTES"),
        ("weekday", 7, "INT8"),
        ("weekday", 200, "UINT8"),
        ("temp", b"cold", "BYTES"),
        ("distance", -1, "INT32"),
        ("distance", np.inf, "FP16"),
        ("distance", 2**53 + 1, "INT64"),
        ("distance", 2**64 - 1, "UINT64"),
        ("temp", -(2**53) - 1, "INT64"),
        ("dep_hour", 2**63, "UINT64"),
    ],
)
def test_a_bad_row_among_many_is_named_in_binary(feature: str, value: Any, datatype: str) -> None:
    if datatype == "BYTES":
        given = [str(FLIGHT[feature]).encode()] * ROWS
        given[BAD] = value
        data = texts(*given)
    else:
        kind = {"FP64": "f8", "FP32": "f4", "FP16": "f2"}.get(datatype) or datatype.lower()
        array = np.full(ROWS, 1, kind)
        array[BAD] = value
        data = array.tobytes()
    tensors = many(feature, FLIGHT[feature], "BYTES")
    tensors[NAMES.index(feature)] = blob(feature, datatype, data, count=ROWS)
    content_type, body = binary({"inputs": tensors}, data)
    with pytest.raises(InvalidInput) as caught:
        Codecs(FLIGHTS).decoder_for(content_type)(body)
    assert (caught.value.row, caught.value.feature) == (BAD, feature), caught.value.message


def test_a_body_of_too_many_values_is_too_large() -> None:
    body = json.dumps({"inputs": [tensor("input", [], shape=[10**6, 30])]}).encode()
    with pytest.raises(PayloadTooLarge):
        Codecs(matrix_signature(30)).decoder_for(TRITON_TYPE)(body)


def test_integers_that_a_double_holds_are_taken_whatever_their_size() -> None:
    given = [2**53, -(2**53), 2**62, -(2**63), 2**53 + 2, 0, 1]
    data = np.array(given * 4, np.int64).tobytes()
    head = {"inputs": [blob("input", "INT64", data) | {"shape": [28, 1]}]}
    content_type, body = binary(head, data)
    read = Codecs(matrix_signature(1)).decoder_for(content_type)(body).matrix()
    assert read[:7, 0].tolist() == given


def test_a_kept_head_serves_other_tensors() -> None:
    decoder = None
    codecs = Codecs(matrix_signature(2))
    for number in range(5):
        data = np.array([[number, number + 1.0]]).tobytes()
        content_type, body = binary({"inputs": [blob("input", "FP64", data) | {"shape": [1, 2]}]}, data)
        decoder = codecs.decoder_for(content_type)
        assert decoder(body).matrix().tolist() == [[number, number + 1]]
    assert decoder is codecs.decoder_for(content_type)


def reply(output: Output, outputs: Outputs, *, asked: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a reply in JSON as decoded; the same in binary must agree with it."""
    decode = Codecs(matrix_signature(1) if output is LATE else _signature(output)).decoder_for(TRITON_TYPE)
    inputs = [{"name": "input", "shape": [1, 1], "datatype": "FP64", "data": [0]}]
    encoder = OpenInferenceEncoder(output, "m", "3", b"Length: %d\r\n")
    count = len(outputs)
    plain = json.loads(encoder.encode(outputs, 0, count, decode(_body(inputs, asked)).wish))
    wish = decode(_body(inputs, (asked or {}) | {"parameters": {"binary_data_output": True}})).wish
    mixed = encoder.encode(outputs, 0, count, wish)
    assert isinstance(mixed, MixedReply)
    size = int(mixed.content_type.partition("=")[2])
    assert mixed.fields == b"Length: %d\r\n" % size
    head, at = json.loads(mixed[:size]), size
    for one, same in zip(head["outputs"], plain["outputs"], strict=True):
        length = one["parameters"]["binary_data_size"]
        assert {**one, "parameters": None, "data": same["data"]} == {**same, "parameters": None}
        assert _elements(one["datatype"], mixed[at : at + length]) == same["data"]
        at += length
    assert at == len(mixed)
    return plain


def _signature(output: Output) -> Any:
    signature = matrix_signature(1)
    return type(signature)(signature.features, output, matrix=True)


def _body(inputs: list[dict[str, Any]], more: dict[str, Any] | None) -> bytes:
    return json.dumps({"inputs": inputs, **(more or {})}).encode()


def _elements(datatype: str, data: bytes) -> list[Any]:
    if datatype != "BYTES":
        return np.frombuffer(data, {"FP64": "<f8", "INT64": "<i8", "BOOL": "?"}[datatype]).tolist()
    found = []
    while data:
        size = int.from_bytes(data[:4], "little")
        found.append(data[4 : 4 + size].decode())
        data = data[4 + size :]
    return found


@pytest.mark.parametrize(
    ("labels", "datatype", "data"),
    [
        (("late", "on time"), "BYTES", ["on time", "late"]),
        (("é", 'a "b" %d'), "BYTES", ['a "b" %d', "é"]),
        ((3, 7), "INT64", [7, 3]),
        ((-(2**63), 2**63 - 1), "INT64", [2**63 - 1, -(2**63)]),
        ((0, 2**70), "BYTES", [str(2**70), "0"]),
        ((0.5, 1), "FP64", [1.0, 0.5]),
        ((False, True), "BOOL", [True, False]),
        ((1, "one"), "BYTES", ["one", "1"]),
    ],
)
@pytest.mark.parametrize("probabilities", [True, False])
def test_labels_have_their_own_type(
    labels: tuple[Any, ...],
    datatype: str,
    data: list[Any],
    probabilities: bool,  # noqa: FBT001
) -> None:
    likely = np.array([[0.25, 0.75], [0.5, 0.5]]) if probabilities else None
    outputs = Outputs(np.array([1, 0]), likely)
    made = reply(Output(Task.CLASSIFICATION, labels, probabilities), outputs)
    first = {"name": "predictions", "datatype": datatype, "shape": [2], "data": data}
    second = {
        "name": "probabilities",
        "datatype": "FP64",
        "shape": [2, 2],
        "data": [0.25, 0.75, 0.5, 0.5],
    }
    assert made == {
        "model_name": "m",
        "model_version": "3",
        "outputs": [first, second] if probabilities else [first],
    }


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("count", [1, 2, 1000])
def test_regressions(targets: int, count: int) -> None:
    output = regression_signature(1, targets).output
    numbers = np.arange(count * targets, dtype=np.float64).reshape(count, targets) / 7
    (one,) = reply(output, Outputs(predictions=numbers), asked={"id": "é"})["outputs"]
    assert one["shape"] == ([count] if targets == 1 else [count, targets])
    assert one["data"] == numbers.reshape(-1).tolist()


def test_an_id_and_the_order_of_outputs_are_kept() -> None:
    outputs = Outputs(np.array([0]), np.array([[0.75, 0.25]]))
    asked = {"id": 'a "7"', "outputs": [{"name": "probabilities"}, {"name": "predictions"}]}
    made = reply(LATE, outputs, asked=asked)
    assert (made["id"], [one["name"] for one in made["outputs"]]) == (
        'a "7"',
        ["probabilities", "predictions"],
    )


def test_a_request_of_good_tensors_is_good() -> None:
    assert Codecs(FLIGHTS).decoder_for(TRITON_TYPE)(json.dumps(request()).encode()).count == 2
