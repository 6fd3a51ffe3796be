"""From an ensemble to the tables that the kernel walks.

Thresholds become ranks: a number's rank among all thresholds of its feature is found once for each row, and
the trees then compare 16-bit whole numbers. What differs in how it treats NaN, or what asks for membership,
gets a column of its own in the encoded row, so that the walk asks one question only: is this number greater
than that rank. A feature with more thresholds than 16 bits can tell apart gets several columns, each for a
stretch of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelport.runtime.trees.ensemble import Ensemble, Floats, Ints, NotTaken
from modelport.runtime.trees.folding import Source
from modelport.runtime.trees.layout import (
    BLOCK_BYTES,
    CELL_BYTES,
    COLUMNS_MAX,
    LANES,
    LEAF_RANK,
    RANK_SHIFT,
    RANKS,
    Kind,
)

GROWTH_MAX = 4  # nodes walked for nodes written: trees that share branches would grow without end
BLOCK_ROWS_MAX = 512


@dataclass(frozen=True)
class Packed:
    """The tables of `layout.Plan`, as arrays."""

    features: int
    columns: int
    outputs: int
    kind: Kind
    nodes: NDArray[np.uint64]
    roots: NDArray[np.uint32]
    trees: int
    values: Floats
    leaves: NDArray[np.uint32]
    targets: NDArray[np.uint32]
    ordered: Ints
    listed: Ints
    coded: Ints
    held: tuple[NDArray[np.generic], ...]
    """Tables that records point to."""

    @property
    def block_rows(self) -> int:
        """Return how many rows are encoded at a time."""
        return min(BLOCK_ROWS_MAX, BLOCK_BYTES // (CELL_BYTES * self.columns) // LANES * LANES)


def pack(ensemble: Ensemble, sources: Sequence[Source], features: int) -> Packed:
    """Return the tables.

    Args:
        ensemble: The trees.
        sources: Of each column that they look at.
        features: Columns of the matrix.

    Raises:
        NotTaken: The trees need more columns, nodes or kinds of leaves than the kernel has.
    """
    order = _unroll(ensemble)
    branches = order.number[~order.leaf]
    encoding = _Encoding(sources)
    column, rank = encoding.questions(ensemble, branches)
    if encoding.columns > COLUMNS_MAX:
        raise NotTaken(f"its trees ask {encoding.columns} different columns; {COLUMNS_MAX} fit")
    coded = encoding.coded_records()
    word = np.zeros(order.size, np.uint64)
    word[order.place[~order.leaf]] = (
        column * LANES
        | rank << 16
        | order.child[~order.leaf] << 32  # the child of an entry is a place already
    ).astype(np.uint64)
    for places in (order.place[order.leaf], np.zeros(1, np.int64)):
        word[places] = (LEAF_RANK << 16 | places << 32).astype(np.uint64)
    roots = np.zeros(-(-len(ensemble.roots) // LANES) * LANES, np.uint32)
    roots[: len(ensemble.roots)] = order.roots
    kind, outputs, values, leaves, targets = _answers(ensemble, order)
    return Packed(
        features=features,
        columns=max(1, encoding.columns),
        outputs=outputs,
        kind=kind,
        nodes=word,
        roots=roots,
        trees=len(ensemble.roots),
        values=values,
        leaves=leaves,
        targets=targets,
        ordered=np.array(encoding.ordered, np.int64),
        listed=np.array(encoding.listed, np.int64),
        coded=np.array(coded, np.int64),
        held=tuple(encoding.held),
    )


@dataclass(frozen=True)
class _Order:
    """All nodes and leaves of all trees, level by level, with their place in memory.

    Args:
        number: Node or leaf of the ensemble, `[entries]`.
        leaf: It is a leaf.
        tree: Which tree it belongs to.
        place: Where it lies.
        child: Place of the left child of a node.
        roots: Place of each tree's root.
        size: Places in all.
    """

    number: Ints
    leaf: NDArray[np.bool_]
    tree: Ints
    place: Ints
    child: Ints
    roots: Ints
    size: int


def _unroll(ensemble: Ensemble) -> _Order:
    """Lay out the trees: one after the other, each level by level, siblings side by side."""
    trees = len(ensemble.roots)
    number, leaf, tree = ensemble.roots, np.zeros(trees, np.bool_), np.arange(trees)
    numbers, leaves, owners, lefts = [number], [leaf], [tree], []
    limit = GROWTH_MAX * (len(ensemble.feature) + len(ensemble.values) + trees)
    total = trees
    while True:
        node, owner = number[~leaf], tree[~leaf]
        left = np.full(len(number), -1)
        left[~leaf] = total + 2 * np.arange(len(node))
        lefts.append(left)
        if not len(node):
            break
        total += 2 * len(node)
        if total > limit:
            raise NotTaken("its trees share branches")
        number = np.stack([ensemble.left[node], ensemble.right[node]], axis=1).ravel()
        leaf = np.stack([ensemble.left_leaf[node], ensemble.right_leaf[node]], axis=1).ravel()
        tree = np.repeat(owner, 2)
        numbers.append(number)
        leaves.append(leaf)
        owners.append(tree)
    tree = np.concatenate(owners)
    sizes = np.bincount(tree, minlength=trees) + 1  # roots at odd places: siblings share a cache line
    base = np.concatenate([[0], np.cumsum(sizes)])
    by_tree = np.argsort(tree, kind="stable")
    place = np.empty(total, np.int64)
    within = np.arange(total) - np.concatenate([[0], np.cumsum(sizes - 1)])[tree[by_tree]]
    place[by_tree] = base[tree[by_tree]] + 1 + within
    left = np.concatenate(lefts)
    return _Order(
        number=np.concatenate(numbers),
        leaf=np.concatenate(leaves),
        tree=tree,
        place=place,
        child=np.where(left >= 0, place[left], 0),
        roots=place[:trees],
        size=int(base[-1]),
    )


@dataclass
class _Codes:
    """Neighbouring columns of the encoded row that come from one coded feature."""

    feature: int
    column: int
    rows: list[NDArray[np.uint32]]  # each `[codes]`


class _Encoding:
    """The encoded row: which columns it has, and the records of how they are made.

    Args:
        sources: Of each column that the trees look at.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.columns = 0
        self.ordered: list[int] = []
        self.listed: list[int] = []
        self.held: list[NDArray[np.generic]] = []
        self._coded: list[_Codes] = []
        self._sources = sources

    def questions(self, ensemble: Ensemble, branches: Ints) -> tuple[Ints, Ints]:
        """Return column and rank that each of some nodes asks."""
        column, rank = np.zeros(len(branches), np.int64), np.zeros(len(branches), np.int64)
        feature, threshold = ensemble.feature[branches], ensemble.threshold[branches]
        missing = ensemble.missing_left[branches]
        by_feature = np.argsort(feature, kind="stable")
        bounds = np.flatnonzero(np.diff(feature[by_feature], prepend=-1))
        for some in np.split(by_feature, bounds)[1:]:
            source = self._sources[int(feature[some[0]])]
            asks_order = ~np.isnan(threshold[some])
            if asks_order.any():
                ordered = some[asks_order]
                column[ordered], rank[ordered] = self._rank(source, threshold[ordered], missing[ordered])
            if not asks_order.all():
                listed = some[~asks_order]
                sets = [ensemble.members[int(node)] for node in branches[listed]]
                column[listed] = self._list(source, sets, missing[listed])
        return column, rank

    def coded_records(self) -> list[int]:
        """Return the records of features that are codes; call it once, when all questions are known."""
        records: list[int] = []
        for some in self._coded:
            rows = np.ascontiguousarray(np.stack(some.rows, axis=1))
            self.held.append(rows)
            records += [some.feature, len(rows), rows.ctypes.data, some.column * LANES, rows.shape[1]]
        return records

    def _rank(self, source: Source, threshold: Floats, missing: NDArray[np.bool_]) -> tuple[Ints, Ints]:
        known = np.unique(threshold)
        stretch, rank = np.divmod(np.searchsorted(known, threshold), RANKS)
        asked, place = np.unique(2 * stretch + missing, return_inverse=True)
        column = self.columns + place
        stretches = [(one // 2 * RANKS, 0 if one % 2 else LEAF_RANK) for one in asked.tolist()]
        if source.values is None:
            self.ordered += [source.feature, *self._search(known), len(asked)]
            for number, (offset, absent) in enumerate(stretches):
                self.ordered += [offset, (self.columns + number) * LANES, absent]
            self.columns += len(asked)
        else:
            held = np.searchsorted(known, source.values)
            for offset, absent in stretches:
                ranks = np.where(np.isnan(source.values), absent, np.clip(held - offset, 0, RANKS))
                self._code(source.feature, ranks)
        return column, rank

    def _list(self, source: Source, sets: list[Floats], missing: NDArray[np.bool_]) -> Ints:
        known = np.unique(np.concatenate(sets))
        first = self.columns
        places: dict[tuple[bytes, bool], int] = {}
        column = [
            first + places.setdefault((some.tobytes(), bool(left)), len(places))
            for some, left in zip(sets, missing, strict=True)
        ]
        if source.values is not None:
            for some, left in places:
                inside = np.isin(source.values, np.frombuffer(some))
                self._code(source.feature, np.where(np.isnan(source.values), not left, ~inside))
            return np.array(column)
        rows = np.ones((len(known) + 2, len(places)), np.uint32)
        for (some, left), place in places.items():
            rows[np.searchsorted(known, np.frombuffer(some)), place] = 0
            rows[-1, place] = not left
        rows <<= np.uint32(RANK_SHIFT)
        steps, table = self._search(known)
        members = np.full(2**steps, np.inf)
        members[: len(known)] = known
        self.listed += [
            *(source.feature, steps, table, len(known), members.ctypes.data, rows.ctypes.data),
            *(first * LANES, len(places)),
        ]
        self.held += [members, rows]
        self.columns += len(places)
        return np.array(column)

    def _code(self, feature: int, ranks: NDArray[np.generic]) -> None:
        """Add a column with a rank for each code of a feature."""
        last = self._coded[-1] if self._coded else None
        if last is None or last.feature != feature or last.column + len(last.rows) != self.columns:
            last = _Codes(feature, self.columns, [])
            self._coded.append(last)
        last.rows.append(ranks.astype(np.uint32) << np.uint32(RANK_SHIFT))
        self.columns += 1

    def _search(self, known: Floats) -> tuple[int, int]:
        """Return the steps and the address of a table in which a number's rank is searched."""
        steps = len(known).bit_length()
        rising = np.full(2**steps - 1, np.inf)
        rising[: len(known)] = known
        table = np.empty(2**steps)
        table[0] = np.nan
        for level in range(steps):
            gap = 2 ** (steps - level)
            table[2**level : 2 ** (level + 1)] = rising[gap // 2 - 1 :: gap]
        self.held.append(table)
        return steps, table.ctypes.data


def _answers(
    ensemble: Ensemble, order: _Order
) -> tuple[Kind, int, Floats, NDArray[np.uint32], NDArray[np.uint32]]:
    """Return what is added up: kind, outputs, values, the leaves' rows, the trees' targets."""
    none = np.zeros(0, np.uint32)
    leaf, tree, place = order.number[order.leaf], order.tree[order.leaf], order.place[order.leaf]
    if ensemble.table is not None:
        row = ensemble.values.astype(np.int64)
        if not (row == ensemble.values).all() or row.min(initial=0) < 0 or row.max() >= len(ensemble.table):
            raise NotTaken("its leaves are no rows of the table")
        if ensemble.outputs != len(ensemble.roots) or not (ensemble.target[leaf] == tree).all():
            raise NotTaken("its trees do not each answer in a place of their own")
        outputs = ensemble.table.shape[1]
        if outputs > 1:
            leaves = np.full(order.size, len(ensemble.table), np.uint32)
            leaves[place] = row[leaf]
            values = np.concatenate([ensemble.table, np.zeros((1, outputs))])
            return Kind.ROWS, outputs, np.ascontiguousarray(values), leaves, none
    values = np.zeros(order.size)
    values[place] = ensemble.values[leaf] if ensemble.table is None else ensemble.table[row[leaf], 0]
    if ensemble.table is not None or ensemble.outputs == 1:
        return Kind.ONE, 1, values, none, none
    targets = np.zeros(-(-len(ensemble.roots) // LANES) * LANES, np.uint32)
    targets[tree] = ensemble.target[leaf]
    if not (ensemble.target[leaf] == targets[tree]).all():
        raise NotTaken("a tree of it adds to several outputs")
    return Kind.TARGETS, ensemble.outputs, values, none, targets
