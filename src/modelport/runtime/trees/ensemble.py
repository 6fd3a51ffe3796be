"""The trees of a graph: read from its TreeEnsemble node, and what stands around it.

Operator: https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from modelport.runtime.trees.onnx_graph import INT64, Node, OnnxGraph
from modelport.runtime.trees.protobuf import Malformed

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

LESS_OR_EQUAL, LESS, GREATER_OR_EQUAL, GREATER, EQUAL, NOT_EQUAL, MEMBER = range(7)
SUM = 1


class NotTaken(Exception):
    """The trees, or what stands around them, are of a kind that the kernel does not know."""


@dataclass(frozen=True)
class Ensemble:
    """Trees as flat arrays; a row goes left when its number is ≤ the threshold, or a member.

    Args:
        width: Columns of the tensor that the trees look at.
        outputs: Numbers that they give for each row.
        roots: Node of each tree, in the order in which they are added up.
        feature: Column that a node looks at, `[nodes]`.
        threshold: `[nodes]`; NaN for one that asks for membership.
        members: Node to the numbers that go left.
        missing_left: Where NaN goes, bool `[nodes]`.
        left: Node, or leaf where `left_leaf`, `[nodes]`.
        right: Likewise.
        left_leaf: bool `[nodes]`.
        right_leaf: Likewise.
        values: What a leaf adds, `[leaves]`; with a table, the leaf's row in it.
        target: Output that a leaf adds to, `[leaves]`; with a table, the number of its tree.
        table: What is added where leaves have a number for each output, `[rows, outputs]`; else None.
    """

    width: int
    outputs: int
    roots: Ints
    feature: Ints
    threshold: Floats
    members: dict[int, Floats]
    missing_left: NDArray[np.bool_]
    left: Ints
    right: Ints
    left_leaf: NDArray[np.bool_]
    right_leaf: NDArray[np.bool_]
    values: Floats
    target: Ints
    table: Floats | None = None


@dataclass(frozen=True)
class Cut:
    """A graph cut around its trees.

    Args:
        ensemble: The trees.
        given: The tensor that they look at.
        sums: The tensor that holds what they give, float64 `[N, outputs]`.
        before: Nodes that `given` depends on.
        after: Nodes that depend on `sums`.
    """

    ensemble: Ensemble
    given: str
    sums: str
    before: list[Node]
    after: list[Node]


def cut(graph: OnnxGraph, width: int) -> Cut:
    """Find the trees of a graph.

    Args:
        graph: With one TreeEnsemble, whose result alone the outputs depend on.
        width: Columns of the matrix that the graph takes.

    Raises:
        NotTaken: It is built in another way.
        Malformed: The node does not hold together.
    """
    found = [node for node in graph.nodes if node.op.startswith("TreeEnsemble")]
    if len(found) != 1 or found[0].op != "TreeEnsemble":
        raise NotTaken(f"it has {len(found)} tree ensembles of {sorted({node.op for node in found})}")
    (node,) = found
    (given,), (sums,) = node.inputs, node.outputs
    ensemble = _read(node, width if given in graph.inputs else None)
    table = _leaf_table(graph, node)
    if table is not None:
        values, sums = table
        ensemble = replace(ensemble, table=values)
    before = graph.ancestors([given])
    behind = {id(each) for each in graph.ancestors([sums])}
    needed = graph.ancestors(graph.outputs)
    after = [each for each in needed if id(each) not in behind]
    made = {name for each in after for name in each.outputs} | {sums, ""}
    for each in after:
        for name in each.inputs:
            if name not in made and not graph.is_constant(name):
                raise NotTaken(f"{each.op} looks past the trees at {name!r}")
    return Cut(ensemble, given, sums, before, after)


def _read(node: Node, width: int | None) -> Ensemble:
    if node.integer("aggregate_function", SUM) != SUM or node.integer("post_transform", 0) != 0:
        raise NotTaken("its trees are not added up")
    splits, weights = node.tensor("nodes_splits"), node.tensor("leaf_weights")
    modes = node.tensor("nodes_modes")
    if splits is None or weights is None or modes is None or splits.dtype != np.float64:
        raise NotTaken("its thresholds are not float64")
    feature = node.integers("nodes_featureids")
    nodes, leaves = len(feature), len(weights)
    left, right = node.integers("nodes_truenodeids"), node.integers("nodes_falsenodeids")
    left_leaf, right_leaf = (
        node.integers(name).astype(np.bool_) for name in ("nodes_trueleafs", "nodes_falseleafs")
    )
    missing = node.integers("nodes_missing_value_tracks_true").astype(np.bool_)
    missing = missing if len(missing) else np.zeros(nodes, np.bool_)
    target = node.integers("leaf_targetids")
    roots = node.integers("tree_roots")
    arrays = (splits, modes, left, right, left_leaf, right_leaf, missing)
    if any(each.shape != (nodes,) for each in arrays) or target.shape != weights.shape != (leaves,):
        raise Malformed("a list of the TreeEnsemble is of another length than the others")
    outputs = node.integer("n_targets", 1)
    width = int(feature.max(initial=0)) + 1 if width is None else width
    for what, some, end in (
        ("feature", feature, width),
        ("node", roots, nodes),
        ("target", target, outputs),
        ("node", left[~left_leaf], nodes),
        ("node", right[~right_leaf], nodes),
        ("leaf", left[left_leaf], leaves),
        ("leaf", right[right_leaf], leaves),
    ):
        if len(some) and not (some.min() >= 0 and some.max() < end):
            raise Malformed(f"the TreeEnsemble names a {what} beyond {end}")
    asked = np.asarray(modes, np.int64)
    threshold, members = _questions(np.array(splits, np.float64), asked, node.tensor("membership_values"))
    swapped = np.isin(asked, (GREATER, GREATER_OR_EQUAL, NOT_EQUAL))
    return Ensemble(
        width=width,
        outputs=outputs,
        roots=roots,
        feature=feature,
        threshold=threshold,
        members=members,
        missing_left=missing ^ swapped,
        left=np.where(swapped, right, left),
        right=np.where(swapped, left, right),
        left_leaf=np.where(swapped, right_leaf, left_leaf),
        right_leaf=np.where(swapped, left_leaf, right_leaf),
        values=np.array(weights, np.float64),
        target=target,
    )


def _questions(
    splits: Floats, modes: Ints, listed: NDArray[np.generic] | None
) -> tuple[Floats, dict[int, Floats]]:
    """Return what each node asks as a threshold or a set of members.

    x < t is x ≤ the double before t; x ≥ t and x > t are the same questions with the answers swapped.
    """
    if modes.size and modes.max() > MEMBER:
        raise NotTaken("it asks in a way that is not known")
    threshold = np.where(np.isin(modes, (LESS, GREATER_OR_EQUAL)), np.nextafter(splits, -np.inf), splits)
    if np.isnan(threshold[modes < EQUAL]).any():
        raise NotTaken("a threshold is NaN")
    members = {
        int(node): splits[node : node + 1] for node in np.flatnonzero(np.isin(modes, (EQUAL, NOT_EQUAL)))
    }
    places = np.flatnonzero(modes == MEMBER)
    if len(places):
        values = np.empty(0) if listed is None else np.asarray(listed, np.float64)
        ends = np.flatnonzero(np.isnan(values))
        if len(ends) != len(places):
            raise Malformed("the TreeEnsemble lists members for another number of nodes")
        starts = np.concatenate([[0], ends[:-1] + 1])
        members |= {
            int(node): np.unique(values[start:end])
            for node, start, end in zip(places, starts, ends, strict=True)
        }
    threshold[list(members)] = np.nan
    return threshold, members


def _leaf_table(graph: OnnxGraph, node: Node) -> tuple[Floats, str] | None:
    """Return the table in which the graph looks up what the leaves add, and the tensor of the sums.

    A forest's trees answer with the number of their leaf; the rows of that number in a table are then
    added up, tree by tree (`formats/scikit/trees.py`). None where the trees answer with their sums.
    """
    chain: list[Node] = []
    tensor = node.outputs[0]
    while True:
        readers = graph.consumers(tensor)
        if len(readers) != 1 or tensor in graph.outputs:
            break
        chain.append(readers[0])
        tensor = readers[0].outputs[0]
    names = tuple(each.op for each in chain)
    many = names[:4] == ("Cast", "Transpose", "Gather", "ReduceSum")
    if not many and names[:3] != ("Cast", "Reshape", "Gather"):
        return None
    cast, turn, gather = chain[:3]
    table = graph.constant(gather.inputs[0])
    known = (
        cast.integer("to", 0) == INT64
        and gather.integer("axis", 0) == 0
        and gather.inputs[1] == turn.outputs[0]
        and table is not None
        and table.ndim == 2
        and table.dtype == np.float64
    )
    if many:
        axes = graph.constant(chain[3].inputs[1]) if len(chain[3].inputs) > 1 else None
        known = known and turn.integers("perm").tolist() == [1, 0] and axes is not None
        known = known and axes is not None and axes.tolist() == [0] and chain[3].integer("keepdims", 1) == 0
    else:
        shape = graph.constant(turn.inputs[1])
        known = known and shape is not None and shape.tolist() == [-1] and node.integer("n_targets", 1) == 1
    if not known or table is None:
        return None
    return np.array(table, np.float64), chain[3 if many else 2].outputs[0]
