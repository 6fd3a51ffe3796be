"""Columns on their way through preprocessing.

A column of numbers is a place in a tensor of the graph. A coded column is a value per code of a feature with
a vocabulary: preprocessing acts on that short table, not on rows, so that it is exact by construction, and
the graph only looks the result up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport.formats.elementwise import Chain, Operation


class NotANumber(Exception):
    """A table holds words where numbers are needed; the text names one."""


@dataclass(frozen=True, eq=False, slots=True)
class Codes:
    """Where the codes of a coded column stand.

    Args:
        tensor: float64 `[N, w]` holding whole numbers.
        place: Column of the tensor.
        size: How many values are known; the code `size` stands for any other value, `size + 1` for a
            missing one.
        feature: Place in the signature, None for codes that the graph makes out of numbers.
    """

    tensor: str
    place: int
    size: int
    feature: int | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Coded:
    """A column that is a function of a code.

    Args:
        codes: Where the codes stand.
        table: The column's value for each code, `[size + 2]`; a numpy array or a pandas Series.
        verbatim: The table's known values are those of the feature's vocabulary.
    """

    codes: Codes
    table: Any
    verbatim: bool = False

    def numbers(self, *, single: bool = False) -> NDArray[Any]:
        """Return the table as numbers.

        Args:
            single: As float32, else float64.

        Raises:
            NotANumber: It holds words.
        """
        dtype = np.float32 if single else np.float64
        if hasattr(self.table, "to_numpy") and self.table.dtype.kind in "iufb":
            return np.asarray(self.table.to_numpy(dtype=dtype, na_value=np.nan))
        values = np.asarray(self.table)
        if values.dtype.kind in "OUS":
            # text that spells a number would be read as one here and by some steps, not by all
            word = next((each for each in values.ravel() if isinstance(each, str)), None)
            if word is not None:
                raise NotANumber(repr(word))
        try:
            return values.astype(dtype)
        except (TypeError, ValueError) as error:
            raise NotANumber(str(error)) from error


@dataclass(frozen=True, eq=False, slots=True)
class Number:
    """A column of numbers.

    Args:
        tensor: float64 or float32 `[N, w]`.
        place: Column of the tensor.
        single: The tensor is float32.
        chain: How it comes from one raw feature, None where it comes from several.
        limits: For a column that comes from several: while each of these is finite, so is the column.
        made_of: The column that one operation made this one of, in the same type, and the operation; None
            where it was made in another way.
    """

    tensor: str
    place: int
    single: bool = False
    chain: Chain | None = None
    limits: tuple[Chain, ...] = ()
    made_of: tuple[Number, Operation] | None = None

    def then(self, tensor: str, place: int, single: bool, *operations: Operation) -> Number:  # noqa: FBT001 - in the order of the fields
        """Return the column that operations have made of this one."""
        chain = self.chain and self.chain.then(*operations)
        return Number(tensor, place, single, chain, tuple(limit.then(*operations) for limit in self.limits))

    @property
    def bounds(self) -> tuple[Chain, ...]:
        """Return chains that are finite only where the column is, or that keep it finite."""
        return self.limits if self.chain is None else (self.chain,)


Column = Coded | Number


@dataclass(frozen=True, slots=True)
class Block:
    """An array of the original, column by column.

    Args:
        columns: Its columns.
        single: The original holds it in float32.
        sparse: The original holds it as a sparse matrix, whose scalers multiply instead of dividing.
        names: Labels of the columns while the original holds a DataFrame, else None.
    """

    columns: tuple[Column, ...]
    single: bool = False
    sparse: bool = False
    names: tuple[Any, ...] | None = None

    def __len__(self) -> int:
        return len(self.columns)

    def features(self) -> set[int]:
        """Return the places of the features that the columns come from, one to one."""
        found: set[int] = set()
        for column in self.columns:
            if isinstance(column, Coded):
                if column.codes.feature is not None:
                    found.add(column.codes.feature)
            elif column.chain is not None:
                found.add(column.chain.feature)
        return found

    def chains(self) -> tuple[Chain, ...]:
        """Return how each column of numbers comes from its one feature."""
        return tuple(
            each.chain for each in self.columns if isinstance(each, Number) and each.chain is not None
        )

    def limits(self) -> tuple[Chain, ...]:
        """Return what must be finite for the columns that come from several features."""
        return tuple(limit for each in self.columns if isinstance(each, Number) for limit in each.limits)
