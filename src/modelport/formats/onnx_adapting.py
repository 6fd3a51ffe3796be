"""A ready ONNX graph between a front that takes our matrix and a back that gives our outputs.

Only operators that every opset from 7 on writes the same way are used, in the file's own opset.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from modelport.domain.signature import FeatureType, Value
from modelport.formats.onnx_checks import walk_graphs
from modelport.formats.onnx_outputs import Back

PREFIX = "given/"
ML = "ai.onnx.ml"
ML_OPSET = 3  # where the file has none of its own
EXACT_INTEGER = 2**53


@dataclass(frozen=True, slots=True)
class Slot:
    """One input of the file, and the columns of the matrix that fill it.

    Args:
        name: Its name in the file.
        element: ONNX element type.
        dtype: The same, for numpy.
        shape: One row's shape; empty where a row is one number.
        start: Its first column in the matrix.
    """

    name: str
    element: int
    dtype: Any
    shape: tuple[int, ...]
    start: int

    @property
    def width(self) -> int:
        """Return how many columns it takes."""
        return math.prod(self.shape)

    @property
    def type(self) -> FeatureType:
        """Return how its values are written."""
        kind = np.dtype(self.dtype).kind
        return {"f": FeatureType.DOUBLE, "b": FeatureType.BOOL}.get(kind, FeatureType.INT64)

    @property
    def lower(self) -> float:
        """Return the smallest number it can hold."""
        return self._bounds()[0]

    @property
    def upper(self) -> float:
        """Return the largest number it can hold."""
        return self._bounds()[1]

    def fill(self, matrix: NDArray[np.float64]) -> NDArray[Any]:
        """Return the input's tensor for rows of the serving matrix."""
        part = matrix[:, self.start : self.start + self.width]
        filled: NDArray[Any] = part.astype(self.dtype).reshape(len(matrix), *self.shape)
        return filled

    def _bounds(self) -> tuple[float, float]:
        kind = np.dtype(self.dtype)
        if kind.kind == "f":
            largest = float(np.finfo(kind).max)
            return -largest, largest
        if kind.kind == "b":
            return 0.0, 1.0
        info = np.iinfo(kind)
        return float(max(info.min, -EXACT_INTEGER)), float(min(info.max, EXACT_INTEGER))


@dataclass(frozen=True, slots=True)
class Front:
    """How the serving matrix becomes the file's inputs.

    Args:
        slots: Its inputs, in order.
        matrix: It takes one tensor of several numbers a row.
        row_shape: One row's shape where that is no flat list; None otherwise.
    """

    slots: tuple[Slot, ...]
    matrix: bool
    row_shape: tuple[int, ...] | None

    @property
    def width(self) -> int:
        """Return how many columns the serving matrix has."""
        return sum(slot.width for slot in self.slots)


def adapt(model: onnx.ModelProto, front: Front, back: Back) -> bytes:
    """Return the serving graph: `matrix` `[N, F]` in, our outputs out.

    The matrix is float32 where the file takes one tensor of float32 and nothing else, so that who sends
    float32 has it passed on as it is; else it is float64. So it is for trees: their kernel reads float64.

    Args:
        model: The file's graph; it is not changed.
        front: Its inputs.
        back: Its outputs.
    """
    inner = onnx.compose.add_prefix(model, PREFIX)
    single = front.matrix and front.slots[0].element == TensorProto.FLOAT and not _has_trees(model)
    writer = _Writer(inner, front.width, TensorProto.FLOAT if single else TensorProto.DOUBLE)
    for slot in front.slots:
        writer.feed(slot)
    if back.numbers:
        parts = [
            writer.as_table(PREFIX + key, width) for key, width in zip(back.numbers, back.widths, strict=True)
        ]
        total = sum(back.widths)
        joined = parts[0] if len(parts) == 1 else writer.add("Concat", parts, axis=1)
        writer.give("predictions", joined, TensorProto.DOUBLE, ["N", total])
    else:
        writer.classify(back)
    return writer.finish()


def _has_trees(model: onnx.ModelProto) -> bool:
    return any(node.op_type.startswith("TreeEnsemble") for graph in walk_graphs(model) for node in graph.node)


class _Writer:
    """Writes the front before the given nodes, and the back behind them.

    Args:
        model: The given graph, with prefixed names.
        width: Columns of the matrix.
        element: Its ONNX element type.
    """

    def __init__(self, model: onnx.ModelProto, width: int, element: int) -> None:
        self._model = model
        self._width = width
        self._element = element
        self._before: list[Any] = []
        self._after: list[Any] = []
        self._constants: list[Any] = []
        self._outputs: list[Any] = []
        self._zip_inputs = {
            node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "ZipMap"
        }

    def feed(self, slot: Slot) -> None:
        """Fill one input from the matrix."""
        taken = "matrix"
        if slot.width < self._width:  # a Gather of all would copy number by number: 2 ms for 256 rows of 784
            columns = np.arange(slot.start, slot.start + slot.width, dtype=np.int64)
            taken = self._node(self._before, "Gather", [taken, self._constant(columns)], axis=1)
        if slot.shape != (slot.width,):
            shape = self._constant(np.array([-1, *slot.shape], dtype=np.int64))
            taken = self._node(self._before, "Reshape", [taken, shape])
        last = (
            helper.make_node("Identity", [taken], [PREFIX + slot.name])
            if slot.element == self._element
            else helper.make_node("Cast", [taken], [PREFIX + slot.name], to=slot.element)
        )
        self._before.append(last)

    def classify(self, back: Back) -> None:
        """Write label and probabilities."""
        scores = None
        if back.scores is not None:
            source = self._zip_inputs.get(PREFIX + back.scores, PREFIX + back.scores)
            scores = self.as_table(source, 1 if back.single else len(back.words))
        if back.label is not None:
            label = self._place(back)
        elif back.single and scores is not None:
            border = self._constant(np.array(0.5 if back.probable else 0.0))
            above = self.add("Cast", [self.add("Greater", [scores, border])], to=TensorProto.INT64)
            label = self.add("Reshape", [above, self._constant(np.array([-1], dtype=np.int64))])
        else:
            label = self.add("ArgMax", [scores or ""], axis=1, keepdims=0)
        self.give("label", label, TensorProto.INT64, ["N"])
        if back.probable and scores is not None:
            if back.single:
                other = self.add("Sub", [self._constant(np.array(1.0)), scores])
                scores = self.add("Concat", [other, scores], axis=1)
            self.give("probabilities", scores, TensorProto.DOUBLE, ["N", len(back.words)])

    def as_table(self, source: str, width: int) -> str:
        """Return a tensor as float64 `[N, width]`."""
        shape = self._constant(np.array([-1, width], dtype=np.int64))
        wide = self.add("Cast", [source], to=TensorProto.DOUBLE)
        return self.add("Reshape", [wide, shape])

    def add(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node behind the given ones and return its output."""
        return self._node(self._after, op, inputs, **attributes)

    def give(self, name: str, source: str, element: int, shape: list[Any]) -> None:
        """Name an output of ours."""
        self._after.append(helper.make_node("Identity", [source], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, element, shape))

    def finish(self) -> bytes:
        """Return the whole model."""
        given = self._model.graph
        nodes = [node for node in given.node if node.op_type != "ZipMap"]
        graph = helper.make_graph(
            [*self._before, *nodes, *self._after],
            "modelport",
            [helper.make_tensor_value_info("matrix", self._element, ["N", self._width])],
            self._outputs,
            [*given.initializer, *self._constants],
        )
        graph.sparse_initializer.extend(given.sparse_initializer)
        made = onnx.ModelProto()
        made.CopyFrom(self._model)
        made.graph.CopyFrom(graph)
        versions = {opset.domain: opset.version for opset in made.opset_import}
        if "" not in versions and "ai.onnx" not in versions:
            made.opset_import.append(helper.make_opsetid("", 20))
        if "ML" in self._needs() and ML not in versions:
            made.opset_import.append(helper.make_opsetid(ML, ML_OPSET))
        made.producer_name = "modelport"
        content: bytes = made.SerializeToString(deterministic=True)
        return content

    def _place(self, back: Back) -> str:
        """Return the index of each label, int64 `[N]`."""
        source = PREFIX + (back.label or "")
        if all(isinstance(word, str) for word in back.words):
            found = self._node(self._after, "LabelEncoder", [source], domain=ML, **self._table(back.words))
            return self.add("Reshape", [found, self._constant(np.array([-1], dtype=np.int64))])
        wide = self.add("Cast", [source], to=TensorProto.INT64)
        column = self.add("Reshape", [wide, self._constant(np.array([-1, 1], dtype=np.int64))])
        words = self._constant(np.array(back.words, dtype=np.int64).reshape(1, -1))
        same = self.add("Cast", [self.add("Equal", [column, words])], to=TensorProto.FLOAT)
        return self.add("ArgMax", [same], axis=1, keepdims=0)

    def _table(self, words: Sequence[Value]) -> dict[str, Any]:
        """Return the attributes of a LabelEncoder from words to places, as the file's opset writes them."""
        texts = [str(word) for word in words]
        versions = {opset.domain: opset.version for opset in self._model.opset_import}
        if versions.get(ML, ML_OPSET) < 2:
            return {"classes_strings": texts, "default_int64": -1}
        return {"keys_strings": texts, "values_int64s": list(range(len(texts))), "default_int64": -1}

    def _needs(self) -> set[str]:
        return {"ML" for node in self._after if node.domain == ML}

    def _constant(self, values: NDArray[Any]) -> str:
        name = f"front/constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def _node(
        self, nodes: list[Any], op: str, inputs: Sequence[str], *, domain: str = "", **attributes: Any
    ) -> str:
        output = f"front/{op.lower()}{len(self._before) + len(self._after)}"
        nodes.append(helper.make_node(op, list(inputs), [output], domain=domain, **attributes))
        return output
