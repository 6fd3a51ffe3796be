"""Requests are whole and say what they hold; replies are read in every form."""

import json

import numpy as np
import pytest
from measuring.asking import HEADER_LENGTH, json_dialect, read_v2, v2_binary, v2_json

ROWS = np.arange(6.0).reshape(2, 3) / 8
RECORDS = [{"carrier": "UA", "temp": 3.5}, {"carrier": "É", "temp": None}]


@pytest.mark.parametrize(
    ("dialect", "rows"),
    [
        (json_dialect("/p", "instances", "probabilities"), ROWS),
        (json_dialect("/p"), RECORDS),
        (v2_json("/v2/models/m/infer"), ROWS),
        (v2_binary("/v2/models/m/infer"), ROWS),
        (v2_binary("/v2/models/m/infer"), RECORDS),
    ],
)
def test_a_request_is_as_long_as_it_says(dialect, rows) -> None:
    head, body = dialect.request(rows).split(b"\r\n\r\n", 1)
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert first == f"POST {dialect.path} HTTP/1.1"
    assert int(headers["Content-Length"]) == len(body)
    if HEADER_LENGTH in headers:
        tensors = json.loads(body[: int(headers[HEADER_LENGTH])])["inputs"]
        sizes = [tensor["parameters"]["binary_data_size"] for tensor in tensors]
        assert int(headers[HEADER_LENGTH]) + sum(sizes) == len(body)


def test_json_is_read_wherever_probabilities_stand() -> None:
    dialect = json_dialect("/p", "instances", "probabilities", "predictions")
    assert dialect.read(b'{"predictions": ["a"], "probabilities": [[0.5, 0.5]]}', {}).tolist() == [[0.5, 0.5]]
    assert dialect.read(b'{"predictions": [[1, 0]]}', {}).tolist() == [[1, 0]]
    assert json_dialect("/p").read(b"[[0.25, 0.75]]", {}).tolist() == [[0.25, 0.75]]


def test_v2_replies_are_read_in_json_and_in_binary() -> None:
    told = {
        "outputs": [
            {"name": "y", "datatype": "FP64", "shape": [1, 2], "parameters": None, "data": [0.5, 0.5]}
        ]
    }
    assert read_v2(json.dumps(told).encode(), {}).tolist() == [[0.5, 0.5]]
    values = np.array([[0.25, 0.75]], "<f4")
    outputs = [
        {"name": "predictions", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 6}},
        {"name": "probabilities", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}},
    ]
    head = json.dumps({"outputs": outputs}).encode()
    body = head + b"\x02\0\0\0ab" + values.tobytes()
    assert read_v2(body, {HEADER_LENGTH.lower(): str(len(head))}).tolist() == values.tolist()
