"""Linear models: one product with the numbers, one look-up for each coded feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from modelport.domain.errors import ConversionFailed
from modelport.formats.blocks import Block, Coded, Codes, Number
from modelport.formats.emission import FLOAT32_SCALE, Emission
from modelport.formats.graph import Graph
from modelport.formats.scikit.walk import Walk

Floats = NDArray[Any]


def convert_regressor(walk: Walk, model: Any, block: Block, where: str) -> Emission:
    """Convert a regressor with `coef_` and `intercept_`."""
    weights = np.atleast_2d(model.coef_).T
    if np.ndim(model.coef_) == 1:
        weights = np.reshape(model.coef_, (-1, 1))
    result, scale = _sums(walk, model, block, weights, where)
    return Emission(
        "linear",
        predictions=result,
        targets=weights.shape[1],
        scale=scale,
        seen=block.chains(),
        limits=block.limits(),
    )


def convert_generalized(walk: Walk, model: Any, block: Block, where: str) -> Emission:
    """Convert a generalized linear regressor: the inverse of its link on top of the sum.

    An error in the sum grows by the answer itself where the link is a logarithm, and so does the scale.
    """
    result, scale = _sums(walk, model, block, np.reshape(model.coef_, (-1, 1)), where)
    link = type(model._base_loss.link).__name__  # noqa: SLF001 - the link follows from family and power there
    if link == "LogLink":
        graph = walk.graph
        result = graph.add("Exp", result)
        size = graph.add("Max", graph.vector(result, 0), graph.constant(np.ones(1)))
        scale = graph.add("Mul", scale, size)
    elif link != "IdentityLink":
        raise ConversionFailed(
            f"{where} has the link {link}, which modelport cannot convert",
            hint="use the link 'log' or 'identity'",
        )
    return Emission("linear", predictions=result, scale=scale, seen=block.chains(), limits=block.limits())


def convert_classifier(walk: Walk, model: Any, block: Block, where: str) -> Emission:
    """Convert a classifier with `coef_` and `intercept_`, with probabilities where it gives them."""
    if getattr(model, "multilabel_", False) or np.ndim(model.classes_) != 1:
        raise ConversionFailed(
            f"{where} predicts several labels at once, which modelport cannot convert yet",
            hint="train one classifier for each label",
        )
    weights = np.atleast_2d(model.coef_).T
    decision, scale = _sums(walk, model, block, weights, where)
    graph = walk.graph
    binary = weights.shape[1] == 1
    if binary:
        positive = graph.add("Greater", graph.vector(decision, 0), graph.constant(0.0))
        label = graph.cast(positive, TensorProto.INT64)
    else:
        label = graph.argmax(decision)
    probabilities = None
    if hasattr(model, "predict_proba"):
        probabilities = _probabilities(graph, model, decision, where, binary=binary)
    return Emission(
        "linear",
        label=label,
        probabilities=probabilities,
        scale=scale,
        seen=block.chains(),
        limits=block.limits(),
    )


def two_columns(graph: Graph, positive: str) -> str:
    """Return the probabilities of both classes, given that of the second `[N, 1]`."""
    negative = graph.add("Sub", graph.constant(np.ones((1, 1))), positive)
    return graph.concat([negative, positive])


def _probabilities(graph: Graph, model: Any, decision: str, where: str, *, binary: bool) -> str:
    name = type(model).__name__
    loss = getattr(model, "loss", None)
    if name == "SGDClassifier" and loss == "modified_huber":
        return _huber_probabilities(graph, decision, binary=binary)
    if getattr(model, "multi_class", None) == "multinomial" and binary:
        raise ConversionFailed(
            f"{where} is a {name} with multi_class='multinomial' for two classes",
            hint="leave multi_class out: two classes need one sum",
        )
    if binary:
        return two_columns(graph, graph.add("Sigmoid", decision))
    if name == "SGDClassifier" or _one_versus_rest(model):
        return _normalised(graph, _precise_sigmoid(graph, decision), model)
    return graph.add("Softmax", decision, axis=1)


def _precise_sigmoid(graph: Graph, decision: str) -> str:
    """Write 1/(1+e^-x) so that tiny results keep their digits, which dividing by their sum brings out."""
    power = graph.add("Exp", graph.add("Neg", graph.add("Abs", decision)))
    one = graph.constant(np.ones((1, 1)))
    positive = graph.add("GreaterOrEqual", decision, graph.constant(np.zeros((1, 1))))
    return graph.add("Div", graph.add("Where", positive, one, power), graph.add("Add", one, power))


def _one_versus_rest(model: Any) -> bool:
    if type(model).__name__ not in {"LogisticRegression", "LogisticRegressionCV"}:
        return False
    return getattr(model, "multi_class", None) == "ovr" or getattr(model, "solver", None) == "liblinear"


def _normalised(graph: Graph, table: str, model: Any) -> str:
    """Divide by the sum of each row; a row of zeros becomes equal shares."""
    axis = graph.constant([1], np.int64)
    total = graph.add("ReduceSum", table, axis, keepdims=1)
    empty = graph.add("Equal", total, graph.constant(np.zeros((1, 1))))
    one = graph.constant(np.ones((1, 1)))
    table = graph.add("Where", empty, one, table)
    total = graph.add("Where", empty, graph.constant([[float(len(model.classes_))]]), total)
    return graph.add("Div", table, total)


def _huber_probabilities(graph: Graph, decision: str, *, binary: bool) -> str:
    one, half = graph.constant(np.ones((1, 1))), graph.constant([[2.0]])
    low = graph.add("Max", decision, graph.constant([[-1.0]]))
    shifted = graph.add("Add", graph.add("Min", low, one), one)
    share = graph.add("Div", shifted, half)
    if binary:
        return two_columns(graph, share)
    axis = graph.constant([1], np.int64)
    total = graph.add("ReduceSum", share, axis, keepdims=1)
    empty = graph.add("Equal", total, graph.constant(np.zeros((1, 1))))
    ones = graph.add("Where", empty, one, share)
    return graph.add("Div", ones, graph.add("ReduceSum", ones, axis, keepdims=1))


# ---- sums of products


def _sums(walk: Walk, model: Any, block: Block, weights: Floats, where: str) -> tuple[str, str]:
    """Return the linear predictor `[N, K]` in double, and Σ|wᵢxᵢ| of each row `[N]`."""
    graph = walk.graph
    intercept = np.broadcast_to(np.asarray(model.intercept_), (weights.shape[1],))
    if block.single and weights.dtype == np.float32:
        walk.note_float32(f"{where} ({type(model).__name__})")
        tensor, places = walk.body.collect(block.columns, single=True)
        ordered = np.empty_like(weights)
        ordered[places] = weights
        product = graph.add("MatMul", tensor, graph.constant(ordered))
        result = graph.add("Add", product, graph.constant(intercept[np.newaxis, :], np.float32))
        wide = graph.cast(tensor, TensorProto.DOUBLE)
        scale = _largest(graph, [_magnitude(graph, wide, ordered)], intercept)
        scale = graph.add("Mul", scale, graph.constant(FLOAT32_SCALE))
        return graph.cast(result, TensorProto.DOUBLE), scale
    weights = weights.astype(np.float64)
    terms, sizes = _number_terms(walk, block, weights)
    looked_up, looked_up_sizes = _coded_terms(walk, block, weights)
    terms, sizes = [*looked_up, *terms], [*looked_up_sizes, *sizes]
    result = graph.constant(intercept[np.newaxis, :], np.float64)
    for term in reversed(terms):
        result = graph.add("Add", term, result)
    return result, _largest(graph, sizes, intercept)


def _number_terms(walk: Walk, block: Block, weights: Floats) -> tuple[list[str], list[str]]:
    numbers = [place for place, column in enumerate(block.columns) if isinstance(column, Number)]
    if not numbers:
        return [], []
    tensor, places = walk.body.collect([block.columns[place] for place in numbers])
    ordered = np.empty((len(numbers), weights.shape[1]))
    ordered[places] = weights[numbers]
    product = walk.graph.add("MatMul", tensor, walk.graph.constant(ordered))
    return [product], [_magnitude(walk.graph, tensor, ordered)]


def _coded_terms(walk: Walk, block: Block, weights: Floats) -> tuple[list[str], list[str]]:
    """Return what coded features add: their tables times the weights are tables again."""
    sources: dict[tuple[str, int], tuple[Codes, list[int]]] = {}
    for place, column in enumerate(block.columns):
        if isinstance(column, Coded):
            key = (column.codes.tensor, column.codes.place)
            sources.setdefault(key, (column.codes, []))[1].append(place)
    if not sources:
        return [], []
    signed, unsigned = [], []
    for _, places in sources.values():
        table = np.stack([block.columns[place].numbers() for place in places], axis=1)  # type: ignore[union-attr]
        signed.append(table @ weights[places])
        unsigned.append((np.abs(table) @ np.abs(weights[places])).max(axis=1))
    codes = [codes for codes, _ in sources.values()]
    graph = walk.graph
    axis = graph.constant([1], np.int64)
    if weights.shape[1] == 1:
        columns = [Coded(each, table[:, 0]) for each, table in zip(codes, signed, strict=True)]
        tensor, _ = walk.body.collect(columns)
        term = graph.add("ReduceSum", tensor, axis, keepdims=1) if len(columns) > 1 else tensor
        terms = [term]
    else:
        terms = [_rows_of(walk, each, table) for each, table in zip(codes, signed, strict=True)]
    sizes = [Coded(each, table) for each, table in zip(codes, unsigned, strict=True)]
    tensor, _ = walk.body.collect(sizes)
    return terms, [graph.add("ReduceSum", tensor, axis, keepdims=0)]


def _rows_of(walk: Walk, codes: Codes, table: Floats) -> str:
    code = walk.graph.cast(walk.graph.vector(codes.tensor, codes.place), TensorProto.INT64)
    return walk.graph.add("Gather", walk.graph.constant(table), code, axis=0)


def _magnitude(graph: Graph, tensor: str, weights: Floats) -> str:
    """Return Σ|wᵢxᵢ| of each row `[N]`, of the class with the largest."""
    sums = graph.add("MatMul", graph.add("Abs", tensor), graph.constant(np.abs(weights).astype(np.float64)))
    return graph.add("ReduceMax", sums, graph.constant([1], np.int64), keepdims=0)


def _largest(graph: Graph, sizes: Sequence[str], intercept: Floats) -> str:
    total = graph.constant(np.abs(intercept).max(keepdims=True), np.float64)
    for size in sizes:
        total = graph.add("Add", size, total)
    return total
