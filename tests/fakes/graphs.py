"""Serving graphs made by hand: a linear classifier, a linear regression, a tree."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

IR_VERSION = 10
OPSETS = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 5)]


def linear_classifier(features: int, classes: int = 2, *, seed: int = 0) -> bytes:
    """Return a graph whose missing values count as zero; probabilities are a softmax of weighted sums."""
    weights = np.random.default_rng(seed).normal(size=(features, classes))
    nodes = [
        helper.make_node("IsNaN", ["matrix"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "matrix"], ["filled"]),
        helper.make_node("MatMul", ["filled", "weights"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]),
        helper.make_tensor_value_info("probabilities", TensorProto.DOUBLE, ["N", classes]),
    ]
    constants = [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.zeros(1), "zero")]
    return _graph(nodes, outputs, constants, features)


def linear_regression(features: int, targets: int = 1, *, seed: int = 0) -> bytes:
    """Return a graph of weighted sums; a missing value makes the answer NaN."""
    weights = np.random.default_rng(seed).normal(size=(features, targets))
    nodes = [helper.make_node("MatMul", ["matrix", "weights"], ["predictions"])]
    outputs = [helper.make_tensor_value_info("predictions", TensorProto.DOUBLE, ["N", targets])]
    return _graph(nodes, outputs, [numpy_helper.from_array(weights, "weights")], features)


def stump(features: int, threshold: float = 0.5) -> bytes:
    """Return a tree of one split in double: 1.0 where the first feature is at most it, else 2.0."""
    tree = helper.make_node(
        "TreeEnsemble",
        ["matrix"],
        ["predictions"],
        domain="ai.onnx.ml",
        nodes_featureids=[0],
        nodes_splits=numpy_helper.from_array(np.array([threshold])),
        nodes_modes=numpy_helper.from_array(np.zeros(1, np.uint8)),
        nodes_truenodeids=[0],
        nodes_falsenodeids=[1],
        nodes_trueleafs=[1],
        nodes_falseleafs=[1],
        nodes_missing_value_tracks_true=[0],
        leaf_targetids=[0, 0],
        leaf_weights=numpy_helper.from_array(np.array([1.0, 2.0])),
        tree_roots=[0],
        n_targets=1,
        aggregate_function=1,
        post_transform=0,
    )
    outputs = [helper.make_tensor_value_info("predictions", TensorProto.DOUBLE, ["N", 1])]
    return _graph([tree], outputs, [], features)


def _graph(nodes: list, outputs: list, constants: list, features: int) -> bytes:
    matrix = helper.make_tensor_value_info("matrix", TensorProto.DOUBLE, ["N", features])
    graph = helper.make_graph(nodes, "serving", [matrix], outputs, constants)
    model = helper.make_model(graph, opset_imports=OPSETS, ir_version=IR_VERSION)
    return model.SerializeToString()
