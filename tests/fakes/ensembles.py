"""Serving graphs around random trees, and the kernel's answers beside ONNX Runtime's."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from fakes.signatures import matrix_signature
from modelport.formats.ensemble import add_trees
from modelport.formats.graph import Graph, Port
from modelport.runtime.session import Session
from modelport.runtime.trees.arrangement import arrange
from modelport.runtime.trees.choosing import candidates
from modelport.runtime.trees.ensemble import cut
from modelport.runtime.trees.hard_rows import hard_rows
from modelport.runtime.trees.onnx_graph import OnnxGraph

FEATURES = 3


def graph_of(trees, targets, features=FEATURES, finish=None):
    """Return a serving graph with the trees; `finish` writes what comes after their sums."""
    graph = Graph()
    sums = add_trees(graph, "matrix", trees, targets)
    outputs = {Port("predictions", TensorProto.DOUBLE, (None, targets)): sums}
    if finish is not None:
        outputs = finish(graph, sums)
    return graph.model([Port("matrix", TensorProto.DOUBLE, (None, features))], outputs)


def classes_of(label, probabilities, width):
    return {
        Port("label", TensorProto.INT64, (None,)): label,
        Port("probabilities", TensorProto.DOUBLE, (None, width)): probabilities,
    }


def runs(predict, content, signature=None):
    """Return the whole graph in memory, its outputs' names, and all calls of the kernel that may answer."""
    session, graph = Session(content), OnnxGraph(content)
    names = [name for name in ("label", "probabilities", "predictions") if name in session.outputs]
    found = cut(graph, session.features)
    arranged = arrange(graph, found, session, signature or matrix_signature(session.features))
    return session, names, list(candidates(predict, graph, found, arranged, session, names))


def hard_for(content, signature):
    """Return rows that are hard for a graph's trees."""
    session, graph = Session(content), OnnxGraph(content)
    found = cut(graph, session.features)
    return hard_rows(found.ensemble, arrange(graph, found, session, signature), signature, 512)


def assert_same_bits(predict, content, rows, *, alone=8, native=None, signature=None):
    """See that every call gives ONNX Runtime's bits: all rows, some together, some alone."""
    session, names, calls = runs(predict, content, signature)
    assert calls
    blocks = [
        rows,
        rows[:0],
        rows[: len(rows) // 2],
        *(rows[row : row + 1] for row in range(min(alone, len(rows)))),
    ]
    for block in blocks:
        wanted = session.run(names, block)
        for call in calls:
            for one, other in zip(wanted, call(names, block), strict=True):
                assert one.dtype == other.dtype
                assert one.shape == other.shape
                assert one.tobytes() == other.tobytes()
    if native is not None:
        assert len(calls) == native


def beside(thresholds):
    """Return each number, and the ones next to it."""
    some = np.asarray(thresholds, np.float64)
    return np.concatenate([some, np.nextafter(some, np.inf), np.nextafter(some, -np.inf)])
