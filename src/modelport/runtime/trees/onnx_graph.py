"""An ONNX file, read and cut without the `onnx` package.

Message numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from modelport.runtime.trees.protobuf import (
    BYTES,
    Field,
    Malformed,
    fields,
    read_integers,
    write_bytes,
    write_number,
)

DOUBLE, INT64 = 11, 7
ELEMENTS = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", INT64: "<i8", 9: "?", DOUBLE: "<f8"}
LOOSE = {1: (4, "<f4"), INT64: (7, ""), DOUBLE: (10, "<f8")}
"""Element type to the field that holds its values when they are not raw, and their type there."""

MODEL_GRAPH = 7
NODE, NAME, INITIALIZER, INPUT, OUTPUT = 1, 2, 5, 11, 12


@dataclass(frozen=True)
class Node:
    """One operation.

    Args:
        op: The operator's name.
        domain: Where it is defined; empty for ONNX's own.
        inputs: Names of tensors; empty where one is left out.
        outputs: Likewise.
        raw: The message's bytes.
    """

    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    raw: memoryview = field(repr=False)

    @cached_property
    def _attributes(self) -> dict[str, memoryview]:
        return {
            _text(part, 1): part for part in (each.content for each in fields(self.raw) if each.number == 5)
        }

    def has(self, name: str) -> bool:
        """Return whether the attribute is given."""
        return name in self._attributes

    def integer(self, name: str, default: int) -> int:
        """Return an attribute of one whole number."""
        part = self._attributes.get(name)
        return default if part is None else _signed(_number(part, 3))

    def integers(self, name: str) -> NDArray[np.int64]:
        """Return an attribute of whole numbers; none when it is not given."""
        part = self._attributes.get(name)
        return np.empty(0, np.int64) if part is None else read_integers(part, 8)

    def tensor(self, name: str) -> NDArray[np.generic] | None:
        """Return an attribute that is a tensor."""
        part = self._attributes.get(name)
        if part is None:
            return None
        return read_tensor(next(each.content for each in fields(part) if each.number == 5))


class OnnxGraph:
    """The graph of an ONNX file.

    Args:
        content: The file's bytes; read, never changed, and kept.

    Raises:
        Malformed: They are no ONNX model.
    """

    def __init__(self, content: bytes | memoryview) -> None:
        self._model = list(fields(memoryview(content)))
        graphs = [each for each in self._model if each.number == MODEL_GRAPH and each.wire == BYTES]
        if len(graphs) != 1:
            raise Malformed("not an ONNX model")
        self._parts = list(fields(graphs[0].content))
        self.nodes = [_node(each.content) for each in self._parts if each.number == NODE]
        self.inputs = self._named(INPUT)
        self.outputs = self._named(OUTPUT)
        self._constants: Mapping[str, Field] = {
            _text(each.content, 8): each for each in self._parts if each.number == INITIALIZER
        }

    def is_constant(self, name: str) -> bool:
        """Return whether a tensor is part of the file."""
        return name in self._constants

    def constant(self, name: str) -> NDArray[np.generic] | None:
        """Return a tensor that is part of the file; None when there is none of this name."""
        part = self._constants.get(name)
        return None if part is None else read_tensor(part.content)

    def consumers(self, tensor: str) -> list[Node]:
        """Return the nodes that read a tensor."""
        return [node for node in self.nodes if tensor in node.inputs]

    def ancestors(self, tensors: Iterable[str]) -> list[Node]:
        """Return the nodes that tensors depend on, in order."""
        wanted, kept = set(tensors), []
        for node in reversed(self.nodes):
            if wanted.intersection(node.outputs):
                wanted.update(node.inputs)
                kept.append(node)
        return kept[::-1]

    def piece(self, nodes: Sequence[Node], given: Mapping[str, int], wanted: Sequence[str]) -> bytes:
        """Return a model of some of the nodes.

        Args:
            nodes: Which ones, in order.
            given: What it takes, and its width; float64 matrices where the file does not declare them.
            wanted: What it gives; likewise, of any width.
        """
        used = {name for node in nodes for name in node.inputs}
        graph = [write_bytes(NODE, bytes(node.raw)) for node in nodes]
        graph.append(write_bytes(NAME, b"piece"))
        graph += [
            write_bytes(INITIALIZER, bytes(part.content))
            for name, part in self._constants.items()
            if name in used and name not in given
        ]
        graph += [self._port(INPUT, self.inputs, name, width) for name, width in given.items()]
        graph += [self._port(OUTPUT, self.outputs, name) for name in wanted]
        model = [
            write_bytes(MODEL_GRAPH, b"".join(graph)) if each.number == MODEL_GRAPH else _again(each)
            for each in self._model
        ]
        return b"".join(model)

    def _named(self, number: int) -> dict[str, memoryview]:
        return {_text(each.content, 1): each.content for each in self._parts if each.number == number}

    def _port(
        self, number: int, known: Mapping[str, memoryview], name: str, width: int | None = None
    ) -> bytes:
        if name in known:
            return write_bytes(number, bytes(known[name]))
        size = write_bytes(2, b"W") if width is None else write_number(1, width)
        tensor = write_number(1, DOUBLE)
        tensor += write_bytes(2, write_bytes(1, write_bytes(2, b"N")) + write_bytes(1, size))
        return write_bytes(number, write_bytes(1, name.encode()) + write_bytes(2, write_bytes(1, tensor)))


def read_tensor(message: memoryview) -> NDArray[np.generic]:
    """Return a tensor's values.

    Args:
        message: A TensorProto.

    Raises:
        Malformed: It is not whole, not in this file, or not of numbers.
    """
    shape = read_integers(message, 1)
    element = _number(message, 2)
    if element not in ELEMENTS:
        raise Malformed(f"a tensor of element type {element}")
    raw = next((each.content for each in fields(message) if each.number == 9), None)
    if raw is not None:
        values = _numbers(raw, ELEMENTS[element])
    elif element in LOOSE:
        number, kind = LOOSE[element]
        if kind:
            loose = b"".join(bytes(each.content) for each in fields(message) if each.number == number)
            values = _numbers(loose, kind)
        else:
            values = read_integers(message, number)
    else:
        raise Malformed(f"a tensor of element type {element} without raw data")
    if shape.min(initial=0) < 0 or int(np.prod(shape)) != len(values):
        raise Malformed("a tensor holds another number of values than its shape says")
    return values.reshape(shape)


def _node(message: memoryview) -> Node:
    inputs: list[str] = []
    outputs: list[str] = []
    op = domain = ""
    for each in fields(message):
        if each.number == 1:
            inputs.append(_word(each.content))
        elif each.number == 2:
            outputs.append(_word(each.content))
        elif each.number == 4:
            op = _word(each.content)
        elif each.number == 7:
            domain = _word(each.content)
    return Node(op, domain, tuple(inputs), tuple(outputs), message)


def _numbers(content: bytes | memoryview, kind: str) -> NDArray[np.generic]:
    try:
        return np.frombuffer(content, kind)
    except ValueError as error:
        raise Malformed(f"a tensor does not hold whole numbers: {error}") from error


def _word(content: memoryview) -> str:
    try:
        return str(content, "utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"a name is no UTF-8: {error}") from error


def _text(message: memoryview, number: int) -> str:
    return next((_word(each.content) for each in fields(message) if each.number == number), "")


def _number(message: memoryview, number: int) -> int:
    return next((each.number_value for each in fields(message) if each.number == number), 0)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _again(part: Field) -> bytes:
    if part.wire == BYTES:
        return write_bytes(part.number, bytes(part.content))
    if part.wire == 0:
        return write_number(part.number, part.number_value)
    raise Malformed("an ONNX model holds no field of fixed size")
