"""From raw sums to labels and probabilities, written so that a row's place in its batch does not matter.

ONNX Runtime computes `Exp` (and what contains it) of doubles two numbers at a time, and a last odd one with
another routine: the same number may then differ by its last bit. Rows of an even width are always
computed in pairs, so a row's answer is the same alone and in any batch.
"""

from __future__ import annotations

import numpy as np

from modelport.formats.graph import Graph


def of_two(graph: Graph, raw: str, *, factor: float = 1.0, tie: int = 0) -> tuple[str, str]:
    """Write the label and both probabilities of a logistic link: the softmax of (0, factor · raw).

    With m = max(0, factor · raw) the probabilities are e^(0-m) and e^(factor·raw-m), each divided by the sum
    of both. That is as exact as 1/(1+e^-raw), and the second is not 1 minus the first.

    Args:
        graph: Where to.
        raw: What speaks for the second class, float64 `[N, 1]`, finite.
        factor: Power of two, so that the product is exact.
        tie: The label where `raw` is 0.

    Returns:
        The label, int64 `[N]`, and the probabilities, float64 `[N, 2]`.
    """
    pair = graph.add("MatMul", raw, graph.constant([[0.0, factor]], np.float64))
    label = graph.add("ArgMax", pair, axis=1, keepdims=0, select_last_index=tie)
    return label, graph.add("Softmax", pair, axis=1)
