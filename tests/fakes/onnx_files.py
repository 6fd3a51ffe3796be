"""Ready ONNX files as other tools export them, small."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[tuple[str, int, list[Any]]],
    outputs: Sequence[tuple[str, int, list[Any]]],
    constants: dict[str, Any] | None = None,
    *,
    opset: int = 17,
    ml_opset: int | None = None,
) -> Path:
    """Write a model.

    Args:
        path: Where to.
        nodes: Its operators.
        inputs: Name, element type, shape.
        outputs: The same.
        constants: Name to array or finished tensor.
        opset: Of the default domain.
        ml_opset: Of `ai.onnx.ml`, None for none.
    """
    tensors = [
        value if isinstance(value, TensorProto) else numpy_helper.from_array(np.asarray(value), name)
        for name, value in (constants or {}).items()
    ]
    graph = helper.make_graph(
        list(nodes),
        "given",
        [helper.make_tensor_value_info(*each) for each in inputs],
        [helper.make_tensor_value_info(*each) for each in outputs],
        tensors,
    )
    opsets = [helper.make_opsetid("", opset)]
    if ml_opset:
        opsets.append(helper.make_opsetid("ai.onnx.ml", ml_opset))
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def softmax_file(path: Path, *, features: int = 3, classes: int = 3, weights: Any = None) -> Path:
    """Write a float32 softmax over weighted sums: `x` [N, features] to `scores` [N, classes]."""
    if weights is None:
        weights = np.random.default_rng(1).normal(size=(features, classes)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["sums"]),
        helper.make_node("Softmax", ["sums"], ["scores"], axis=1),
    ]
    return write(
        path,
        nodes,
        [("x", TensorProto.FLOAT, ["N", features])],
        [("scores", TensorProto.FLOAT, ["N", classes])],
        {"weights": weights},
    )


def exponential_file(path: Path) -> Path:
    """Write a double e^(weighted sum): one number of a row, so its last bit depends on the row's place."""
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["sums"]),
        helper.make_node("Exp", ["sums"], ["growth"]),
    ]
    return write(
        path,
        nodes,
        [("x", TensorProto.DOUBLE, ["N", 3])],
        [("growth", TensorProto.DOUBLE, ["N", 1])],
        {"weights": np.random.default_rng(1).normal(size=(3, 1))},
    )


def outside_tensor(name: str, location: str, shape: tuple[int, ...], **entries: int) -> TensorProto:
    """Return a float32 tensor whose bytes lie in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor
