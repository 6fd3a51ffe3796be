"""Gradient boosting: the first guess, then every tree's share, added in order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from modelport.domain.errors import ConversionFailed
from modelport.formats.blocks import Block
from modelport.formats.emission import Emission
from modelport.formats.ensemble import add_trees, constant_tree
from modelport.formats.probabilities import against_zero, evened, label_of, softmax
from modelport.formats.scikit.trees import all_splits, tree_of
from modelport.formats.scikit.walk import Walk
from modelport.formats.tree_input import prepare


def convert_boosting(walk: Walk, model: Any, block: Block, where: str) -> Emission:
    """Convert GradientBoostingClassifier or GradientBoostingRegressor."""
    init = "zero" if model.init_ == "zero" else type(model.init_).__name__
    if init not in {"zero", "DummyClassifier", "DummyRegressor"}:
        raise ConversionFailed(
            f"{where} starts from a {init} (init=), which modelport cannot convert",
            hint="leave init out, or set init='zero'",
        )
    fitted = [each.tree_ for stage in model.estimators_ for each in stage]
    given = prepare(walk.body, block, *all_splits(fitted), rounds=True)
    walk.note_float32(f"{where} ({type(model).__name__}): what it compares is rounded to float32")
    # the first guess is the same for every row
    start = model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32))[0]  # noqa: SLF001 - link and clipping of the first guess are applied there
    width = len(start)
    trees = [constant_tree(value, target) for target, value in enumerate(start.tolist())]
    for stage in model.estimators_:
        for target, each in enumerate(stage):
            value = model.learning_rate * each.tree_.value[:, 0, 0]
            trees.append(given.adapted(tree_of(each.tree_, value, target)))
    raw = add_trees(walk.graph, given.tensor, trees, width)
    emission = Emission("boosting", splits=given.splits, seen=given.chains, limits=given.limits)
    if not hasattr(model, "classes_"):
        return replace(emission, predictions=raw)
    if not hasattr(model, "predict_proba"):
        raise ConversionFailed(f"{where} has the loss {model.loss!r}, which gives no probabilities")
    spread = evened(width)
    if width == 1:
        spread = against_zero(2.0 if model.loss == "exponential" else 1.0)
    sums = spread.write(walk.graph, raw)
    label = label_of(walk.graph, sums, tie=1 if width == 1 else 0)
    return replace(emission, label=label, probabilities=softmax(walk.graph, sums, max(2, width)))
