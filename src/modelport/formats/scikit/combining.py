"""Steps whose columns come from several columns: products, projections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from modelport.formats.blocks import Block, Column, Number
from modelport.formats.elementwise import DOUBLE, SINGLE, Chain, Operation
from modelport.formats.scikit.walk import Walk

POWERS = {2: "square", 3: "cube"}


def convert_polynomial(walk: Walk, step: Any, block: Block, where: str) -> Block:
    """Convert PolynomialFeatures: each product from the right, as scikit-learn multiplies."""
    del where
    body, graph = walk.body, walk.graph
    tensor, places = body.collect(block.columns, single=block.single)
    one = [Number(tensor, place, block.single) for place in places]
    made: dict[tuple[int, ...], Column] = {
        (place,): _same_numbers(block, block.columns[place], number) for place, number in enumerate(one)
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
    # the largest weight times the number of terms: more than a sum can grow
    growth = Operation("multiply", (np.array([len(block) * float(np.abs(weights).max(initial=1.0))]),))
    limits = tuple(
        _held(block, column, chain).then(growth)
        for column in block.columns
        if isinstance(column, Number)
        for chain in column.bounds
    )
    made = walk.body.made(result, weights.shape[1], single=block.single)
    return Block(tuple(replace(number, limits=limits) for number in made), single=block.single)


def _same_numbers(block: Block, column: Column, number: Number) -> Number:
    """Return a column that has only been copied, with its chain."""
    if not isinstance(column, Number):
        return number
    steps = [] if column.single == block.single else [Operation(SINGLE if block.single else DOUBLE)]
    return column.then(number.tensor, number.place, number.single, *steps)


def _suffixes(wanted: Sequence[tuple[int, ...]], degree: int) -> list[tuple[int, ...]]:
    """Return the products of a degree that wanted ones are made from."""
    return list(dict.fromkeys(term[-degree:] for term in wanted if len(term) >= degree))


def _gathered(walk: Walk, columns: Sequence[Column], block: Block) -> str:
    tensor, places = walk.body.collect(columns, single=block.single)
    return walk.graph.columns(tensor, places) if places != sorted(places) else tensor


def _with_chain(number: Number, block: Block, term: tuple[int, ...]) -> Number:
    """Return a product with what keeps it finite: each of its factors to the power of their number."""
    factors = [block.columns[place] for place in dict.fromkeys(term)]
    power = Operation("power", (np.array([float(len(term))]),))
    if len(factors) == 1 and isinstance(factors[0], Number) and factors[0].chain is not None:
        exact = Operation(POWERS[len(term)]) if len(term) in POWERS else power
        return replace(number, chain=_held(block, factors[0], factors[0].chain).then(exact))
    limits = [
        _held(block, factor, chain).then(power)
        for factor in factors
        if isinstance(factor, Number)
        for chain in factor.bounds
    ]
    return replace(number, limits=tuple(limits))


def _held(block: Block, column: Number, chain: Chain) -> Chain:
    """Return the chain in the type of the block."""
    return (
        chain if column.single == block.single else chain.then(Operation(SINGLE if block.single else DOUBLE))
    )
