"""An ONNX graph while it is being written: nodes and constants with names that never clash.

Written against the default domain's opset 20 and `ai.onnx.ml` 5 (double TreeEnsemble).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

ML = "ai.onnx.ml"
OPSETS = {"": 20, ML: 5}
IR_VERSION = 10
MATRIX = "matrix"


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a finished graph.

    Args:
        name: Its name for users.
        element: `TensorProto` element type.
        shape: Sizes; None where the number of rows stands.
    """

    name: str
    element: int
    shape: tuple[int | None, ...]

    def info(self) -> onnx.ValueInfoProto:
        """Return it as ONNX writes it."""
        sizes = ["N" if size is None else size for size in self.shape]
        return helper.make_tensor_value_info(self.name, self.element, sizes)


class Graph:
    """Nodes in the order they were added, and the constants they use.

    Args:
        prefix: Starts every name made here.
    """

    def __init__(self, prefix: str = "/") -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.opsets: dict[str, int] = dict(OPSETS)
        self._prefix = prefix
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def copy(self) -> Graph:
        """Return a graph that can grow without changing this one."""
        other = Graph(self._prefix)
        other.nodes, other.constants = list(self.nodes), dict(self.constants)
        other.opsets, other._known = dict(self.opsets), dict(self._known)
        return other

    def fresh(self, hint: str) -> str:
        """Return a name that is not taken."""
        return f"{self._prefix}{hint}{len(self.nodes) + len(self.constants)}"

    def add(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output and return the output's name.

        Args:
            op: The operator.
            inputs: Names of tensors.
            domain: The operator's domain.
            attributes: As `onnx.helper.make_node` takes them.
        """
        output = self.fresh(op.lower())
        self.nodes.append(helper.make_node(op, inputs, [output], domain=domain, **attributes))
        return output

    def constant(self, values: Any, dtype: Any = None) -> str:
        """Return the name of a constant; equal constants are kept once.

        Args:
            values: Anything `numpy.asarray` takes.
            dtype: Element type; None keeps that of `values`.
        """
        array = np.ascontiguousarray(np.asarray(values, dtype=dtype)).reshape(np.shape(values))
        key = (array.dtype.str, array.shape, array.tobytes())
        name = self._known.get(key)
        if name is None:
            name = self._known[key] = self.fresh("constant")
            self.constants[name] = numpy_helper.from_array(array, name)
        return name

    def words(self, texts: Sequence[str]) -> str:
        """Return the name of a constant `[len(texts)]` of strings."""
        name = self.fresh("words")
        self.constants[name] = text_tensor(name, texts)
        return name

    # ---- what is said often

    def cast(self, tensor: str, element: int) -> str:
        """Return the tensor as another element type."""
        return self.add("Cast", tensor, to=element)

    def columns(self, tensor: str, places: Sequence[int]) -> str:
        """Return some columns of a matrix `[N, w]` as `[N, len(places)]`."""
        return self.add("Gather", tensor, self.constant(places, np.int64), axis=1)

    def first(self, tensor: str, count: int) -> str:
        """Return the first columns of a matrix `[N, w]` as `[N, count]`."""
        start, end, axis = (self.constant([place], np.int64) for place in (0, count, 1))
        return self.add("Slice", tensor, start, end, axis)

    def vector(self, tensor: str, place: int) -> str:
        """Return one column of a matrix `[N, w]` as `[N]`."""
        return self.add("Gather", tensor, self.constant(np.int64(place)), axis=1)

    def concat(self, tensors: Sequence[str]) -> str:
        """Return matrices side by side."""
        return tensors[0] if len(tensors) == 1 else self.add("Concat", *tensors, axis=1)

    def argmax(self, tensor: str) -> str:
        """Return the first place of the largest number of each row, int64 `[N]`."""
        return self.add("ArgMax", tensor, axis=1, keepdims=0)

    # ---- the end

    def model(
        self,
        inputs: Iterable[Port],
        outputs: Mapping[Port, str],
        *,
        front: Graph | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return a finished model: only what its outputs need.

        Args:
            inputs: What it takes.
            outputs: What it gives, and the tensor that holds it.
            front: Nodes that come before these.
            metadata: Key to text, kept in the file.

        Returns:
            The model as bytes; equal calls give equal bytes.
        """
        nodes = [*(front.nodes if front else ()), *self.nodes]
        constants = {**(front.constants if front else {}), **self.constants}
        names = {tensor: port.name for port, tensor in outputs.items()}
        given = {port.name for port in inputs}
        renamed = [_renamed(node, names) for node in _needed(nodes, set(outputs.values()))]
        made = {name for node in renamed for name in node.output}
        for port, tensor in outputs.items():  # an output that is an input, a constant, or another output
            if port.name not in made:
                source = names[tensor] if names[tensor] in made else tensor
                renamed.append(helper.make_node("Identity", [source], [port.name]))
        used = {name for node in renamed for name in node.input}
        graph = helper.make_graph(
            renamed,
            "modelport",
            [port.info() for port in inputs],
            [port.info() for port in outputs],
            [tensor for name, tensor in constants.items() if name in used and name not in given],
        )
        model = helper.make_model(
            graph,
            producer_name="modelport",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid(domain, version) for domain, version in self.opsets.items()],
        )
        helper.set_model_props(model, dict(metadata or {}))
        content: bytes = model.SerializeToString(deterministic=True)
        return content


def text_tensor(name: str, texts: Sequence[str]) -> onnx.TensorProto:
    """Return strings as a tensor `[len(texts)]`, UTF-8."""
    tensor = onnx.TensorProto(name=name, data_type=TensorProto.STRING, dims=[len(texts)])
    tensor.string_data.extend(text.encode() for text in texts)
    return tensor


def array_tensor(values: NDArray[Any]) -> onnx.TensorProto:
    """Return an array as a tensor for an attribute."""
    return numpy_helper.from_array(np.ascontiguousarray(values))


def _needed(nodes: Sequence[onnx.NodeProto], wanted: set[str]) -> list[onnx.NodeProto]:
    """Return the nodes that the wanted tensors depend on, in order."""
    wanted = set(wanted)
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]


def _renamed(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    if not any(name in names for name in (*node.input, *node.output)):
        return node
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    for place, name in enumerate(node.input):
        copy.input[place] = names.get(name, name)
    for place, name in enumerate(node.output):
        copy.output[place] = names.get(name, name)
    return copy
