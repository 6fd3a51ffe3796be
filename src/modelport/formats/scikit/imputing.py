"""Missing values filled, and columns that say where they were."""

from __future__ import annotations

from typing import Any

import numpy as np

from modelport.domain.errors import ConversionFailed
from modelport.formats.blocks import Block, Coded, Column, NotANumber
from modelport.formats.elementwise import Operation
from modelport.formats.scikit.tables import Constant, Table, run_on_tables
from modelport.formats.scikit.walk import Walk


def convert_simple_imputer(walk: Walk, step: Any, block: Block, where: str) -> Block:
    """Convert a SimpleImputer of any strategy, its indicator columns included."""
    valid = [
        place
        for place, value in enumerate(step.statistics_)
        if step.keep_empty_features or not _is_missing(value)
    ]
    flagged = [] if step.indicator_ is None else step.indicator_.features_.tolist()
    filled = _fill(walk, step, block, valid, where)
    flags = _flags(walk, step.indicator_, block, flagged, where) if flagged else []
    return Block((*filled, *flags), single=block.single, sparse=block.sparse)


def convert_missing_indicator(walk: Walk, step: Any, block: Block, where: str) -> Block:
    """Convert a MissingIndicator."""
    return Block(tuple(_flags(walk, step, block, step.features_.tolist(), where)))


def _fill(walk: Walk, step: Any, block: Block, valid: list[int], where: str) -> list[Column]:
    columns = [block.columns[place] for place in valid]
    words = [place for place in valid if _holds_words(block.columns[place])]
    if words:
        return _fill_words(walk, step, block, valid, words, where)
    dtype = np.float32 if block.single else np.float64
    fills = np.asarray(step.statistics_[valid]).astype(dtype)
    part = Block(tuple(columns), single=block.single)
    return list(walk.body.apply(part, _fill_operation(step.missing_values, fills, where)).columns)


def _fill_operation(missing: Any, fills: Any, where: str) -> Operation:
    if _is_missing(missing):
        return Operation("fill", (fills,))
    if isinstance(missing, int | float | np.number):
        return Operation("fill_equal", (np.full(len(fills), missing, fills.dtype), fills))
    raise ConversionFailed(
        f"{where} fills numbers in place of {missing!r}", hint="use missing_values=np.nan for numeric columns"
    )


def _fill_words(
    walk: Walk, step: Any, block: Block, valid: list[int], words: list[int], where: str
) -> list[Column]:
    """Fill columns of words by asking the imputer about each word; numbers beside them as usual."""
    asked: list[Table | Constant] = [
        Table(column, 0) if isinstance(column, Coded) else Constant(step.statistics_[place])
        for place, column in enumerate(block.columns)
    ]
    outcome = run_on_tables(walk, step, asked, where)
    columns: list[Column] = []
    for output, place in enumerate(valid):
        column = block.columns[place]
        if isinstance(column, Coded) and place in words:
            columns.append(Coded(column.codes, outcome.table(place, column, output)))
        else:
            fill = np.array([step.statistics_[place]], np.float64)
            operation = _fill_operation(step.missing_values, fill, where)
            columns += walk.body.apply(Block((column,)), operation).columns
    return columns


def _flags(walk: Walk, indicator: Any, block: Block, places: list[int], where: str) -> list[Column]:
    columns = [block.columns[place] for place in places]
    if any(_holds_words(column) for column in block.columns):
        asked: list[Table | Constant] = [
            Table(column, 0) if isinstance(column, Coded) else Constant(0.0) for column in block.columns
        ]
        outcome = run_on_tables(walk, indicator, asked, where)
        found: list[Column] = []
        for output, (place, column) in enumerate(zip(places, columns, strict=True)):
            if isinstance(column, Coded):
                found.append(Coded(column.codes, outcome.table(place, column, output).astype(np.float64)))
            else:
                found += walk.body.apply(Block((column,)), Operation("is_nan")).columns
        return found
    missing = indicator.missing_values
    operation = (
        Operation("is_nan")
        if _is_missing(missing)
        else Operation("is_equal", (np.full(len(places), missing, np.float64),))
    )
    return list(walk.body.apply(Block(tuple(columns), single=block.single), operation).columns)


def _holds_words(column: Column) -> bool:
    if not isinstance(column, Coded):
        return False
    try:
        column.numbers()
    except NotANumber:
        return True
    return not column.codes.size and column.verbatim


def _is_missing(value: Any) -> bool:
    """Return whether this is NaN or pandas.NA."""
    return type(value).__name__ == "NAType" or (isinstance(value, float) and np.isnan(value))
