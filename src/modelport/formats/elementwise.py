"""Operations on single columns, each written twice: as ONNX nodes and in numpy, with the same bits.

The numpy form is what fills tables of coded columns and what raw thresholds are found with. Both follow
numpy's rule for `X op= c`: computed in the wider of the two types, kept in the type of `X`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from modelport.formats.graph import Graph

Array = NDArray[Any]
SINGLE, DOUBLE = "single", "double"  # the kinds that change the type


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on a block of columns.

    Args:
        kind: A key of `KINDS`, or `single` or `double`.
        constants: For each operand its value per column, `[w]`, in the type the original holds it in.
    """

    kind: str
    constants: tuple[Array, ...] = ()

    def at(self, place: int) -> Operation:
        """Return the operation of one column."""
        return Operation(self.kind, tuple(each[place : place + 1] for each in self.constants))

    def take(self, places: list[int]) -> Operation:
        """Return the operation of some columns."""
        return Operation(self.kind, tuple(each[places] for each in self.constants))

    def compute(self, values: Array) -> Array:
        """Return the result for values of one column `[N]`, with the constants of that column only."""
        if self.kind == SINGLE:
            return values.astype(np.float32)
        if self.kind == DOUBLE:
            return values.astype(np.float64)
        return np.asarray(KINDS[self.kind].compute(values, *self.constants)).astype(values.dtype)

    def write(self, graph: Graph, tensor: str, *, single: bool) -> str:
        """Add the nodes and return the name of the result `[N, w]`.

        Args:
            graph: Where to.
            tensor: `[N, w]`, float32 when `single`, else float64.
            single: The original holds the columns in float32.
        """
        widened = single and any(each.dtype == np.float64 for each in self.constants)
        if widened:
            tensor = graph.cast(tensor, TensorProto.DOUBLE)
        dtype = np.float32 if single and not widened else np.float64
        names = [graph.constant(each[np.newaxis, :], dtype) for each in self.constants]
        result = KINDS[self.kind].write(graph, tensor, *names)
        return graph.cast(result, TensorProto.FLOAT) if widened else result


@dataclass(frozen=True, slots=True)
class Kind:
    """An operation's two forms."""

    compute: Callable[..., Array]
    write: Callable[..., str]


def _node(op: str) -> Callable[..., str]:
    return lambda graph, *tensors: graph.add(op, *tensors)


def _fill(values: Array, fill: Array) -> Array:
    return np.asarray(np.where(np.isnan(values), fill.astype(values.dtype), values))


def _fill_equal(values: Array, wanted: Array, fill: Array) -> Array:
    return np.asarray(np.where(values == wanted, fill, values))


def _write_fill(graph: Graph, tensor: str, fill: str) -> str:
    return graph.add("Where", graph.add("IsNaN", tensor), fill, tensor)


def _write_fill_equal(graph: Graph, tensor: str, wanted: str, fill: str) -> str:
    return graph.add("Where", graph.add("Equal", tensor, wanted), fill, tensor)


def _write_is_nan(graph: Graph, tensor: str) -> str:
    return graph.add("CastLike", graph.add("IsNaN", tensor), tensor)


def _write_is_equal(graph: Graph, tensor: str, wanted: str) -> str:
    return graph.add("CastLike", graph.add("Equal", tensor, wanted), tensor)


def _write_clip(graph: Graph, tensor: str, low: str, high: str) -> str:
    """Write numpy's clip: NaN stays NaN."""
    raised = graph.add("Where", graph.add("Less", tensor, low), low, tensor)
    return graph.add("Where", graph.add("Greater", raised, high), high, raised)


def _write_log1p(graph: Graph, tensor: str) -> str:
    """Write ln(1+x) without the loss near 0: with u = 1+x, x where u = 1, else ln(u)·x/(u-1).

    Source: W. Kahan's formula, in N. Higham, Accuracy and Stability of Numerical Algorithms, 1.14.1.
    """
    one = graph.add("CastLike", graph.constant(np.ones((1, 1))), tensor)
    sum_ = graph.add("Add", one, tensor)
    rest = graph.add("Sub", sum_, one)
    tiny = graph.add("Equal", sum_, one)
    ratio = graph.add("Div", tensor, graph.add("Where", tiny, one, rest))
    endless = graph.add("IsInf", tensor)
    exact = graph.add("Mul", graph.add("Log", sum_), graph.add("Where", endless, one, ratio))
    return graph.add("Where", tiny, tensor, exact)


def _write_over_log(base: float) -> Callable[[Graph, str], str]:
    def write(graph: Graph, tensor: str) -> str:
        scale = graph.add("CastLike", graph.constant(np.full((1, 1), np.log(base))), tensor)
        return graph.add("Div", graph.add("Log", tensor), scale)

    return write


def _write_expm1(graph: Graph, tensor: str) -> str:
    """Write e^x - 1 without the loss near 0: with u = e^x, x where u = 1, else (u-1)·x/ln(u).

    Source: W. Kahan's formula, in N. Higham, Accuracy and Stability of Numerical Algorithms, 1.14.1.
    """
    one = graph.add("CastLike", graph.constant(np.ones((1, 1))), tensor)
    power = graph.add("Exp", tensor)
    rest = graph.add("Sub", power, one)
    tiny = graph.add("Equal", power, one)
    extreme = graph.add("Or", graph.add("IsInf", power), graph.add("Equal", rest, graph.add("Neg", one)))
    plain = graph.add("Or", tiny, extreme)
    ratio = graph.add("Div", tensor, graph.add("Where", plain, one, graph.add("Log", power)))
    exact = graph.add("Mul", rest, graph.add("Where", extreme, one, ratio))
    return graph.add("Where", tiny, tensor, exact)


def _write_square(graph: Graph, tensor: str) -> str:
    return graph.add("Mul", tensor, tensor)


def _write_cube(graph: Graph, tensor: str) -> str:
    return graph.add("Mul", graph.add("Mul", tensor, tensor), tensor)


KINDS: dict[str, Kind] = {
    "add": Kind(np.add, _node("Add")),
    "subtract": Kind(np.subtract, _node("Sub")),
    "multiply": Kind(np.multiply, _node("Mul")),
    "divide": Kind(np.divide, _node("Div")),
    "clip": Kind(np.clip, _write_clip),
    "fill": Kind(_fill, _write_fill),
    "fill_equal": Kind(_fill_equal, _write_fill_equal),
    "is_nan": Kind(np.isnan, _write_is_nan),
    "is_equal": Kind(np.equal, _write_is_equal),
    "absolute": Kind(np.absolute, _node("Abs")),
    "negative": Kind(np.negative, _node("Neg")),
    "square": Kind(np.square, _write_square),
    "cube": Kind(lambda x: x * x * x, _write_cube),
    "power": Kind(np.power, _node("Pow")),
    "sqrt": Kind(np.sqrt, _node("Sqrt")),
    "exp": Kind(np.exp, _node("Exp")),
    "expm1": Kind(np.expm1, _write_expm1),
    "log": Kind(np.log, _node("Log")),
    "log1p": Kind(np.log1p, _write_log1p),
    "log2": Kind(np.log2, _write_over_log(2.0)),
    "log10": Kind(np.log10, _write_over_log(10.0)),
    "floor": Kind(np.floor, _node("Floor")),
    "ceil": Kind(np.ceil, _node("Ceil")),
    "sign": Kind(np.sign, _node("Sign")),
}


RISING = {"clip", "sqrt", "exp", "expm1", "log", "log1p", "log2", "log10", "floor", "ceil", "sign", "cube"}
PARTIAL = {"sqrt", "log", "log1p", "log2", "log10"}
"""Kinds that have no result for some numbers."""
PACKED = {"exp", "expm1", "log", "log1p", "log2", "log10"}
"""Kinds of which ONNX Runtime computes several numbers at once and the last few in another way.

Only a row of a whole number of packs has the same bits wherever it stands in a batch.
"""
DOUBLES_AT_ONCE, SINGLES_AT_ONCE = 2, 4  # 16 bytes: what its builds for x86-64 and ARM64 take


@dataclass(frozen=True, slots=True)
class Chain:
    """How one column comes from one raw feature, number by number.

    Args:
        feature: Place of the feature in the signature.
        operations: Applied one after the other, each with the constants of this column only.
    """

    feature: int
    operations: tuple[Operation, ...] = ()

    def then(self, *operations: Operation) -> Chain:
        """Return the chain with more operations at its end."""
        return Chain(self.feature, (*self.operations, *operations))

    def compute(self, values: NDArray[np.float64]) -> Array:
        """Return the column for raw values `[N]`."""
        result: Array = values
        with np.errstate(all="ignore"):
            for operation in self.operations:
                result = operation.compute(result)
        return result

    @property
    def rises(self) -> bool:
        """Return whether the column never falls while the feature rises."""
        return all(_rises(each) for each in self.operations)

    @property
    def partial(self) -> bool:
        """Return whether the column is not a number for some numbers."""
        return any(each.kind in PARTIAL for each in self.operations)

    def stand_in(self) -> float | None:
        """Return the raw number that a missing value is filled with; None where none is filled.

        Raises:
            ValueError: It is filled after something else was done.
        """
        for place, each in enumerate(self.operations):
            if each.kind == "fill":
                if any(before.kind not in {SINGLE, DOUBLE} for before in self.operations[:place]):
                    raise ValueError("filled after something else was done")
                return float(each.constants[0][0])
        return None

    @property
    def plain(self) -> bool:
        """Return whether the column is the raw feature, at most with missing values filled."""
        return all(each.kind in {"fill", "fill_equal", SINGLE, DOUBLE} for each in self.operations)


def _rises(operation: Operation) -> bool:
    if operation.kind in {"add", "subtract", "fill", SINGLE, DOUBLE}:
        return True
    if operation.kind in {"multiply", "divide"}:
        return bool(operation.constants[0][0] > 0)
    return operation.kind in RISING
