"""What a graph does with its trees' sums: recognised where the kernel can do it too.

Only forms that `formats` writes are known. Whether the bits are the same is not decided here but tried
(`choosing.py`): the last bit of an exponential is a library's own affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelport.runtime.trees.ensemble import Cut
from modelport.runtime.trees.layout import Finish
from modelport.runtime.trees.onnx_graph import Node, OnnxGraph

LABEL, PROBABILITIES, PREDICTIONS = "label", "probabilities", "predictions"


@dataclass(frozen=True)
class Ending:
    """How the kernel ends.

    Args:
        finish: What it does with the sums.
        scale: What it does it with.
        tie: The label of a binary sum of 0.
        pairs: A softmax adds the numbers at even and at odd places apart.
    """

    finish: Finish
    scale: float = 1.0
    tie: int = 0
    pairs: bool = False


def recognise(graph: OnnxGraph, cut: Cut) -> Ending | None:
    """Return what the graph does after its trees, in the kernel's terms; None where it has none for it."""
    made = {name: node for node in cut.after for name in node.outputs}
    if set(graph.outputs) == {PREDICTIONS}:
        if cut.sums == PREDICTIONS and not cut.after:
            return Ending(Finish.SUMS)
        mean = _divided(graph, made.get(PREDICTIONS), cut.sums)
        if mean is not None and len(cut.after) == 1:
            return Ending(Finish.MEAN, mean)
        return _exponential(graph, cut, made)
    if set(graph.outputs) != {LABEL, PROBABILITIES}:
        return None
    return _forest(graph, cut, made) or _logistic(graph, cut, made) or _softmax(graph, cut, made)


def _forest(graph: OnnxGraph, cut: Cut, made: Mapping[str, Node]) -> Ending | None:
    """The mean of the trees, and the place of its largest number."""
    if not _is_argmax(made.get(LABEL), PROBABILITIES, tie=0):
        return None
    if cut.sums == PROBABILITIES and len(cut.after) == 1:
        return Ending(Finish.MEAN_CLASSES)
    mean = _divided(graph, made.get(PROBABILITIES), cut.sums)
    return None if mean is None or len(cut.after) != 2 else Ending(Finish.MEAN_CLASSES, mean)


def _logistic(graph: OnnxGraph, cut: Cut, made: Mapping[str, Node]) -> Ending | None:
    """The softmax of (0, scale · sum)."""
    softmax = made.get(PROBABILITIES)
    if softmax is None or softmax.op != "Softmax" or softmax.integer("axis", -1) not in {1, -1}:
        return None
    pair = made.get(softmax.inputs[0])
    if pair is None or pair.op != "MatMul" or pair.inputs[0] != cut.sums or len(cut.after) != 3:
        return None
    factors = _numbers(graph, pair.inputs[1])
    if factors is None or factors.shape != (1, 2) or factors[0, 0] != 0:
        return None
    for tie in (0, 1):
        if _is_argmax(made.get(LABEL), pair.outputs[0], tie=tie):
            return Ending(Finish.LOGISTIC, float(factors[0, 1]), tie)
    return None


def _softmax(graph: OnnxGraph, cut: Cut, made: Mapping[str, Node]) -> Ending | None:
    """The softmax of the sums, padded to an even number of columns (`formats/probabilities.py`)."""
    shares = made.get(PROBABILITIES)
    nodes = 2
    if shares is not None and shares.op == "Slice":
        if not _keeps_first(graph, shares, cut.ensemble.outputs if cut.ensemble.table is None else 0):
            return None
        shares, nodes = made.get(shares.inputs[0]), nodes + 1
    if shares is None:
        return None
    columns, pairs = _shared(graph, made, shares)
    nodes += 0 if pairs else 3
    if columns is None or not _is_argmax(made.get(LABEL), columns, tie=0):
        return None
    if columns != cut.sums:
        pad = made.get(columns)
        if pad is None or pad.op != "Pad" or pad.inputs[0] != cut.sums or not _pads_one(graph, pad):
            return None
        nodes += 1
    return Ending(Finish.SOFTMAX, pairs=pairs) if len(cut.after) == nodes else None


def _shared(graph: OnnxGraph, made: Mapping[str, Node], shares: Node) -> tuple[str | None, bool]:
    """Return the columns of a softmax, and whether ONNX Runtime's own, which adds in pairs, computes it."""
    if shares.op == "Softmax" and shares.integer("axis", -1) in {1, -1}:
        return shares.inputs[0], True
    power = made.get(shares.inputs[0]) if shares.op == "LpNormalization" else None
    if power is None or shares.integer("p", 2) != 1 or shares.integer("axis", -1) not in {1, -1}:
        return None, False
    less = made.get(power.inputs[0]) if power.op == "Exp" else None
    largest = made.get(less.inputs[1]) if less is not None and less.op == "Sub" else None
    if less is None or largest is None or largest.op != "ReduceMax" or largest.inputs[0] != less.inputs[0]:
        return None, False
    if _places(graph, largest, 1) != [1] or largest.integer("keepdims", 1) != 1:
        return None, False
    return less.inputs[0], False


def _exponential(graph: OnnxGraph, cut: Cut, made: Mapping[str, Node]) -> Ending | None:
    """The exponential of the one sum, computed twice for the sake of a pair."""
    first = made.get(PREDICTIONS)
    power = made.get(first.inputs[0]) if first is not None and first.op == "Slice" else None
    pair = made.get(power.inputs[0]) if power is not None and power.op == "Exp" else None
    if first is None or pair is None or pair.op != "MatMul" or pair.inputs[0] != cut.sums:
        return None
    factors = _numbers(graph, pair.inputs[1])
    same = factors is not None and factors.tolist() == [[1.0, 1.0]]
    return Ending(Finish.EXPONENTIAL) if same and _keeps_first(graph, first, 1) and len(made) == 3 else None


def _keeps_first(graph: OnnxGraph, node: Node, count: int) -> bool:
    """Return whether a Slice keeps the first columns."""
    return [_places(graph, node, place) for place in (1, 2, 3)] == [[0], [count], [1]] and len(
        node.inputs
    ) == 4


def _pads_one(graph: OnnxGraph, node: Node) -> bool:
    """Return whether a Pad adds one column of -∞."""
    value = _numbers(graph, node.inputs[2]) if len(node.inputs) == 3 else None
    return (
        _places(graph, node, 1) == [0, 0, 0, 1] and value is not None and value.ravel().tolist() == [-np.inf]
    )


def _places(graph: OnnxGraph, node: Node, place: int) -> list[int] | None:
    """Return a constant input of whole numbers."""
    found = graph.constant(node.inputs[place]) if len(node.inputs) > place else None
    return None if found is None or found.dtype != np.int64 else [int(each) for each in found.ravel()]


def _is_argmax(node: Node | None, of: str, *, tie: int) -> bool:
    return (
        node is not None
        and node.op == "ArgMax"
        and node.inputs == (of,)
        and node.integer("axis", 0) == 1
        and node.integer("keepdims", 1) == 0
        and node.integer("select_last_index", 0) == tie
    )


def _divided(graph: OnnxGraph, node: Node | None, of: str) -> float | None:
    """Return by what a node divides a tensor; None when it does not, or not all by the same."""
    if node is None or node.op != "Div" or node.inputs[0] != of:
        return None
    divisor = _numbers(graph, node.inputs[1])
    return float(divisor.ravel()[0]) if divisor is not None and divisor.size == 1 else None


def _numbers(graph: OnnxGraph, name: str) -> NDArray[np.float64] | None:
    found = graph.constant(name)
    return np.array(found, np.float64) if found is not None and found.dtype == np.float64 else None
