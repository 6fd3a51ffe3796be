"""What stands before the trees, folded into how a row is encoded.

Words arrive as codes, and the graph looks up what stands for each code before its trees see it. Where every
column that the trees look at is a feature itself, or made from the code of one feature alone, nothing has to
be computed for a row: there are only so many codes, and ONNX Runtime is asked once what it makes of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelport.domain.signature import Signature
from modelport.runtime.session import MATRIX, Session
from modelport.runtime.trees.ensemble import Cut
from modelport.runtime.trees.onnx_graph import Node, OnnxGraph

ELEMENTWISE = {"Cast", "Identity", "LabelEncoder", "IsNaN", "Add", "Sub", "Mul", "Div", "Where"}


@dataclass(frozen=True, eq=False)
class Source:
    """Where a column that the trees look at comes from.

    Args:
        feature: Column of the matrix.
        values: What stands for each code of the feature, float64 `[codes]`; None for the feature itself.
    """

    feature: int
    values: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class _Origin:
    feature: int
    itself: bool


def fold(graph: OnnxGraph, cut: Cut, before: Session, signature: Signature) -> list[Source] | None:
    """Return the source of each column that the trees look at; None where one has another kind of source.

    Args:
        graph: The whole graph.
        cut: Where it is cut.
        before: The piece of it before the trees.
        signature: Says which features are codes.
    """
    origins: dict[str, list[_Origin]] = {
        MATRIX: [_Origin(feature, itself=True) for feature in range(len(signature.features))]
    }
    for node in cut.before:
        found = _origins(graph, node, origins)
        if found is None:
            return None
        origins[node.outputs[0]] = found
    columns = origins[cut.given]
    sizes = [len(each.vocabulary) + 2 if each.vocabulary is not None else 0 for each in signature.features]
    if any(not origin.itself and not sizes[origin.feature] for origin in columns):
        return None
    codes = np.arange(max(sizes))[:, np.newaxis]
    matrix = np.minimum(codes, np.maximum(np.array(sizes) - 1, 0)).astype(np.float64)
    made = before.run((cut.given,), np.ascontiguousarray(matrix))[0]
    if made.shape[1] != len(columns):
        return None
    return [
        Source(origin.feature)
        if origin.itself
        else Source(origin.feature, np.array(made[: sizes[origin.feature], column]))
        for column, origin in enumerate(columns)
    ]


def _origins(graph: OnnxGraph, node: Node, known: Mapping[str, list[_Origin]]) -> list[_Origin] | None:
    """Return from which feature each column of a node's result comes; None when that cannot be said."""
    given = [known.get(name) for name in node.inputs]
    if len(node.outputs) != 1 or any(
        some is None and not graph.is_constant(name) for some, name in zip(given, node.inputs, strict=True)
    ):
        return None
    if node.op == "Concat" and node.integer("axis", 0) == 1 and all(given):
        return [origin for some in given if some is not None for origin in some]
    if node.op == "Gather":
        return _gathered(graph, node, given)
    if node.op in ELEMENTWISE:
        return _elementwise(graph, node, given)
    return None


def _gathered(graph: OnnxGraph, node: Node, given: Sequence[list[_Origin] | None]) -> list[_Origin] | None:
    """Columns of a matrix, or what a table holds at some codes."""
    source, places = given
    axis = node.integer("axis", 0)
    if source is not None and axis == 1:
        picked = graph.constant(node.inputs[1])
        return None if picked is None else [source[int(place)] for place in picked.ravel()]
    table = graph.constant(node.inputs[0])
    if places is None or table is None or axis != 0 or (table.ndim == 2 and len(places) != 1):
        return None
    times = table.shape[1] if table.ndim == 2 else 1
    return [_Origin(origin.feature, itself=False) for origin in places for _ in range(times)]


def _elementwise(graph: OnnxGraph, node: Node, given: Sequence[list[_Origin] | None]) -> list[_Origin] | None:
    """A column of the result for each column of the operands, which all come from the same feature."""
    operands = [some for some in given if some is not None]
    if not operands or any(len(some) != len(operands[0]) for some in operands):
        return None
    for name, some in zip(node.inputs, given, strict=True):
        constant = graph.constant(name) if some is None else None
        if constant is not None and constant.shape[-1:] not in {(), (1,), (len(operands[0]),)}:
            return None
    features = [{origin.feature for origin in origins} for origins in zip(*operands, strict=True)]
    if any(len(each) != 1 for each in features):
        return None
    itself = node.op == "Identity"
    return [_Origin(origin.feature, itself=itself and origin.itself) for origin in operands[0]]
