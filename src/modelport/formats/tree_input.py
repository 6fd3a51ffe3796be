"""What trees look at: raw features wherever a column rises with one, else the column itself.

A tree asks whether a column is ≤ a threshold. Where the column comes from one feature and rises with it, the
same rows are told apart by a raw threshold, found to the last bit (`inversion.last_left`) with every
operation and every rounding to float32 on the way. Scalers, imputers and casts then cost nothing at serving
time, and functions whose last bit differs between libraries, such as the logarithm, decide no branch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from modelport.formats.blocks import Block, Column, Number
from modelport.formats.body import Body
from modelport.formats.elementwise import DOUBLE, SINGLE, Chain, Operation
from modelport.formats.emission import Splits
from modelport.formats.ensemble import Tree
from modelport.formats.graph import MATRIX
from modelport.formats.inversion import last_left

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Unrolled:
    """A column that trees look at through its raw feature.

    Args:
        thresholds: The model's own, rising, float64 `[T]`.
        raw: The raw threshold of each, float64 `[T]`.
        missing: The column's value for a missing raw value; NaN where the model sees a missing one too.
    """

    thresholds: Floats
    raw: Floats
    missing: float


@dataclass(frozen=True, slots=True)
class TreeInput:
    """The tensor that trees look at.

    Args:
        tensor: float64 `[N, w]`.
        places: Column of the tensor for each column of the model, int64 `[C]`.
        unrolled: Column of the model to its raw thresholds.
        splits: Where the trees turn, for the proof's probe rows.
        chains: How each column comes from its feature.
        limits: What must be finite for columns that come from several features.
    """

    tensor: str
    places: NDArray[np.int64]
    unrolled: dict[int, Unrolled]
    splits: tuple[Splits, ...]
    chains: tuple[Chain, ...]
    limits: tuple[Chain, ...]

    def adapted(self, tree: Tree) -> Tree:
        """Return a tree of the model, which names the model's columns, for this tensor."""
        threshold = tree.threshold.copy()
        missing_left = tree.missing_left.copy()
        for column in np.unique(tree.feature[~tree.leaf]).tolist():
            found = self.unrolled.get(column)
            if found is None:
                continue
            nodes = np.flatnonzero((tree.feature == column) & ~tree.leaf)
            if not np.isnan(found.missing):
                missing_left[nodes] = found.missing <= tree.threshold[nodes]
            threshold[nodes] = found.raw[np.searchsorted(found.thresholds, tree.threshold[nodes])]
        return replace(
            tree,
            feature=self.places[np.where(tree.leaf, 0, tree.feature)],
            threshold=threshold,
            missing_left=missing_left,
        )


def prepare(
    body: Body, block: Block, feature: NDArray[np.int64], threshold: Floats, *, rounds: bool
) -> TreeInput:
    """Bring a block before trees.

    Args:
        body: Where to write.
        block: The model's input.
        feature: Column of each ordered split of all trees, `[S]`.
        threshold: Its threshold, `[S]`.
        rounds: The model rounds its input to float32.
    """
    order = np.argsort(feature, kind="stable")
    feature, threshold = feature[order], threshold[order]
    starts = np.searchsorted(feature, np.arange(len(block) + 1))
    columns: list[Column] = list(block.columns)
    unrolled: dict[int, Unrolled] = {}
    splits: list[Splits] = []
    chains: list[Chain] = []
    others: list[int] = []
    for place, column in enumerate(block.columns):
        some = np.unique(threshold[starts[place] : starts[place + 1]])
        chain = _seen(column, block, rounds=rounds)
        if chain is not None:
            chains.append(chain)
            splits.append(Splits(chain, some))
        if isinstance(column, Number) and chain is not None and _unrolls(chain):
            columns[place], missing = _raw(body, column, chain)
            unrolled[place] = Unrolled(some, last_left(chain, some), missing)
        else:
            others.append(place)
    seen = Block(tuple(columns[place] for place in others), single=block.single)
    seen = body.rounded(seen) if rounds else body.held_as(seen, single=False)
    for place, column in zip(others, seen.columns, strict=True):
        columns[place] = column
    tensor, places = body.collect(columns, exact=False)
    return TreeInput(
        tensor,
        np.asarray(places, np.int64),
        unrolled,
        tuple(each for each in splits if len(each.thresholds)),
        tuple(chains),
        seen.limits(),
    )


def _seen(column: Column, block: Block, *, rounds: bool) -> Chain | None:
    """Return how a column comes from its feature, as the model compares it."""
    if not isinstance(column, Number) or column.chain is None:
        return None
    chain = column.chain
    if column.single != block.single:
        chain = chain.then(Operation(SINGLE if block.single else DOUBLE))
    if rounds:
        return chain.then(Operation(SINGLE), Operation(DOUBLE))
    return chain.then(Operation(DOUBLE)) if block.single else chain


def _unrolls(chain: Chain) -> bool:
    if not chain.rises:
        return False
    try:
        chain.stand_in()
    except ValueError:
        return not chain.partial
    return True


def _raw(body: Body, column: Number, chain: Chain) -> tuple[Number, float]:
    """Return the raw feature, and what the model sees for a missing value of it.

    Where the column is not a number although the feature is, trees must see a missing value.
    """
    raw = Number(MATRIX, chain.feature)
    missing = float(chain.compute(np.array([np.nan]))[0])
    if not chain.partial:
        return raw, missing
    graph = body.graph
    tensor = graph.columns(MATRIX, [chain.feature])
    stand_in = chain.stand_in()
    if stand_in is not None:
        tensor = graph.add("Where", graph.add("IsNaN", tensor), graph.constant([[stand_in]]), tensor)
    strange = graph.add("IsNaN", graph.columns(column.tensor, [column.place]))
    tensor = graph.add("Where", strange, graph.constant([[np.nan]]), tensor)
    (number,) = body.made(tensor, 1, single=False)
    return number, float("nan")
