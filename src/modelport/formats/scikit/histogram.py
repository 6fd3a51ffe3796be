"""Histogram gradient boosting: raw doubles compared, categories by membership, missing values routed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport.domain.errors import ConversionFailed
from modelport.formats.blocks import Block
from modelport.formats.emission import Emission
from modelport.formats.ensemble import Tree, add_trees, constant_tree
from modelport.formats.probabilities import against_zero, evened, exponential, label_of, softmax
from modelport.formats.scikit.walk import Walk
from modelport.formats.tree_input import prepare

WORD_BITS = 32


def convert_histogram(walk: Walk, model: Any, block: Block, where: str) -> Emission:
    """Convert HistGradientBoostingClassifier or HistGradientBoostingRegressor."""
    if model._preprocessor is not None:  # noqa: SLF001 - native categories are encoded, and moved to the front, by this
        block = walk.transform(model._preprocessor, block, f"{where}._preprocessor")  # noqa: SLF001
    given = prepare(walk.body, block, *_ordered_splits(model), rounds=False)
    start = np.ravel(model._baseline_prediction)  # noqa: SLF001 - the sum starts with it
    trees = [constant_tree(value, target) for target, value in enumerate(start.tolist())]
    trees += [
        given.adapted(_tree(predictor, target))
        for iteration in model._predictors  # noqa: SLF001 - there is no public form of the trees
        for target, predictor in enumerate(iteration)
    ]
    raw = add_trees(walk.graph, given.tensor, trees, len(start))
    emission = Emission("boosting", splits=given.splits, seen=given.chains, limits=given.limits)
    graph = walk.graph
    if hasattr(model, "classes_"):
        spread = against_zero() if len(start) == 1 else evened(len(start))
        sums = spread.write(graph, raw)
        label, table = label_of(graph, sums), softmax(graph, sums, max(2, len(start)))
        return replace(emission, label=label, probabilities=table)
    link = type(model._loss.link).__name__  # noqa: SLF001 - it follows from the loss there
    if link == "LogLink":
        return replace(emission, family="boosting-log", predictions=exponential(graph, raw))
    if link != "IdentityLink":
        raise ConversionFailed(
            f"{where} has the loss {model.loss!r} with the link {link}, which is not known"
        )
    return replace(emission, predictions=raw)


def _ordered_splits(model: Any) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return column and threshold of every split that asks for order."""
    nodes = np.concatenate([each.nodes for some in model._predictors for each in some])  # noqa: SLF001 - same
    ordered = nodes[(nodes["is_leaf"] == 0) & (nodes["is_categorical"] == 0)]
    return ordered["feature_idx"].astype(np.int64), ordered["num_threshold"]


def _tree(predictor: Any, target: int) -> Tree:
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(np.bool_)
    members = {
        int(node): _members(predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]])
        for node in np.flatnonzero(~leaf & nodes["is_categorical"].astype(np.bool_))
    }
    return Tree(
        feature=np.where(leaf, 0, nodes["feature_idx"]).astype(np.int64),
        threshold=nodes["num_threshold"],
        left=nodes["left"].astype(np.int64),
        right=nodes["right"].astype(np.int64),
        leaf=leaf,
        value=nodes["value"],
        missing_left=nodes["missing_go_to_left"].astype(np.bool_),
        target=target,
        members=members,
    )


def _members(words: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Return the category codes whose bits are set."""
    bits = np.arange(len(words) * WORD_BITS)
    there = (words[bits // WORD_BITS] >> (bits % WORD_BITS).astype(np.uint32)) & 1 == 1
    return np.asarray(bits[there], dtype=np.float64)
