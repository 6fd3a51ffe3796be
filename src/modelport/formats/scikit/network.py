"""Multi-layer perceptrons in double, each layer of an even width (see `formats/probabilities.py`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from modelport.domain.errors import ConversionFailed
from modelport.formats.blocks import Block
from modelport.formats.emission import Emission
from modelport.formats.probabilities import Spread, against_zero, evened, label_of, softmax, unchanged
from modelport.formats.scikit.stock import convert_stock
from modelport.formats.scikit.walk import Walk

HIDDEN = {"identity": None, "relu": "Relu", "tanh": "Tanh", "logistic": "Sigmoid"}


def convert_network(walk: Walk, model: Any, block: Block, where: str) -> Emission:
    """Convert MLPClassifier or MLPRegressor; one that computes in float32 goes through skl2onnx."""
    if block.single or any(each.dtype != np.float64 for each in model.coefs_):
        return convert_stock(walk, model, block, where)
    classes = getattr(model, "classes_", None)
    if classes is not None and model.out_activation_ == "logistic" and model.n_outputs_ > 1:
        raise ConversionFailed(
            f"{where} predicts several labels at once, which modelport cannot convert yet",
            hint="train one classifier for each label",
        )
    graph = walk.graph
    count = model.n_outputs_
    if model.out_activation_ == "identity":
        spread = unchanged(count)
    else:
        spread = against_zero() if classes is not None and count == 1 else evened(count)
    tensor, places = walk.body.collect(block.columns)
    weights = np.empty_like(model.coefs_[0])
    weights[places] = model.coefs_[0]
    for layer, intercept in enumerate(model.intercepts_):
        last = layer == len(model.intercepts_) - 1
        # one idle unit more where a layer's width is odd: neither it nor what follows it adds anything
        outward = spread if last else Spread(np.eye(len(intercept), _even(len(intercept))), np.zeros(1))
        product = graph.add("MatMul", tensor, graph.constant(weights @ outward.matrix))
        shift = intercept @ outward.matrix + outward.offset
        tensor = graph.add("Add", product, graph.constant(shift[np.newaxis, :]))
        if not last:
            function = HIDDEN[model.activation]
            tensor = graph.add(function, tensor) if function else tensor
            following = model.coefs_[layer + 1]
            weights = np.zeros((_even(len(following)), following.shape[1]))
            weights[: len(following)] = following
    emission = Emission("other", seen=block.chains(), limits=block.limits())
    if classes is not None:
        return replace(
            emission, label=label_of(graph, tensor), probabilities=softmax(graph, tensor, len(classes))
        )
    if model.out_activation_ == "exp":
        tensor = graph.add("Exp", tensor)
        tensor = graph.first(tensor, count) if count % 2 else tensor
    return replace(emission, predictions=tensor, targets=count)


def _even(width: int) -> int:
    return width + width % 2
