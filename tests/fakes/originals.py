"""A model whose original and graph are both known, with a switch for each way they can differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from fakes.graphs import linear_regression
from modelport.domain.signature import Feature, FeatureType, Output, Signature, Task
from modelport.formats.conversion import Answers, Conversion

FEATURES = ("distance", "hour")
LIMIT = 1e6
SIGNATURE = Signature(
    tuple(
        Feature(name, FeatureType.DOUBLE, missing=False, lower=-LIMIT, upper=LIMIT, seen_min=0, seen_max=9)
        for name in FEATURES
    ),
    Output(Task.REGRESSION, targets=("delay",)),
)
WEIGHTS = np.random.default_rng(0).normal(size=(2, 1))  # those of linear_regression(2)


def refuse_odd(rows: np.ndarray) -> None:
    if not (np.abs(rows) <= LIMIT).all():
        raise ValueError("Input X contains NaN, or a value too large")


@dataclass
class LinearOriginal:
    """Weighted sums, refusing what is missing or too large; `change` alters its answers."""

    change: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda _rows, answers: answers
    check: Callable[[np.ndarray], None] = refuse_odd

    def columns(self, rows: Any) -> dict[str, np.ndarray]:
        return {name: np.asarray(rows)[:, place] for place, name in enumerate(FEATURES)}

    def build(self, columns: Any) -> np.ndarray:
        return np.column_stack([columns[name] for name in FEATURES])

    def answer(self, rows: np.ndarray) -> Answers:
        self.check(rows)
        return Answers(predictions=self.change(rows, rows @ WEIGHTS))


def linear_conversion(
    *,
    signature: Signature = SIGNATURE,
    family: str = "linear",
    published: bytes | None = None,
    **original: Any,
) -> Conversion:
    """Return a conversion of weighted sums; `original` are fields of `LinearOriginal`."""
    return Conversion(
        signature=SIGNATURE,
        serving=linear_regression(2),
        published=published if published is not None else published_linear(),
        framework="fake 1",
        estimator="Linear",
        family="linear",
        original=LinearOriginal(**original),
        scale=lambda matrix: np.abs(matrix) @ np.abs(WEIGHTS[:, 0]),
    )


def published_linear(*, shift: float = 0.0) -> bytes:
    """Return weighted sums with one input per column, all of them moved by `shift`."""
    nodes = [
        helper.make_node("Concat", list(FEATURES), ["matrix"], axis=1),
        helper.make_node("MatMul", ["matrix", "weights"], ["sums"]),
        helper.make_node("Add", ["sums", "shift"], ["predictions"]),
    ]
    graph = helper.make_graph(
        nodes,
        "published",
        [helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["N", 1]) for name in FEATURES],
        [helper.make_tensor_value_info("predictions", TensorProto.DOUBLE, ["N", 1])],
        [
            numpy_helper.from_array(WEIGHTS, "weights"),
            numpy_helper.from_array(np.array([shift]), "shift"),
        ],
    )
    opsets = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    content: bytes = model.SerializeToString()
    return content
