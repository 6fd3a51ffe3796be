"""Trees as one `ai.onnx.ml` 5 TreeEnsemble in double.

Thresholds and leaves are the library's own doubles; ONNX Runtime adds the trees of a target one after the
other, in the order given (one thread). A tree may thus stand first with a single leaf: the base value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from modelport.formats.graph import ML, Graph, array_tensor

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
LESS_OR_EQUAL, MEMBER = 0, 6
SUM = 1


@dataclass(frozen=True, slots=True)
class Tree:
    """One binary tree; node 0 is its root. A row goes left when its number is ≤ the threshold.

    Args:
        feature: Column that a node looks at, int64 `[nodes]`.
        threshold: float64 `[nodes]`.
        left: Node to go to, int64 `[nodes]`; anything at a leaf.
        right: Likewise.
        leaf: bool `[nodes]`.
        value: What a leaf adds, float64 `[nodes]`.
        missing_left: Where NaN goes, bool `[nodes]`.
        target: Column of the output that the leaves add to.
        members: Node to the numbers that go left, for nodes that ask for membership instead of order.
    """

    feature: Ints
    threshold: Floats
    left: Ints
    right: Ints
    leaf: NDArray[np.bool_]
    value: Floats
    missing_left: NDArray[np.bool_]
    target: int = 0
    members: dict[int, Floats] = field(default_factory=dict)


def constant_tree(value: float, target: int = 0) -> Tree:
    """Return a tree that always adds the same."""
    return Tree(
        feature=np.zeros(1, np.int64),
        threshold=np.zeros(1),
        left=np.zeros(1, np.int64),
        right=np.zeros(1, np.int64),
        leaf=np.ones(1, np.bool_),
        value=np.array([value], np.float64),
        missing_left=np.zeros(1, np.bool_),
        target=target,
    )


def add_trees(graph: Graph, tensor: str, trees: Sequence[Tree], targets: int = 1) -> str:
    """Add the trees and return the name of their sums, float64 `[N, targets]`.

    Args:
        graph: Where to.
        tensor: float64 `[N, w]`.
        trees: In the order in which they are added up.
        targets: Columns of the output.
    """
    parts: dict[str, list[NDArray[np.generic]]] = {name: [] for name in _ATTRIBUTES}
    members: list[Floats] = []
    roots: list[int] = []
    nodes = leaves = 0
    for tree in map(_with_a_branch, trees):
        branch = ~tree.leaf
        node_of = np.cumsum(branch) - 1 + nodes
        leaf_of = np.cumsum(tree.leaf) - 1 + leaves
        left, right = tree.left[branch], tree.right[branch]
        modes = np.full(int(branch.sum()), LESS_OR_EQUAL, np.uint8)
        for node in sorted(tree.members):
            modes[node_of[node] - nodes] = MEMBER
            members += [tree.members[node], np.array([np.nan])]
        parts["feature"].append(tree.feature[branch])
        parts["split"].append(np.where(modes == MEMBER, 0.0, tree.threshold[branch]))
        parts["mode"].append(modes)
        parts["missing"].append(tree.missing_left[branch])
        parts["left"].append(np.where(tree.leaf[left], leaf_of[left], node_of[left]))
        parts["right"].append(np.where(tree.leaf[right], leaf_of[right], node_of[right]))
        parts["left_leaf"].append(tree.leaf[left])
        parts["right_leaf"].append(tree.leaf[right])
        parts["weight"].append(tree.value[tree.leaf])
        parts["target"].append(np.full(int(tree.leaf.sum()), tree.target))
        roots.append(nodes)
        nodes += int(branch.sum())
        leaves += int(tree.leaf.sum())
    joined = {name: np.concatenate(part) for name, part in parts.items()}
    extra = {"membership_values": array_tensor(np.concatenate(members))} if members else {}
    return graph.add(
        "TreeEnsemble",
        tensor,
        domain=ML,
        n_targets=targets,
        aggregate_function=SUM,
        post_transform=0,
        tree_roots=roots,
        nodes_featureids=joined["feature"].astype(np.int64).tolist(),
        nodes_splits=array_tensor(joined["split"].astype(np.float64)),
        nodes_modes=array_tensor(joined["mode"].astype(np.uint8)),
        nodes_missing_value_tracks_true=joined["missing"].astype(np.int64).tolist(),
        nodes_truenodeids=joined["left"].astype(np.int64).tolist(),
        nodes_falsenodeids=joined["right"].astype(np.int64).tolist(),
        nodes_trueleafs=joined["left_leaf"].astype(np.int64).tolist(),
        nodes_falseleafs=joined["right_leaf"].astype(np.int64).tolist(),
        leaf_targetids=joined["target"].astype(np.int64).tolist(),
        leaf_weights=array_tensor(joined["weight"].astype(np.float64)),
        **extra,
    )


_ATTRIBUTES = (
    *("feature", "split", "mode", "missing", "left", "right"),
    *("left_leaf", "right_leaf", "weight", "target"),
)


def _with_a_branch(tree: Tree) -> Tree:
    """Return the tree itself, or for a lone leaf one whose root asks and gets the same answer twice."""
    if not tree.leaf[0]:
        return tree
    return Tree(
        feature=np.zeros(3, np.int64),
        threshold=np.zeros(3),
        left=np.array([1, 0, 0]),
        right=np.array([2, 0, 0]),
        leaf=np.array([False, True, True]),
        value=np.array([0.0, tree.value[0], tree.value[0]]),
        missing_left=np.zeros(3, np.bool_),
        target=tree.target,
    )
