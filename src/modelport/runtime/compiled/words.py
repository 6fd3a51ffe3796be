"""Words for writing kernels as LLVM instructions, with llvmlite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

from llvmlite import ir

BIT, I8, I32, I64, I128 = (ir.IntType(bits) for bits in (1, 8, 32, 64, 128))
F64, PTR = ir.DoubleType(), ir.PointerType()
NAME = "kernel"
WORD = 8
TO_SECOND_CACHE = (0, 2, 1)  # of LLVM's prefetch: to read, kept close but not closest, data
NOTHING_BESIDE = '"no-jump-tables"="true" "no-builtins"'  # no tables beside the code, no calls of a library
Value = Any
"""An LLVM value, or a Python number for a constant; llvmlite has no types."""

Build = Callable[[str], str]
"""The machine, as LLVM names it, to a kernel as LLVM's text."""


def build(arguments: int, triple: str, write: Callable[[Any], None]) -> str:
    """Return a function of whole numbers to a whole number, as LLVM's text.

    Args:
        arguments: How many it takes, int64 each.
        triple: The machine, as LLVM names it.
        write: Fills the function.
    """
    module = ir.Module(NAME)
    module.triple = triple
    function = ir.Function(module, ir.FunctionType(I64, [I64] * arguments), NAME)
    write(function)
    head = str(function).partition("\n")[0]  # llvmlite has no words for attributes of this kind
    return str(module).replace(head, f"{head} {NOTHING_BESIDE}", 1)


class Code:
    """Words for writing a function; addresses are whole numbers.

    Args:
        function: The function, still empty.
    """

    def __init__(self, function: Any) -> None:
        self._variables = function.append_basic_block()
        self._begin = function.append_basic_block()
        self.ir = ir.IRBuilder(self._begin)

    def close(self, answer: Value) -> None:
        """End the function."""
        self.ir.ret(answer)
        self.ir.position_at_end(self._variables)
        self.ir.branch(self._begin)

    def value(self, number: Value, kind: Any = I64) -> Value:
        """Return a Python number as a constant; anything else is a value already."""
        if isinstance(number, int | float | IntEnum):
            return ir.Constant(kind, int(number) if kind is not F64 else number)
        return number

    def add(self, *terms: Value) -> Value:
        """Return a sum of whole numbers."""
        total = self.value(terms[0])
        for term in terms[1:]:
            total = self.ir.add(total, self.value(term))
        return total

    def times(self, one: Value, other: Value) -> Value:
        """Return a product of whole numbers."""
        return self.ir.mul(self.value(one), self.value(other))

    def load(self, kind: Any, base: Value, offset: Value = 0, size: int = 1) -> Value:
        """Return what stands `offset` times `size` bytes behind an address."""
        return self.ir.load(self._pointer(base, offset, size), typ=kind)

    def store(self, what: Value, base: Value, offset: Value = 0, size: int = 1) -> None:
        """Write it `offset` times `size` bytes behind an address."""
        self.ir.store(what, self._pointer(base, offset, size))

    def fetch(self, base: Value, offset: Value, size: int) -> None:
        """Let the cache load what will be read soon; whatever the address, nothing else happens."""
        name, kinds = "llvm.prefetch.p0", [PTR, I32, I32, I32]
        known = self.ir.module.globals.get(name)
        fetch = known or ir.Function(self.ir.module, ir.FunctionType(ir.VoidType(), kinds), name)
        how = [self.value(each, I32) for each in TO_SECOND_CACHE]
        self.ir.call(fetch, [self._pointer(base, offset, size), *how])

    def record(self, base: Value, field: IntEnum) -> Value:
        """Return a number of a record."""
        return self.load(I64, base, int(field), WORD)

    def wide(self, narrow: Value) -> Value:
        """Return a whole number of fewer bits, none of them a sign, as one of 64."""
        return self.ir.zext(narrow, I64)

    def least(self, one: Value, other: Value) -> Value:
        """Return the smaller of two whole numbers without a sign."""
        one, other = self.value(one), self.value(other)
        return self.ir.select(self.ir.icmp_unsigned("<", one, other), one, other)

    def variable(self, kind: Any, start: Value) -> Value:
        """Return the place of a variable, to be loaded from and stored to; it ends up in a register."""
        here = self.ir.block
        self.ir.position_at_end(self._variables)
        place = self.ir.alloca(kind)
        self.ir.position_at_end(here)
        self.ir.store(self.value(start, kind), place)
        return place

    def get(self, place: Value, kind: Any = I64) -> Value:
        """Return what a variable holds."""
        return self.ir.load(place, typ=kind)

    @contextmanager
    def counting(self, start: Value, stop: Value, step: Value = 1) -> Iterator[Value]:
        """Do it for start, start + step, … below stop."""
        counter = self.variable(I64, start)
        head, body, after = (self.ir.append_basic_block() for _ in range(3))
        self.ir.branch(head)
        self.ir.position_at_end(head)
        index = self.get(counter)
        self.ir.cbranch(self.ir.icmp_unsigned("<", index, self.value(stop)), body, after)
        self.ir.position_at_end(body)
        yield index
        self.ir.store(self.add(index, step), counter)
        self.ir.branch(head)
        self.ir.position_at_end(after)

    @contextmanager
    def repeating(self) -> Iterator[Callable[[Value], None]]:
        """Do it again and again; what is yielded leaves where a condition holds."""
        body, after = (self.ir.append_basic_block() for _ in range(2))

        def leave_when(condition: Value) -> None:
            further = self.ir.append_basic_block()
            self.ir.cbranch(condition, after, further)
            self.ir.position_at_end(further)

        self.ir.branch(body)
        self.ir.position_at_end(body)
        yield leave_when
        self.ir.branch(body)
        self.ir.position_at_end(after)

    @contextmanager
    def case(self, what: Value, value: int) -> Iterator[None]:
        """Do it only where `what` is `value`."""
        with self.ir.if_then(self.ir.icmp_unsigned("==", what, self.value(value))):
            yield

    def _pointer(self, base: Value, offset: Value, size: int) -> Value:
        address = base if isinstance(offset, int) and not offset else self.add(base, self.times(offset, size))
        return self.ir.inttoptr(address, PTR)
