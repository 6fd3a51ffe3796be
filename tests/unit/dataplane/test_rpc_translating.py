"""gRPC messages to V2 bodies and back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.domain.errors import InvalidInput

pytest.importorskip("google.protobuf", reason="protobuf is not installed: pip install modelport[grpc]")
from google.protobuf.descriptor_pb2 import DescriptorProto

from modelport.dataplane.rpc.messages import MESSAGES
from modelport.dataplane.rpc.translating import make_response, path_of, read_request


def shape_of(descriptor):
    """Return what of a message travels: its fields, and those of messages in it."""
    found = DescriptorProto()
    descriptor.CopyToProto(found)
    inner = {each.name: shape_of(each) for each in descriptor.nested_types}
    return {
        field.number: (field.name, field.type, field.label, field.type_name.rpartition(".")[2])
        for field in found.field
    }, inner


def test_the_messages_are_those_of_the_public_client():
    service_pb2 = pytest.importorskip("tritonclient.grpc.service_pb2", reason="tritonclient[grpc]")
    for name, kind in MESSAGES.items():
        assert shape_of(kind.DESCRIPTOR) == shape_of(getattr(service_pb2, name).DESCRIPTOR), name


def infer(**more):
    return MESSAGES["ModelInferRequest"](model_name="m", **more)


def typed(datatype, **contents):
    return infer(inputs=[{"name": "x", "datatype": datatype, "shape": [2], "contents": contents}])


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5))
def test_raw_contents_pass_through(blobs):
    inputs = [{"name": f"x{i}", "datatype": "BYTES", "shape": [1]} for i in range(len(blobs))]
    head, found = read_request(infer(inputs=inputs, raw_input_contents=blobs, id="7"))
    document = json.loads(head)
    assert found == blobs
    assert [each["parameters"]["binary_data_size"] for each in document["inputs"]] == [*map(len, blobs)]
    assert document["id"] == "7"
    assert document["parameters"] == {"binary_data_output": True}


@given(st.lists(st.floats(width=32), min_size=1), st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_typed_contents_hold_every_bit(floats, integers):
    assert read_request(typed("FP32", fp32_contents=floats))[1] == [np.array(floats, "<f4").tobytes()]
    assert read_request(typed("FP64", fp64_contents=floats))[1] == [np.array(floats, "<f8").tobytes()]
    assert read_request(typed("INT64", int64_contents=integers))[1] == [np.array(integers, "<i8").tobytes()]


@given(st.lists(st.binary(max_size=9), min_size=1))
def test_texts_are_packed_with_their_lengths(texts):
    [blob] = read_request(typed("BYTES", bytes_contents=texts))[1]
    found = []
    while blob:
        size = int.from_bytes(blob[:4], "little")
        found.append(blob[4 : 4 + size])
        blob = blob[4 + size :]
    assert found == texts


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (typed("INT8", int_contents=[1, 128]), "element 1: found 128, which INT8 does not hold"),
        (typed("UINT16", uint_contents=[65536]), "element 0: found 65536, which UINT16"),
        (typed("FP16", fp32_contents=[1]), "FP16 travels in raw_input_contents only"),
        (typed("FP64", fp32_contents=[1]), "found fp32_contents, expected fp64_contents"),
        (typed("FP64", fp32_contents=[1], fp64_contents=[1]), "found fp32_contents and fp64_contents"),
        (infer(inputs=[{"name": "x"}], raw_input_contents=[b"", b""]), "found 2 raw_input_contents for 1"),
        (
            infer(inputs=[{"name": "x", "contents": {"int_contents": [1]}}], raw_input_contents=[b""]),
            "contents beside raw_input_contents",
        ),
        (infer(parameters={"binary_data_output": {"bool_param": False}}), "belongs to HTTP bodies"),
        (infer(parameters={"x": {}}), "found no value"),
    ],
)
def test_what_does_not_fit_is_refused(request_, said):
    with pytest.raises(InvalidInput, match=said):
        read_request(request_)


def test_parameters_and_outputs_are_handed_on():
    head, _ = read_request(
        infer(
            parameters={"a": {"int64_param": 3}, "b": {"string_param": "x"}, "c": {"double_param": 0.5}},
            outputs=[{"name": "y", "parameters": {"classification": {"int64_param": 2}}}],
        )
    )
    document = json.loads(head)
    assert document["parameters"] == {"a": 3, "b": "x", "c": 0.5, "binary_data_output": True}
    assert document["outputs"] == [{"name": "y", "parameters": {"classification": 2}}]


def test_a_reply_becomes_a_response():
    head = json.dumps(
        {
            "model_name": "m",
            "model_version": "3",
            "parameters": {"widened_to_fp64": "FP32"},
            "outputs": [
                {"name": "a", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": 8}},
                {"name": "b", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 5}},
            ],
        }
    ).encode()
    response = make_response(head + b"12345678" + b"\1\0\0\0z", len(head))
    assert list(response.raw_output_contents) == [b"12345678", b"\1\0\0\0z"]
    assert [(each.name, each.datatype, list(each.shape)) for each in response.outputs] == [
        ("a", "FP64", [1]),
        ("b", "BYTES", [1]),
    ]
    assert response.parameters["widened_to_fp64"].string_param == "FP32"


def test_names_cannot_leave_their_place_in_a_path():
    assert path_of("a/b c\r\n", "1/2", "/infer") == "/v2/models/a%2Fb%20c%0D%0A/versions/1%2F2/infer"
    with pytest.raises(InvalidInput, match="no name"):
        path_of("", "", "")
