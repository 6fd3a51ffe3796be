"""Steps whose columns come from several columns: products, projections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from modelport.formats.blocks import Block, Column, Number
from modelport.formats.elementwise import Operation
from modelport.formats.scikit.walk import Walk

POWERS = {2: "square", 3: "cube"}


def convert_polynomial(walk: Walk, step: Any, block: Block, where: str) -> Block:
    """Convert PolynomialFeatures: each product from the right, as scikit-learn multiplies."""
    del where
    body, graph = walk.body, walk.graph
    tensor, places = body.collect(block.columns, single=block.single)
    one = [Number(tensor, place, block.single) for place in places]
    made: dict[tuple[int, ...], Column] = {
        (place,): replace(number, chain=getattr(block.columns[place], "chain", None))
        for place, number in enumerate(one)
    }
    wanted = [tuple(np.repeat(np.arange(len(powers)), powers).tolist()) for powers in step.powers_]
    for degree in range(2, max(map(len, wanted), default=0) + 1):
        terms = _suffixes(wanted, degree)
        rest = _gathered(walk, [made[term[1:]] for term in terms], block)
        first = _gathered(walk, [one[term[0]] for term in terms], block)
        product = body.made(graph.add("Mul", rest, first), len(terms), single=block.single)
        for term, number in zip(terms, product, strict=True):
            made[term] = _with_chain(number, block, term)
    columns: list[Column] = []
    for term in wanted:
        if term:
            columns.append(made[term])
        else:  # the bias: a column of ones
            ones = graph.add("CastLike", graph.constant(np.ones((1, 1))), tensor)
            zero = graph.add("Mul", graph.columns(tensor, [0]), graph.add("Sub", ones, ones))
            columns += body.made(graph.add("Add", zero, ones), 1, single=block.single)
    return Block(tuple(columns), single=block.single, sparse=block.sparse)


def convert_pca(walk: Walk, step: Any, block: Block, where: str) -> Block:
    """Convert a PCA: centred and projected; whitened where it whitens."""
    block = walk.body.held_as(block, single=block.single and step.components_.dtype == np.float32)
    dtype = np.float32 if block.single else np.float64
    if block.single:
        walk.note_float32(f"{where} (PCA)")
    graph = walk.graph
    tensor, places = walk.body.collect(block.columns, single=block.single)
    weights = np.zeros((len(block), len(step.components_)), dtype)
    weights[places] = step.components_.T
    result = graph.add("MatMul", tensor, graph.constant(weights))
    centre = np.reshape(step.mean_, (1, -1)) @ step.components_.T
    result = graph.add("Sub", result, graph.constant(centre, dtype))
    if step.whiten:
        scale = np.sqrt(step.explained_variance_)
        scale[scale < np.finfo(scale.dtype).eps] = np.finfo(scale.dtype).eps
        result = graph.add("Div", result, graph.constant(scale[np.newaxis, :], dtype))
    return Block(walk.body.made(result, weights.shape[1], single=block.single), single=block.single)


def _suffixes(wanted: Sequence[tuple[int, ...]], degree: int) -> list[tuple[int, ...]]:
    """Return the products of a degree that wanted ones are made from."""
    return list(dict.fromkeys(term[-degree:] for term in wanted if len(term) >= degree))


def _gathered(walk: Walk, columns: Sequence[Column], block: Block) -> str:
    tensor, places = walk.body.collect(columns, single=block.single)
    return walk.graph.columns(tensor, places) if places != sorted(places) else tensor


def _with_chain(number: Number, block: Block, term: tuple[int, ...]) -> Number:
    """Return a pure power with its chain: how far its base may go is known."""
    base = block.columns[term[0]]
    if len(set(term)) > 1 or not isinstance(base, Number) or base.chain is None or len(term) not in POWERS:
        return number
    chain = base.chain
    if base.single != block.single:
        return number
    return replace(number, chain=chain.then(Operation(POWERS[len(term)])))
