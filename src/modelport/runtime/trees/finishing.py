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
    """

    finish: Finish
    scale: float = 1.0
    tie: int = 0


def recognise(graph: OnnxGraph, cut: Cut) -> Ending | None:
    """Return what the graph does after its trees, in the kernel's terms; None where it has none for it."""
    made = {name: node for node in cut.after for name in node.outputs}
    if set(graph.outputs) == {PREDICTIONS}:
        if cut.sums == PREDICTIONS and not cut.after:
            return Ending(Finish.SUMS)
        mean = _divided(graph, made.get(PREDICTIONS), cut.sums)
        return None if mean is None or len(cut.after) != 1 else Ending(Finish.MEAN, mean)
    if set(graph.outputs) != {LABEL, PROBABILITIES}:
        return None
    return _forest(graph, cut, made) or _logistic(graph, cut, made)


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
