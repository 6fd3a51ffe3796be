"""Encoders of categories: what each code becomes is asked of the encoder itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from modelport.domain.errors import ConversionFailed
from modelport.domain.signature import FeatureType, Value
from modelport.formats.blocks import Block, Coded, Column, Number
from modelport.formats.scikit.tables import Table, run_on_tables
from modelport.formats.scikit.walk import Recode, Walk
from modelport.formats.tabular import is_missing


def convert_one_hot(walk: Walk, step: Any, block: Block, where: str) -> Block:
    """Convert a OneHotEncoder: unknown, infrequent and dropped categories as it does."""
    owners = [place for place, count in enumerate(step._n_features_outs) for _ in range(count)]  # noqa: SLF001 - the only place that counts dropped and infrequent categories
    return _encoded(walk, step, block, where, owners, sparse=bool(step.sparse_output))


def convert_ordinal(walk: Walk, step: Any, block: Block, where: str) -> Block:
    """Convert an OrdinalEncoder: unknown and missing values as it encodes them."""
    return _encoded(walk, step, block, where, list(range(len(block))))


def convert_target(walk: Walk, step: Any, block: Block, where: str) -> Block:
    """Convert a TargetEncoder; several classes give several columns for each input."""
    width = len(step.encodings_) // len(block)
    owners = [place for place in range(len(block)) for _ in range(width)]
    return _encoded(walk, step, block, where, owners)


def _encoded(
    walk: Walk, step: Any, block: Block, where: str, owners: Sequence[int], *, sparse: bool = False
) -> Block:
    tables: list[Table] = []
    for place, (column, categories) in enumerate(zip(block.columns, step.categories_, strict=True)):
        known = [value for value in categories.tolist() if not is_missing(value)]
        coded = _coded(walk, column, known, categories.dtype, f"{where}, column {place}")
        _agree_on_missing(walk, coded, categories.tolist(), where)
        tables.append(Table(coded, _safe(coded, known)))
    outcome = run_on_tables(walk, step, tables, where)
    for place, column in enumerate(block.columns):
        if isinstance(column, Number) and tables[place].rows - 2 in outcome.refused[place]:
            # only a vocabulary can tell requests which numbers are accepted
            raise _wish_for_vocabulary(walk, column, step.categories_[place].tolist(), where)
    columns = tuple(
        Coded(tables[owner].column.codes, outcome.table(owner, tables[owner].column, output))
        for output, owner in enumerate(owners)
    )
    return Block(columns, single=outcome.output.dtype == np.float32, sparse=sparse)


def _coded(walk: Walk, column: Column, known: list[Any], dtype: Any, where: str) -> Coded:
    """Return the column with codes that tell all known categories apart."""
    if isinstance(column, Coded):
        feature = column.codes.feature
        if column.verbatim and feature is not None:
            have = walk.plan.vocabulary[feature]
            lacking = [value for value in known if not any(_same(value, each) for each in have)]
            if lacking:
                raise Recode(feature, [_plain(value) for value in lacking])
        elif feature is not None and not column.verbatim and _words(column):
            _ask_for_reachable(walk, column, known)
        if dtype.kind == "O" and not hasattr(column.table, "iloc"):
            # the encoder compares objects with objects
            return Coded(column.codes, np.asarray(column.table).astype(object))
        return column
    numbers = _numbers(known, where)
    codes = walk.body.discretise(column, numbers)
    unknown = math.floor(float(numbers.max(initial=0.0))) + 1
    if dtype.kind == "O":  # the encoder compares objects with objects
        return Coded(codes, np.array([*known, unknown, math.nan], dtype=object))
    return Coded(codes, np.append(numbers, [unknown, np.nan]))


def _ask_for_reachable(walk: Walk, column: Coded, known: list[Any]) -> None:
    """Have words that only an imputer writes known as words of requests too: they mean the same."""
    feature = column.codes.feature
    have = set(np.asarray(column.table)[: column.codes.size].tolist())
    lacking = [value for value in known if isinstance(value, str) and value not in have]
    asked = feature is not None and [value for value in lacking if value not in walk.plan.vocabulary[feature]]
    if asked and feature is not None:
        raise Recode(feature, asked)


def _words(column: Coded) -> bool:
    return any(isinstance(value, str) for value in np.asarray(column.table).tolist())


def _numbers(known: list[Any], where: str) -> Any:
    try:
        return np.array(known, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ConversionFailed(
            f"{where} gives numbers to an encoder that knows {known[0]!r}",
            hint="train on a DataFrame in which the column has one type",
        ) from error


def _agree_on_missing(walk: Walk, column: Coded, categories: list[Any], where: str) -> None:
    """Have missing words written as the encoder saw them: None and NaN are different categories to it."""
    feature = column.codes.feature
    kinds = {type(value) for value in categories if is_missing(value)}
    if feature is None or not column.verbatim or not kinds:
        return
    held = walk.plan.layout.columns[feature]
    if not (isinstance(held.dtype, np.dtype) and held.dtype.kind == "O"):
        return
    if len(kinds) > 1:
        raise ConversionFailed(
            f"{where}: the column {held.name!r} was trained with both None and NaN as categories, "
            "which requests cannot tell apart",
            hint="write missing values in one way before training, for example df.fillna(float('nan'))",
        )
    absent = None if kinds == {type(None)} else math.nan
    if (held.absent is None) != (absent is None):
        raise Recode(feature, absent=absent)


def _wish_for_vocabulary(walk: Walk, column: Number, categories: list[Any], where: str) -> Exception:
    if column.chain is None or not column.chain.plain:
        return ConversionFailed(
            f"{where} refuses unknown values of a column that was calculated before",
            hint="set handle_unknown='ignore' (OneHotEncoder) or 'use_encoded_value' (OrdinalEncoder)",
        )
    kind = walk.plan.layout.columns[column.chain.feature].type
    values = [_as_type(value, kind) for value in categories if not is_missing(value)]
    return Recode(column.chain.feature, values)


def _as_type(value: Any, kind: FeatureType) -> Value:
    if kind is FeatureType.BOOL:
        return bool(value)
    number = float(value)
    return int(number) if kind is FeatureType.INT64 and number.is_integer() else number


def _safe(column: Coded, known: list[Any]) -> int:
    """Return a row of the table that holds a known category."""
    values = column.table.tolist()[: column.codes.size]
    return next((row for row, value in enumerate(values) if any(_same(value, each) for each in known)), 0)


def _same(first: Any, second: Any) -> bool:
    return bool(first == second) and isinstance(first, str) == isinstance(second, str)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
