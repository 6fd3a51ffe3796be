"""Decision trees and forests.

The ensemble answers with the leaf each tree ends in; the leaves' values are looked up and added in
scikit-learn's order, tree by tree, then divided once. So every column has scikit-learn's own bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from modelport.domain.errors import ConversionFailed
from modelport.formats.blocks import Block
from modelport.formats.emission import Emission
from modelport.formats.ensemble import Tree, add_trees
from modelport.formats.scikit.walk import Walk
from modelport.formats.tree_input import TreeInput, prepare


def convert_tree(walk: Walk, model: Any, block: Block, where: str) -> Emission:
    """Convert one decision tree."""
    return _converted(walk, model, [model.tree_], block, where, "tree")


def convert_forest(walk: Walk, model: Any, block: Block, where: str) -> Emission:
    """Convert a random forest or extra trees."""
    return _converted(walk, model, [each.tree_ for each in model.estimators_], block, where, "forest")


def tree_of(fitted: Any, value: NDArray[np.float64], target: int = 0) -> Tree:
    """Return a tree of scikit-learn for the ensemble, with the model's own columns and thresholds.

    Args:
        fitted: `sklearn.tree._tree.Tree`.
        value: What each node adds as a leaf, float64 `[nodes]`.
        target: Column of the output.
    """
    leaf = fitted.children_left < 0
    missing = getattr(fitted, "missing_go_to_left", None)
    return Tree(
        feature=np.where(leaf, 0, fitted.feature).astype(np.int64),
        threshold=fitted.threshold,
        left=np.where(leaf, 0, fitted.children_left).astype(np.int64),
        right=np.where(leaf, 0, fitted.children_right).astype(np.int64),
        leaf=leaf,
        value=value,
        missing_left=np.zeros(len(leaf), np.bool_)
        if missing is None
        else np.asarray(missing, dtype=np.bool_),
        target=target,
    )


def all_splits(fitted: Sequence[Any]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return column and threshold of every split of some trees."""
    branch = [tree.children_left >= 0 for tree in fitted]
    feature = np.concatenate([tree.feature[some] for tree, some in zip(fitted, branch, strict=True)])
    threshold = np.concatenate([tree.threshold[some] for tree, some in zip(fitted, branch, strict=True)])
    return feature, threshold


def _converted(
    walk: Walk, model: Any, fitted: Sequence[Any], block: Block, where: str, family: str
) -> Emission:
    classes = getattr(model, "classes_", None)
    if isinstance(classes, list):
        raise ConversionFailed(
            f"{where} predicts several labels at once, which modelport cannot convert yet",
            hint="train one classifier for each label",
        )
    graph = walk.graph
    given = prepare(walk.body, block, *all_splits(fitted), rounds=True)
    walk.note_float32(f"{where} ({type(model).__name__}): what it compares is rounded to float32")
    emission = Emission(family, splits=given.splits, seen=given.chains, limits=given.limits)
    values = [_leaf_values(tree, classifies=classes is not None) for tree in fitted]
    if classes is None and values[0].shape[1] == 1:
        trees = [
            given.adapted(tree_of(tree, value[:, 0])) for tree, value in zip(fitted, values, strict=True)
        ]
        total = add_trees(graph, given.tensor, trees)
        return replace(emission, predictions=_mean(walk, total, len(fitted)))
    total = _looked_up(walk, given, fitted, values)
    mean = _mean(walk, total, len(fitted))
    if classes is None:
        return replace(emission, predictions=mean, targets=values[0].shape[1])
    return replace(emission, label=graph.argmax(mean), probabilities=mean)


def _leaf_values(tree: Any, *, classifies: bool) -> NDArray[np.float64]:
    """Return the answer of each node, float64 `[nodes, classes or targets]`."""
    return np.asarray(tree.value[:, 0, :] if classifies else tree.value[:, :, 0])


def _looked_up(
    walk: Walk, given: TreeInput, fitted: Sequence[Any], values: Sequence[NDArray[np.float64]]
) -> str:
    """Return the sum over trees of what stands in the leaves, `[N, columns]`.

    ONNX Runtime's ReduceSum over the first axis adds slice after slice, as scikit-learn adds trees.
    """
    graph = walk.graph
    trees, tables, offset = [], [], 0
    for target, (tree, value) in enumerate(zip(fitted, values, strict=True)):
        leaf = tree.children_left < 0
        number = np.zeros(len(leaf))
        number[leaf] = np.arange(offset, offset + leaf.sum())
        offset += int(leaf.sum())
        trees.append(given.adapted(tree_of(tree, number, target)))
        tables.append(value[leaf])
    leaves = graph.cast(add_trees(graph, given.tensor, trees, len(trees)), TensorProto.INT64)
    table = graph.constant(np.concatenate(tables))
    if len(trees) == 1:
        flat = graph.add("Reshape", leaves, graph.constant([-1], np.int64))
        return graph.add("Gather", table, flat, axis=0)
    by_tree = graph.add("Gather", table, graph.add("Transpose", leaves, perm=[1, 0]), axis=0)
    return graph.add("ReduceSum", by_tree, graph.constant([0], np.int64), keepdims=0)


def _mean(walk: Walk, total: str, count: int) -> str:
    if count == 1:
        return total
    return walk.graph.add("Div", total, walk.graph.constant([[float(count)]]))
