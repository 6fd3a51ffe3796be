"""A small mixed-type classifier as registered, and its answers computed by hand."""

from __future__ import annotations

import math
from typing import Any

import onnx
from onnx import TensorProto, helper

from modelport.domain.signature import Feature, FeatureType, Output, Signature, Task
from modelport.wire import manifest as bundle
from modelport.wire.signature import encode_signature

CARRIERS = ("001", "AA", "UA")
LABELS = ("late", "on time")
SCALE = 10.0
SIGNATURE = Signature(
    features=(
        Feature("carrier", FeatureType.STRING, vocabulary=CARRIERS),
        Feature("hour", FeatureType.INT64, missing=False, lower=0.0, upper=23.0),
        Feature("distance", FeatureType.DOUBLE),
        Feature("note", FeatureType.STRING, vocabulary=("x",), used=False),
    ),
    output=Output(Task.CLASSIFICATION, labels=LABELS, probabilities=True),
)


def on_time(carrier: str | None, hour: int, distance: float | None) -> float:
    """Return the probability of "on time"."""
    code = len(CARRIERS) + 1 if carrier is None else len(CARRIERS)
    if carrier in CARRIERS:
        code = CARRIERS.index(carrier)
    miles = 0.0 if distance is None or math.isnan(distance) else distance
    return 1 / (1 + math.exp(-(code + hour - miles) / SCALE))


def label(record: dict[str, Any]) -> str:
    """Return the predicted label of a record."""
    return LABELS[on_time(record["carrier"], record["hour"], record["distance"]) > 0.5]


def classifier_bundle() -> dict[str, bytes]:
    """Return the model's files."""
    double, integer = TensorProto.DOUBLE, TensorProto.INT64
    constants = [
        helper.make_tensor("zero", double, [1], [0.0]),
        helper.make_tensor("half", double, [1], [0.5]),
        helper.make_tensor("one", double, [1], [1.0]),
        helper.make_tensor("weights", double, [4, 1], [1 / SCALE, 1 / SCALE, -1 / SCALE, 0.0]),
        helper.make_tensor("flat", integer, [1], [-1]),
    ]
    nodes = [
        helper.make_node("IsNaN", ["matrix"], ["absent"]),
        helper.make_node("Where", ["absent", "zero", "matrix"], ["filled"]),
        helper.make_node("MatMul", ["filled", "weights"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["second"]),
        helper.make_node("Sub", ["one", "second"], ["first"]),
        helper.make_node("Concat", ["first", "second"], ["probabilities"], axis=1),
        helper.make_node("Greater", ["second", "half"], ["above"]),
        helper.make_node("Cast", ["above"], ["whole"], to=integer),
        helper.make_node("Reshape", ["whole", "flat"], ["label"]),
    ]
    graph = helper.make_graph(
        nodes,
        "serving",
        [helper.make_tensor_value_info("matrix", double, [None, 4])],
        [
            helper.make_tensor_value_info("label", integer, [None]),
            helper.make_tensor_value_info("probabilities", double, [None, 2]),
        ],
        initializer=constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    return {bundle.SERVING_GRAPH: model.SerializeToString(), bundle.SIGNATURE: encode_signature(SIGNATURE)}
