"""What happens to a row before the trees: nothing, something folded away, or a piece of the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from modelport.domain.signature import Signature
from modelport.runtime.session import MATRIX, Matrix, Session
from modelport.runtime.trees.ensemble import Cut
from modelport.runtime.trees.folding import Source, fold
from modelport.runtime.trees.onnx_graph import OnnxGraph


@dataclass(frozen=True)
class Arrangement:
    """What the kernel is given.

    Args:
        width: Columns of what it is given.
        sources: Where each column that the trees look at comes from.
        before: Makes what it is given from the matrix; None where that is the matrix.
    """

    width: int
    sources: Sequence[Source]
    before: Callable[[Matrix], Matrix] | None = None


def arrange(graph: OnnxGraph, found: Cut, session: Session, signature: Signature) -> Arrangement:
    """Return how a row comes to the trees.

    Args:
        graph: The whole graph.
        found: Where it is cut.
        session: The whole graph in memory.
        signature: What the model takes.
    """
    if found.given == MATRIX:
        return Arrangement(session.features, _straight(session.features))
    piece = Session(graph.piece(found.before, {MATRIX: session.features}, [found.given]))
    sources = fold(graph, found, piece, signature)
    if sources is not None:
        return Arrangement(session.features, sources)
    given = (found.given,)

    def before(matrix: Matrix) -> Matrix:
        made: Matrix = piece.run(given, matrix)[0]
        return made

    width = before(np.zeros((1, session.features))).shape[1]
    return Arrangement(width, _straight(width), before)


def _straight(width: int) -> list[Source]:
    return [Source(feature) for feature in range(width)]
