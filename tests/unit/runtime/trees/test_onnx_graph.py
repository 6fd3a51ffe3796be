"""Reading and cutting ONNX files without `onnx`: the same as `onnx` says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import ModelProto, TensorProto, helper, numpy_helper

from fakes.graphs import linear_classifier
from modelport.runtime.trees.onnx_graph import OnnxGraph, read_tensor
from modelport.runtime.trees.protobuf import Malformed, fields, read_integers

integers = st.lists(st.integers(-(2**63), 2**63 - 1))


@settings(deadline=None)
@given(integers)
def test_whole_numbers_of_an_attribute(values):
    attribute = helper.make_attribute("some", values, attr_type=7)
    assert read_integers(memoryview(attribute.SerializeToString()), 8).tolist() == values


@settings(deadline=None)
@given(integers)
def test_packed_whole_numbers(values):
    tensor = TensorProto(dims=[len(values)], data_type=TensorProto.INT64, int64_data=values)
    assert read_tensor(memoryview(tensor.SerializeToString())).tolist() == values


@settings(deadline=None)
@given(
    arrays.arrays(
        st.sampled_from([np.float64, np.float32, np.int64, np.uint8, np.bool_]),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0),
    )
)
def test_tensors(values):
    found = read_tensor(memoryview(numpy_helper.from_array(values).SerializeToString()))
    assert found.dtype == values.dtype
    assert found.shape == values.shape
    assert found.tobytes() == values.tobytes()


def test_loose_doubles():
    tensor = helper.make_tensor("t", TensorProto.DOUBLE, [2, 2], [1.0, 2.0, np.pi, -0.0])
    assert read_tensor(memoryview(tensor.SerializeToString())).tolist() == [[1.0, 2.0], [np.pi, -0.0]]


def test_a_tensor_kept_elsewhere_or_of_words_is_refused():
    outside = TensorProto(dims=[2], data_type=TensorProto.DOUBLE, data_location=TensorProto.EXTERNAL)
    words = helper.make_tensor("t", TensorProto.STRING, [1], [b"a"])
    for tensor in (outside, words):
        with pytest.raises(Malformed):
            read_tensor(memoryview(tensor.SerializeToString()))


def test_nodes_are_those_that_onnx_reads():
    content = linear_classifier(4)
    model = ModelProto()
    model.ParseFromString(content)
    graph = OnnxGraph(content)
    assert [(n.op, n.domain, n.inputs, n.outputs) for n in graph.nodes] == [
        (n.op_type, n.domain, tuple(n.input), tuple(n.output)) for n in model.graph.node
    ]
    assert list(graph.inputs) == [each.name for each in model.graph.input]
    assert list(graph.outputs) == [each.name for each in model.graph.output]
    for each in model.graph.initializer:
        assert graph.constant(each.name).tobytes() == numpy_helper.to_array(each).tobytes()


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(content):
    for read in (
        lambda: OnnxGraph(content),
        lambda: list(fields(memoryview(content))),
        lambda: _integers(content),
    ):
        try:
            read()
        except Malformed:
            continue


def _integers(content):
    read_integers(memoryview(content), 8)


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_file_is_read_or_refused(place, byte):
    content = bytearray(linear_classifier(4))
    content[place % len(content)] = byte
    try:
        graph = OnnxGraph(bytes(content))
        for name in list(graph._constants):
            graph.constant(name)
    except Malformed:
        return
