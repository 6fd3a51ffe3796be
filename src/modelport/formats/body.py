"""The body of a graph: what happens to the serving matrix, written step by step.

The published graph is the same body behind a front that makes the matrix out of named inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from modelport.formats.blocks import Block, Coded, Codes, Column, Number
from modelport.formats.elementwise import DOUBLE, DOUBLES_AT_ONCE, PACKED, SINGLE, SINGLES_AT_ONCE, Operation
from modelport.formats.graph import MATRIX, ML, Graph, array_tensor

Floats = NDArray[np.float64]


class Body:
    """A graph with the operations that blocks of columns need.

    Args:
        width: Columns of the serving matrix.
    """

    def __init__(self, width: int) -> None:
        self.graph = Graph()
        self.width = width
        self._widths: dict[str, int] = {MATRIX: width}

    def collect(self, columns: Sequence[Column], *, single: bool = False, exact: bool = True) -> _Collected:
        """Bring columns into one tensor, in whatever order is cheapest.

        Args:
            columns: Which ones.
            single: As float32, else float64.
            exact: The tensor holds nothing else. Otherwise it may hold other columns too, which saves
                picking them.

        Returns:
            The tensor and the place of each column in it.

        Raises:
            NotANumber: A coded column holds words.
        """
        parts: list[_Collected] = []
        order: list[list[int]] = []
        numbers: dict[tuple[str, bool], list[int]] = {}
        coded: list[int] = []
        for index, column in enumerate(columns):
            if isinstance(column, Number):
                numbers.setdefault((column.tensor, column.single), []).append(index)
            else:
                coded.append(index)
        for (tensor, is_single), members in numbers.items():
            places = [columns[index].place for index in members]  # type: ignore[union-attr]
            part = self._picked(tensor, places, exact=exact)
            name = part[0] if is_single == single else self._cast(part[0], single=single)
            parts.append((name, part[1]))
            order.append(members)
        if coded:
            tables = [(columns[index].codes, columns[index].numbers(single=single)) for index in coded]  # type: ignore[union-attr]
            parts.append(self._looked_up(tables))
            order.append(coded)
        return self._joined(parts, order, len(columns))

    def apply(self, block: Block, *operations: Operation) -> Block:
        """Apply operations to every column of a block.

        Args:
            block: Which columns.
            operations: One after the other, each with constants `[len(block)]`.

        Raises:
            NotANumber: A coded column holds words.
        """
        for operation in operations:
            block = self._applied(block, operation)
        return replace(block, names=None)

    def rounded(self, block: Block) -> Block:
        """Return the block as a model sees it that rounds its input to float32 and compares doubles."""
        columns: list[Column] = list(block.columns)
        numbers = [index for index, column in enumerate(columns) if isinstance(column, Number)]
        if numbers:
            tensor, places = self.collect([columns[index] for index in numbers], single=True)
            wide = self._cast(tensor, single=False)
            for index, place in zip(numbers, places, strict=True):
                column = columns[index]
                assert isinstance(column, Number)  # noqa: S101 - picked so above
                columns[index] = column.then(wide, place, False, Operation(SINGLE), Operation(DOUBLE))
        for index, column in enumerate(columns):
            if isinstance(column, Coded):
                with np.errstate(over="ignore"):
                    table = column.numbers(single=True).astype(np.float64)
                columns[index] = Coded(column.codes, table)
        return Block(tuple(columns))

    def held_as(self, block: Block, *, single: bool) -> Block:
        """Return the block as the original holds it after a change of its element type.

        Args:
            block: Which columns.
            single: As float32, else float64.
        """
        if block.single == single:
            return block
        return replace(
            self._applied(replace(block, single=single), Operation(SINGLE if single else DOUBLE)), names=None
        )

    def discretise(self, column: Number, values: Floats) -> Codes:
        """Turn numbers into codes.

        Args:
            column: Which numbers.
            values: The known ones, finite and distinct, `[K]`.

        Returns:
            Code k for `values[k]`, K for any other number, K+1 for NaN.
        """
        graph = self.graph
        tensor, (place,) = self.collect([column], exact=True)
        size = len(values)
        codes = graph.add(
            "LabelEncoder",
            tensor,
            domain=ML,
            keys_tensor=array_tensor(np.append(values, np.nan)),
            values_tensor=array_tensor(np.append(np.arange(size), size + 1).astype(np.float64)),
            default_tensor=array_tensor(np.array([size], np.float64)),
        )
        self._widths[codes] = 1
        return Codes(codes, place, size)

    def made(self, tensor: str, width: int, *, single: bool) -> tuple[Number, ...]:
        """Return the columns of a tensor that a step has just written, which come from several features."""
        self._widths[tensor] = width
        return tuple(Number(tensor, place, single=single) for place in range(width))

    # ---- pieces

    def _applied(self, block: Block, operation: Operation) -> Block:
        columns: list[Column] = list(block.columns)
        numbers = [index for index, column in enumerate(columns) if isinstance(column, Number)]
        if numbers:
            tensor, places = self.collect([columns[index] for index in numbers], single=block.single)
            changes = operation.kind not in {SINGLE, DOUBLE}
            if changes:
                inverse = np.argsort(places)  # the constants in the order of the tensor
                taken = operation.take([numbers[index] for index in inverse])
                tensor = self._written(tensor, taken, single=block.single)
            for index, place in zip(numbers, places, strict=True):
                column = columns[index]
                assert isinstance(column, Number)  # noqa: S101 - picked so above
                cast = (
                    [] if column.single == block.single else [Operation(SINGLE if block.single else DOUBLE)]
                )
                steps = [*cast, operation.at(index)] if changes else cast
                made = column.then(tensor, place, block.single, *steps)
                columns[index] = replace(made, made_of=(column, steps[0])) if changes and not cast else made
        for index, column in enumerate(columns):
            if isinstance(column, Coded):
                table = column.numbers(single=block.single)
                if operation.kind not in {SINGLE, DOUBLE}:
                    with np.errstate(all="ignore"):
                        table = operation.at(index).compute(table)
                columns[index] = Coded(column.codes, table)
        return replace(block, columns=tuple(columns))

    def _written(self, tensor: str, operation: Operation, *, single: bool) -> str:
        """Write an operation on a tensor whose rows are whole packs, see `elementwise.PACKED`."""
        width = self._widths[tensor]
        lacking = -width % (SINGLES_AT_ONCE if single else DOUBLES_AT_ONCE)
        if operation.kind in PACKED and lacking:
            width += lacking
            tensor = self.graph.columns(tensor, [*range(width - lacking), *[0] * lacking])
        return self._register(operation.write(self.graph, tensor, single=single), width)

    def _picked(self, tensor: str, places: list[int], *, exact: bool) -> _Collected:
        width = self._widths[tensor]
        if not exact or places == list(range(width)):
            return tensor, places
        picked = self._register(self.graph.columns(tensor, places), len(places))
        return picked, list(range(len(places)))

    def _looked_up(self, tables: list[tuple[Codes, NDArray[Any]]]) -> _Collected:
        """Return numbers by code: one flat table for all sources that give one column, else one each."""
        groups: dict[tuple[str, int], list[int]] = {}
        for index, (codes, _) in enumerate(tables):
            groups.setdefault((codes.tensor, codes.place), []).append(index)
        lone: dict[str, list[int]] = {}
        parts: list[_Collected] = []
        order: list[list[int]] = []
        for (tensor, place), members in groups.items():
            if len(members) == 1:
                lone.setdefault(tensor, []).append(members[0])
                continue
            rows = np.stack([tables[index][1] for index in members], axis=1)
            code = self.graph.cast(self.graph.vector(tensor, place), TensorProto.INT64)
            name = self.graph.add("Gather", self.graph.constant(rows), code, axis=0)
            parts.append((self._register(name, len(members)), list(range(len(members)))))
            order.append(members)
        for tensor, members in lone.items():
            picked, places = self._picked(tensor, [tables[index][0].place for index in members], exact=True)
            sizes = [len(tables[index][1]) for index in members]
            starts = np.concatenate([[0], np.cumsum(sizes[:-1])]).astype(np.float64)
            if len(members) > 1:
                picked = self.graph.add("Add", picked, self.graph.constant(starts[np.newaxis, :]))
            flat = self.graph.constant(np.concatenate([tables[index][1] for index in members]))
            name = self.graph.add("Gather", flat, self.graph.cast(picked, TensorProto.INT64), axis=0)
            parts.append((self._register(name, len(members)), places))
            order.append(members)
        return self._joined(parts, order, len(tables))

    def _joined(self, parts: list[_Collected], order: list[list[int]], count: int) -> _Collected:
        places = [0] * count
        offset = 0
        for (name, some), members in zip(parts, order, strict=True):
            for index, place in zip(members, some, strict=True):
                places[index] = offset + place
            offset += self._widths[name]
        name = self.graph.concat([part[0] for part in parts])
        return self._register(name, offset), places

    def _cast(self, tensor: str, *, single: bool) -> str:
        cast = self.graph.cast(tensor, TensorProto.FLOAT if single else TensorProto.DOUBLE)
        return self._register(cast, self._widths[tensor])

    def _register(self, tensor: str, width: int) -> str:
        self._widths[tensor] = width
        return tensor


_Collected = tuple[str, list[int]]
