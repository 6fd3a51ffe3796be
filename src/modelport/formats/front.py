"""The two faces of one body: the graph that serves a matrix, and the graph that is published.

The published graph takes one named input per feature that the model reads, `[N, 1]`: double, int64 or bool
as the signature says, strings for words. ONNX has no missing string and no missing whole number: a missing
word is written as the text in the file's metadata under `missing_text`, and whole numbers that may be
missing are doubles with NaN. What the original refuses ends in an error or NaN, never in a wrong answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from modelport.domain.errors import ConversionFailed
from modelport.domain.signature import Feature, FeatureType, Signature, Task, Value
from modelport.formats.emission import Emission
from modelport.formats.graph import MATRIX, ML, Graph, Port, array_tensor, text_tensor
from modelport.formats.tabular import is_missing

OUT_OF_RANGE = float(1 << 40)  # a code that no table has: looking it up is an error
OUTPUTS = ("predictions", "probabilities")
MISSING_TEXT = "missing_text"
NUMPY_TYPES: dict[int, Any] = {
    int(TensorProto.INT64): np.int64,
    int(TensorProto.BOOL): np.bool_,
    int(TensorProto.DOUBLE): np.float64,
}


def serving_model(graph: Graph, signature: Signature, emission: Emission) -> bytes:
    """Return the graph that takes the serving matrix.

    Args:
        graph: The body.
        signature: What the model takes and gives.
        emission: Where the answers are.
    """
    outputs = _numbers(signature, emission)
    if emission.label is not None:
        outputs = {Port("label", TensorProto.INT64, (None,)): emission.label, **outputs}
    return graph.model([_matrix(signature)], outputs)


def scale_model(graph: Graph, signature: Signature, emission: Emission) -> bytes | None:
    """Return the graph that gives Σ|wᵢxᵢ| for the serving matrix, None where there is none."""
    if emission.scale is None:
        return None
    return graph.model([_matrix(signature)], {Port("scale", TensorProto.DOUBLE, (None,)): emission.scale})


def published_model(graph: Graph, signature: Signature, emission: Emission) -> bytes:
    """Return the graph that takes one named input per feature.

    Args:
        graph: The body.
        signature: What the model takes and gives.
        emission: Where the answers are.

    Raises:
        ConversionFailed: The model reads no feature at all, or two inputs would share a name.
    """
    front = Graph("/front/")
    used = [feature for feature in signature.features if feature.used]
    if not used:
        raise ConversionFailed(
            "the model reads none of its columns, so there is nothing to ask",
            hint="check the column transformer: are all columns dropped?",
        )
    absent = missing_text(signature)
    inputs = [Port(input_name(feature), _element(feature), (None, 1)) for feature in used]
    columns: dict[str, str] = {
        feature.name: _column(front, feature, port.name, absent)
        for feature, port in zip(used, inputs, strict=True)
    }
    if len(used) < len(signature.features):
        filler = _zeros(front, inputs[0].name)
        columns |= {feature.name: filler for feature in signature.features if not feature.used}
    names = [columns[feature.name] for feature in signature.features]
    # written as a node of its own so that the body finds it under the name it was written with
    front.nodes.append(_concat(names))
    outputs = _numbers(signature, emission)
    body = graph
    if emission.label is not None:
        body, words = _worded(graph, emission.label, signature.output.labels)
        element = _label_element(signature.output.labels)
        outputs = {Port("predictions", element, (None,)): words, **outputs}
    return body.model(inputs, outputs, front=front, metadata={MISSING_TEXT: absent})


def input_name(feature: Feature) -> str:
    """Return the published input of a feature: its name, unless an output has that name."""
    return f"{feature.name}_input" if feature.name in OUTPUTS else feature.name


def missing_text(signature: Signature) -> str:
    """Return the text that stands for a missing word: no word of any vocabulary."""
    words = {value for feature in signature.features for value in feature.vocabulary or ()}
    text = "__missing__"
    while text in words:
        text += "_"
    return text


def matrix_of(signature: Signature, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Return rows as the serving graph takes them.

    Args:
        signature: What the model takes.
        columns: Feature name to values, `[N]`: float64 with NaN, or objects with None. A feature that is
            not used may be absent.

    Returns:
        float64 `[N, F]`. Values that the signature refuses are coded like accepted ones.
    """
    rows = len(next(iter(columns.values())))
    matrix = np.zeros((rows, len(signature.features)))
    for place, feature in enumerate(signature.features):
        if not feature.used:
            continue
        values = columns[feature.name]
        if feature.vocabulary is None:
            matrix[:, place] = [np.nan if value is None else value for value in values.tolist()]
            continue
        codes = {(isinstance(value, str), value): code for code, value in enumerate(feature.vocabulary)}
        matrix[:, place] = [
            feature.missing_code
            if is_missing(value)
            else codes.get((isinstance(value, str), value), feature.unknown_code)
            for value in values.tolist()
        ]
    return matrix


def inputs_of(signature: Signature, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return rows as the published graph takes them.

    Args:
        signature: What the model takes.
        columns: As for `matrix_of`.

    Returns:
        Input name to `[N, 1]`. A number of a vocabulary of another type (`True` for 1) is its number.
    """
    absent = missing_text(signature)
    inputs = {}
    for feature in signature.features:
        if not feature.used:
            continue
        values = columns[feature.name].tolist()
        element = _element(feature)
        if element == TensorProto.STRING:
            cells = np.array(
                [absent if is_missing(value) else _spelled(value) for value in values], dtype=object
            )
        else:
            cells = np.array([np.nan if is_missing(value) else value for value in values])
            cells = cells.astype(NUMPY_TYPES[element])
        inputs[input_name(feature)] = cells.reshape(-1, 1)
    return inputs


def _spelled(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def _matrix(signature: Signature) -> Port:
    return Port(MATRIX, TensorProto.DOUBLE, (None, len(signature.features)))


def _numbers(signature: Signature, emission: Emission) -> dict[Port, str]:
    output = signature.output
    if output.task is Task.REGRESSION:
        assert emission.predictions is not None  # noqa: S101 - a regressor's converter gives them
        return {Port("predictions", TensorProto.DOUBLE, (None, len(output.targets))): emission.predictions}
    if emission.probabilities is None:
        return {}
    return {Port("probabilities", TensorProto.DOUBLE, (None, len(output.labels))): emission.probabilities}


def _element(feature: Feature) -> int:
    """Return the element type of a feature's published input."""
    if feature.vocabulary is not None:
        if any(isinstance(value, str) for value in feature.vocabulary) or feature.type in {
            FeatureType.STRING,
            FeatureType.CATEGORY,
        }:
            return int(TensorProto.STRING)
        return int(TensorProto.DOUBLE) if feature.missing else _plain_element(feature)
    return int(TensorProto.DOUBLE) if feature.missing else _plain_element(feature)


def _plain_element(feature: Feature) -> int:
    kinds = {FeatureType.INT64: TensorProto.INT64, FeatureType.BOOL: TensorProto.BOOL}
    return int(kinds.get(feature.type, TensorProto.DOUBLE))


def _column(front: Graph, feature: Feature, tensor: str, absent: str) -> str:
    """Return the feature's column of the matrix, float64 `[N, 1]`."""
    element = _element(feature)
    if feature.vocabulary is None:
        return tensor if element == TensorProto.DOUBLE else front.cast(tensor, TensorProto.DOUBLE)
    missing = float(feature.missing_code) if feature.missing else OUT_OF_RANGE
    unknown = float(feature.unknown_code) if feature.unknown else OUT_OF_RANGE
    codes = [*map(float, range(len(feature.vocabulary))), missing]
    if element == TensorProto.STRING:
        keys = text_tensor("keys", [*map(_spelled, feature.vocabulary), absent])
    else:
        if element != TensorProto.DOUBLE:
            tensor = front.cast(tensor, TensorProto.DOUBLE)
        keys = array_tensor(np.array([*map(float, feature.vocabulary), np.nan]))
    return front.add(
        "LabelEncoder",
        tensor,
        domain=ML,
        keys_tensor=keys,
        values_tensor=array_tensor(np.array(codes)),
        default_tensor=array_tensor(np.array([unknown])),
    )


def _zeros(front: Graph, tensor: str) -> str:
    shape = front.add("Shape", tensor)
    return front.add("ConstantOfShape", shape, value=array_tensor(np.zeros(1)))


def _concat(names: Sequence[str]) -> Any:
    from onnx import helper

    return helper.make_node("Concat", names, [MATRIX], axis=1)


def _worded(graph: Graph, label: str, labels: Sequence[Value]) -> tuple[Graph, str]:
    """Return the body with the label's word in place of its index."""
    worded = graph.copy()
    if _label_element(labels) == TensorProto.STRING:
        words = worded.words([_spelled(value) for value in labels])
    else:
        words = worded.constant(np.array(labels))
    return worded, worded.add("Gather", words, label, axis=0)


def _label_element(labels: Sequence[Value]) -> int:
    kinds = {type(value) for value in labels}
    if kinds == {bool}:
        return int(TensorProto.BOOL)
    if kinds == {int}:
        return int(TensorProto.INT64)
    return int(TensorProto.DOUBLE) if kinds == {float} else int(TensorProto.STRING)
