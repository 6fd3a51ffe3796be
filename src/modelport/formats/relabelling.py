"""Other words for the classes of a converted model: for people who trained on 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from modelport.domain.errors import ConversionFailed, InvalidInput
from modelport.domain.signature import Task, Value
from modelport.formats.conversion import Conversion
from modelport.formats.graph import text_tensor

WORDS = "/relabelled"


def relabel(conversion: Conversion, labels: Sequence[Value]) -> Conversion:
    """Return the conversion with other words for its classes.

    Args:
        conversion: Of a classifier.
        labels: One distinct word for each class, in the order of the model's own classes.

    Raises:
        InvalidInput: It is no classifier, or there are not as many labels as classes.
    """
    output = conversion.signature.output
    if output.task is not Task.CLASSIFICATION:
        raise InvalidInput("labels were given for a model that predicts a number", hint="leave them out")
    if len(labels) != len(output.labels) or len(set(labels)) != len(labels):
        known = ", ".join(map(repr, output.labels))
        raise InvalidInput(
            f"{len(labels)} labels for {len(output.labels)} classes ({known})",
            hint="give one distinct label for each class, in this order",
        )
    signature = replace(conversion.signature, output=replace(output, labels=tuple(labels)))
    return replace(conversion, signature=signature, published=_rewritten(conversion.published, labels))


def _rewritten(published: bytes, labels: Sequence[Value]) -> bytes:
    """Return the published graph with another table of words behind its last look-up."""
    model = onnx.ModelProto()
    model.ParseFromString(published)
    last = next((node for node in model.graph.node if "predictions" in node.output), None)
    if last is None or last.op_type != "Gather":
        raise ConversionFailed(
            "the words of this model's labels cannot be changed", hint="train it on the words you want"
        )
    last.input[0] = WORDS
    if {type(label) for label in labels} == {int}:
        model.graph.initializer.append(numpy_helper.from_array(np.array(labels, dtype=np.int64), WORDS))
        element = TensorProto.INT64
    else:
        texts = [label if isinstance(label, str) else repr(label) for label in labels]
        model.graph.initializer.append(text_tensor(WORDS, texts))
        element = TensorProto.STRING
    for output in model.graph.output:
        if output.name == "predictions":
            output.type.tensor_type.elem_type = element
    content: bytes = model.SerializeToString(deterministic=True)
    return content
