"""What the outputs of a ready ONNX file mean: labels, class probabilities, or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import onnx
from numpy.typing import NDArray

from modelport.domain.errors import ConversionFailed, InvalidInput
from modelport.domain.signature import Output, Task, Value
from modelport.formats.conversion import Answers

SUM_TOLERANCE = 1e-4  # float32 probabilities of many classes
_WHOLE = (onnx.TensorProto.INT64, onnx.TensorProto.INT32)


@dataclass(frozen=True, slots=True)
class Back:
    """How the file's outputs become ours.

    Args:
        label: The output that holds labels; None where there is none.
        words: The values it holds, in the order of the scores.
        scores: The output that holds class probabilities, or None.
        zipped: `scores` is a list of dictionaries in the file (ZipMap).
        single: `scores` holds one number a row: the probability of the second class.
        probable: `scores` are probabilities.
        numbers: For regression the outputs that hold numbers.
        widths: Numbers a row of each.
    """

    label: str | None = None
    words: tuple[Value, ...] = ()
    scores: str | None = None
    zipped: bool = False
    single: bool = False
    probable: bool = False
    numbers: tuple[str, ...] = ()
    widths: tuple[int, ...] = ()

    @classmethod
    def find(
        cls, model: onnx.ModelProto, answers: dict[str, Any], *, labels: Sequence[Value] | None, name: str
    ) -> tuple[Self, Output]:
        """Tell what the outputs mean.

        Args:
            model: The file.
            answers: What it answered to some rows, by output.
            labels: Words for the classes, or None.
            name: The file's name, for messages.

        Raises:
            ConversionFailed: The outputs have no meaning that can be served.
            InvalidInput: There are not as many labels as classes.
        """
        zipped = {key: value for key, value in answers.items() if isinstance(value, list)}
        arrays = {key: np.asarray(value) for key, value in answers.items() if key not in zipped}
        texts = [key for key, value in arrays.items() if value.dtype.kind in "iuOSU"]
        floats = [key for key, value in arrays.items() if value.dtype.kind == "f"]
        if len(texts) > 1 or len(zipped) > 1 or len(texts) + len(zipped) + len(floats) < len(answers):
            raise ConversionFailed(
                f"{name!r} gives {', '.join(answers)}, expected labels, class probabilities or numbers",
                hint="export it with one of these only",
            )
        if texts or zipped:
            return cls._classifier(model, arrays, zipped, texts, floats, labels, name)
        if len(floats) == 1 and (labels is not None or _is_softmax(model, floats[0], arrays[floats[0]])):
            return cls._scores_only(floats[0], arrays[floats[0]], labels)
        widths = tuple(arrays[key].reshape(len(arrays[key]), -1).shape[1] for key in floats)
        targets = tuple(
            key if width == 1 else f"{key}_{place}"
            for key, width in zip(floats, widths, strict=True)
            for place in range(width)
        )
        return cls(numbers=tuple(floats), widths=widths), Output(Task.REGRESSION, targets=targets)

    @classmethod
    def _classifier(
        cls,
        model: onnx.ModelProto,
        arrays: dict[str, NDArray[Any]],
        zipped: dict[str, Any],
        texts: list[str],
        floats: list[str],
        labels: Sequence[Value] | None,
        name: str,
    ) -> tuple[Self, Output]:
        scores = next(iter([*zipped, *floats]), None)
        if len(floats) + len(zipped) > 1 or not texts:
            raise ConversionFailed(
                f"{name!r} gives labels with {', '.join([*zipped, *floats])}, expected probabilities",
                hint="export it with labels and probabilities only",
            )
        words = _class_words(model) or _looked_up_words(model, texts[0])
        said = set(arrays[texts[0]].reshape(-1).tolist())
        if not words and labels is not None and said <= set(labels):
            words = tuple(labels)
        if not words and arrays[texts[0]].dtype.kind in "iu" and scores is not None and scores not in zipped:
            width = arrays[scores].reshape(len(arrays[scores]), -1).shape[1]
            words = tuple(range(max(2, width)))
        if not words and labels is not None:
            words = tuple(range(len(labels)))
        if not words:
            raise ConversionFailed(
                f"{name!r} gives labels and does not tell which there are", hint="list them: --labels FILE"
            )
        if not said <= set(words):
            raise ConversionFailed(
                f"{name!r} gives the label {min(said - set(words), key=str)!r}, expected one of "
                + ", ".join(repr(word) for word in words[:10]),
                hint="list its labels in the order of its scores: --labels FILE",
            )
        shown = _renamed(words, labels)
        single = scores is not None and scores not in zipped and arrays[scores].size == len(arrays[scores])
        found = zipped.get(scores or "")
        table = np.array([list(row.values()) for row in found]) if found else arrays.get(scores or "")
        probable = table is not None and _sums_to_one(table, single=single)
        back = cls(
            label=texts[0],
            words=words,
            scores=scores,
            zipped=scores in zipped,
            single=single,
            probable=probable,
        )
        return back, Output(Task.CLASSIFICATION, labels=shown, probabilities=probable)

    @classmethod
    def _scores_only(
        cls, scores: str, values: NDArray[Any], labels: Sequence[Value] | None
    ) -> tuple[Self, Output]:
        width = values.reshape(len(values), -1).shape[1]
        words = tuple(range(max(2, width)))
        single = width == 1
        probable = _sums_to_one(values, single=single)
        back = cls(words=words, scores=scores, single=single, probable=probable)
        return back, Output(Task.CLASSIFICATION, labels=_renamed(words, labels), probabilities=probable)

    def read(self, found: dict[str, Any]) -> Answers:
        """Return the file's own outputs in our terms."""
        if self.numbers:
            parts = [np.asarray(found[key], dtype=np.float64) for key in self.numbers]
            return Answers(predictions=np.hstack([part.reshape(len(part), -1) for part in parts]))
        scores = None
        if self.scores is not None:
            raw = found[self.scores]
            if self.zipped:
                raw = [[row[word] for word in self.words] for row in raw]
            scores = np.asarray(raw, dtype=np.float64).reshape(len(raw), -1)
        if self.label is not None:
            places = {word: place for place, word in enumerate(self.words)}
            words = np.asarray(found[self.label]).reshape(-1).tolist()
            label = np.array([places[word] for word in words], dtype=np.int64)
        elif scores is not None and self.single:
            border = 0.5 if self.probable else 0.0
            label = (scores[:, 0] > border).astype(np.int64)
        else:
            label = np.empty(0, dtype=np.int64) if scores is None else scores.argmax(axis=1)
        if not self.probable or scores is None:
            return Answers(label=label)
        if self.single:
            scores = np.hstack([1.0 - scores, scores])
        return Answers(label=label, probabilities=scores)


def _class_words(model: onnx.ModelProto) -> tuple[Value, ...]:
    """Return the classes that a classifier or ZipMap of the file names, in order."""
    for node in reversed(model.graph.node):
        for attribute in node.attribute:
            if attribute.name.startswith("classlabels_"):
                values = onnx.helper.get_attribute_value(attribute)
                if len(values):
                    return tuple(
                        value.decode() if isinstance(value, bytes) else int(value) for value in values
                    )
    return ()


def _looked_up_words(model: onnx.ModelProto, output: str) -> tuple[Value, ...]:
    """Return the classes of a label that is looked up in a list by its place, as skl2onnx writes doubles."""
    makers = {made: node for node in model.graph.node for made in node.output}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    node = makers.get(output)
    while node is not None and node.op_type in ("Cast", "Flatten", "Identity", "Reshape", "Squeeze"):
        node = makers.get(node.input[0])
    if node is None or node.op_type not in ("ArrayFeatureExtractor", "Gather"):
        return ()
    table = constants.get(node.input[0])
    if table is None or table.data_type not in (onnx.TensorProto.STRING, *_WHOLE):
        return ()
    values = onnx.numpy_helper.to_array(table).reshape(-1).tolist()
    return tuple(value.decode() if isinstance(value, bytes) else value for value in values)


def _renamed(words: tuple[Value, ...], labels: Sequence[Value] | None) -> tuple[Value, ...]:
    if labels is None:
        return words
    if len(labels) != len(words):
        raise InvalidInput(
            f"{len(labels)} labels for {len(words)} classes", hint="give one label for each class"
        )
    return tuple(labels)


def _is_softmax(model: onnx.ModelProto, output: str, values: NDArray[Any]) -> bool:
    """Return whether an output is made of class probabilities: by its operator, and by its numbers."""
    maker = next((node for node in model.graph.node if output in node.output), None)
    width = values.reshape(len(values), -1).shape[1]
    return (
        maker is not None and maker.op_type == "Softmax" and width > 1 and _sums_to_one(values, single=False)
    )


def _sums_to_one(values: NDArray[Any], *, single: bool) -> bool:
    table = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    inside = bool((table >= 0).all() and (table <= 1 + SUM_TOLERANCE).all())
    return inside and (single or bool((np.abs(table.sum(axis=1) - 1) <= SUM_TOLERANCE).all()))
