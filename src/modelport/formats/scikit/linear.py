"""Linear models: one product with the numbers, one look-up for each coded feature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from modelport.domain.errors import ConversionFailed
from modelport.formats.blocks import Block, Coded, Codes, Column, Number
from modelport.formats.emission import FLOAT32_SCALE, Emission
from modelport.formats.graph import Graph
from modelport.formats.probabilities import (
    Spread,
    against_zero,
    doubled,
    evened,
    label_of,
    opposed,
    row_sums,
    softmax,
    unchanged,
)
from modelport.formats.scikit.folding import unscaled
from modelport.formats.scikit.walk import Walk

Floats = NDArray[Any]


@dataclass(frozen=True, eq=False, slots=True)
class _Terms:
    """A linear predictor: numbers times weights, plus the intercept.

    Args:
        weights: `[w, K]`.
        intercept: `[K]`.
        spread: What is made of the K sums.
    """

    weights: Floats
    intercept: Floats
    spread: Spread

    @classmethod
    def of(cls, model: Any, weights: Floats, spread: Spread) -> _Terms:
        """Return the terms of a fitted model."""
        return cls(weights, np.broadcast_to(np.asarray(model.intercept_), (weights.shape[1],)), spread)


def convert_regressor(walk: Walk, model: Any, block: Block, where: str) -> Emission:
    """Convert a regressor with `coef_` and `intercept_`."""
    weights = np.atleast_2d(model.coef_).T
    if np.ndim(model.coef_) == 1:
        weights = np.reshape(model.coef_, (-1, 1))
    terms = _Terms.of(model, weights, unchanged(weights.shape[1]))
    result, scale = _sums(walk, terms, block, f"{where} ({type(model).__name__})")
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
    link = type(model._base_loss.link).__name__  # noqa: SLF001 - the link follows from family and power there
    if link not in {"LogLink", "IdentityLink"}:
        raise ConversionFailed(
            f"{where} has the link {link}, which modelport cannot convert",
            hint="use the link 'log' or 'identity'",
        )
    spread = doubled() if link == "LogLink" else unchanged(1)
    terms = _Terms.of(model, np.reshape(model.coef_, (-1, 1)), spread)
    result, scale = _sums(walk, terms, block, f"{where} ({type(model).__name__})")
    if link == "LogLink":
        graph = walk.graph
        result = graph.first(graph.add("Exp", result), 1)
        size = graph.add("Max", graph.vector(result, 0), graph.constant(np.ones(1)))
        scale = graph.add("Mul", scale, size)
    return Emission("linear", predictions=result, scale=scale, seen=block.chains(), limits=block.limits())


def convert_classifier(walk: Walk, model: Any, block: Block, where: str) -> Emission:
    """Convert a classifier with `coef_` and `intercept_`, with probabilities where it gives them."""
    if getattr(model, "multilabel_", False) or np.ndim(model.classes_) != 1:
        raise ConversionFailed(
            f"{where} predicts several labels at once, which modelport cannot convert yet",
            hint="train one classifier for each label",
        )
    weights = np.atleast_2d(model.coef_).T
    count = weights.shape[1]
    link = _link(model, where, count)
    terms = _Terms.of(model, weights, _spread(link, count))
    sums, scale = _sums(walk, terms, block, f"{where} ({type(model).__name__})")
    return Emission(
        "linear",
        label=label_of(walk.graph, sums),
        probabilities=_probabilities(walk.graph, link, sums, count),
        scale=scale,
        seen=block.chains(),
        limits=block.limits(),
    )


SOFTMAX, EACH_ITS_OWN, HUBER = "softmax", "one versus rest", "modified huber"


def _link(model: Any, where: str, count: int) -> str | None:
    """Return how probabilities come from the sums; None where the model gives none."""
    if not hasattr(model, "predict_proba"):
        return None
    name = type(model).__name__
    if name == "SGDClassifier" and getattr(model, "loss", None) == "modified_huber":
        return HUBER
    if getattr(model, "multi_class", None) == "multinomial" and count == 1:
        raise ConversionFailed(
            f"{where} is a {name} with multi_class='multinomial' for two classes",
            hint="leave multi_class out: two classes need one sum",
        )
    if count > 1 and (name == "SGDClassifier" or _one_versus_rest(model)):
        return EACH_ITS_OWN
    return SOFTMAX


def _spread(link: str | None, count: int) -> Spread:
    if count == 1:
        return opposed() if link == HUBER else against_zero()
    return evened(count) if link in {SOFTMAX, EACH_ITS_OWN} else unchanged(count)


def _probabilities(graph: Graph, link: str | None, sums: str, count: int) -> str | None:
    if link == SOFTMAX:
        return softmax(graph, sums, max(2, count))
    if link == HUBER:
        return _huber_probabilities(graph, sums, count)
    if link == EACH_ITS_OWN:
        width = count + count % 2
        table = _normalised(graph, _precise_sigmoid(graph, sums), width, count)
        return table if width == count else graph.first(table, count)
    return None


def _precise_sigmoid(graph: Graph, sums: str) -> str:
    """Write 1/(1+e^-x) so that tiny results keep their digits, which dividing by their sum brings out."""
    power = graph.add("Exp", graph.add("Neg", graph.add("Abs", sums)))
    one = graph.constant(np.ones((1, 1)))
    positive = graph.add("GreaterOrEqual", sums, graph.constant(np.zeros((1, 1))))
    return graph.add("Div", graph.add("Where", positive, one, power), graph.add("Add", one, power))


def _one_versus_rest(model: Any) -> bool:
    if type(model).__name__ not in {"LogisticRegression", "LogisticRegressionCV"}:
        return False
    return getattr(model, "multi_class", None) == "ovr" or getattr(model, "solver", None) == "liblinear"


def _normalised(graph: Graph, table: str, width: int, count: int) -> str:
    """Divide by the sum of each row; a row of zeros becomes equal shares of so many."""
    total = row_sums(graph, table, width)
    empty = graph.add("Equal", total, graph.constant(np.zeros((1, 1))))
    one = graph.constant(np.ones((1, 1)))
    table = graph.add("Where", empty, one, table)
    total = graph.add("Where", empty, graph.constant([[float(count)]]), total)
    return graph.add("Div", table, total)


def _huber_probabilities(graph: Graph, sums: str, count: int) -> str:
    """Write (clip(x, -1, 1) + 1) / 2, for several classes divided by the sum of each row."""
    one, half = graph.constant(np.ones((1, 1))), graph.constant([[2.0]])
    low = graph.add("Max", sums, graph.constant([[-1.0]]))
    shifted = graph.add("Add", graph.add("Min", low, one), one)
    share = graph.add("Div", shifted, half)
    return share if count == 1 else _normalised(graph, share, count, count)


# ---- sums of products


def _sums(walk: Walk, terms: _Terms, block: Block, what: str) -> tuple[str, str]:
    """Return the sums, spread, `[N, W]` in double, and Σ|wᵢxᵢ| of each row `[N]`."""
    graph = walk.graph
    weights, intercept, spread = terms.weights, terms.intercept, terms.spread
    if block.single and weights.dtype == np.float32:
        walk.note_float32(what)
        tensor, places = walk.body.collect(block.columns, single=True)
        ordered = np.empty_like(weights)
        ordered[places] = weights
        product = graph.add("MatMul", tensor, graph.constant(ordered @ spread.matrix, np.float32))
        added = graph.constant((intercept @ spread.matrix + spread.offset)[np.newaxis, :], np.float32)
        wide = graph.cast(tensor, TensorProto.DOUBLE)
        scale = _largest(graph, [_magnitude(graph, wide, ordered)], intercept)
        scale = graph.add("Mul", scale, graph.constant(FLOAT32_SCALE))
        return graph.cast(graph.add("Add", product, added), TensorProto.DOUBLE), scale
    weights = weights.astype(np.float64)
    tables = _tables(block, weights)
    scale = _largest(graph, _sizes(walk, block, weights, tables), intercept)
    places = _places(block, Number)
    numbers = [column for column in block.columns if isinstance(column, Number)]
    numbers, weights, intercept = unscaled(numbers, weights[places], intercept)
    columns: list[Column] = list(numbers)
    by_code = []
    if weights.shape[1] == 1:  # what coded features add is a number each: one more column of the product
        columns += [Coded(codes, table[:, 0]) for codes, table, _ in tables]
        weights = np.concatenate([weights, np.ones((len(tables), 1))])
    else:
        by_code = [_rows_of(walk, codes, table @ spread.matrix) for codes, table, _ in tables]
    result = graph.constant((intercept @ spread.matrix + spread.offset)[np.newaxis, :], np.float64)
    if columns:
        tensor, places = walk.body.collect(columns)
        ordered = np.empty((len(columns), len(spread.offset)))
        ordered[places] = weights @ spread.matrix
        result = graph.add("Add", graph.add("MatMul", tensor, graph.constant(ordered)), result)
    for term in by_code:
        result = graph.add("Add", term, result)
    return result, scale


def _places(block: Block, kind: type) -> list[int]:
    return [place for place, column in enumerate(block.columns) if isinstance(column, kind)]


def _tables(block: Block, weights: Floats) -> list[tuple[Codes, Floats, Floats]]:
    """Return what each coded feature adds by code, and how large it is: `[codes, K]` and `[codes]`.

    The tables of its columns times their weights are tables again.
    """
    sources: dict[tuple[str, int], tuple[Codes, list[int]]] = {}
    for place in _places(block, Coded):
        codes = block.columns[place].codes  # type: ignore[union-attr]
        sources.setdefault((codes.tensor, codes.place), (codes, []))[1].append(place)
    found = []
    for codes, places in sources.values():
        table = np.stack([block.columns[place].numbers() for place in places], axis=1)  # type: ignore[union-attr]
        size = (np.abs(table) @ np.abs(weights[places])).max(axis=1)
        found.append((codes, table @ weights[places], size))
    return found


def _rows_of(walk: Walk, codes: Codes, table: Floats) -> str:
    code = walk.graph.cast(walk.graph.vector(codes.tensor, codes.place), TensorProto.INT64)
    return walk.graph.add("Gather", walk.graph.constant(table), code, axis=0)


def _sizes(
    walk: Walk, block: Block, weights: Floats, tables: Sequence[tuple[Codes, Floats, Floats]]
) -> list[str]:
    """Return Σ|wᵢxᵢ| of coded columns and of numbers, each `[N]`."""
    sizes = []
    if tables:
        tensor, _ = walk.body.collect([Coded(codes, size) for codes, _, size in tables])
        sizes.append(walk.graph.add("ReduceSum", tensor, walk.graph.constant([1], np.int64), keepdims=0))
    numbers = _places(block, Number)
    if numbers:
        tensor, places = walk.body.collect([block.columns[place] for place in numbers])
        ordered = np.empty((len(numbers), weights.shape[1]))
        ordered[places] = weights[numbers]
        sizes.append(_magnitude(walk.graph, tensor, ordered))
    return sizes


def _magnitude(graph: Graph, tensor: str, weights: Floats) -> str:
    """Return Σ|wᵢxᵢ| of each row `[N]`, of the class with the largest."""
    sums = graph.add("MatMul", graph.add("Abs", tensor), graph.constant(np.abs(weights).astype(np.float64)))
    return graph.add("ReduceMax", sums, graph.constant([1], np.int64), keepdims=0)


def _largest(graph: Graph, sizes: Sequence[str], intercept: Floats) -> str:
    total = graph.constant(np.abs(intercept).max(keepdims=True), np.float64)
    for size in sizes:
        total = graph.add("Add", size, total)
    return total
