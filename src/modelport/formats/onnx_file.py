"""A ready ONNX file: what it takes and gives is read off its inputs, and off what it answers to a few rows.

It is served behind a front that cuts the serving matrix into its inputs, and a back that brings its outputs
into our form (`onnx_adapting.py`). The file itself stays what is published, and what the proof compares with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto

from modelport.domain.errors import ConversionFailed, InvalidInput
from modelport.domain.signature import Feature, FeatureType, Output, Signature, Task, Value
from modelport.formats.conversion import Answers, Columns, Conversion
from modelport.formats.onnx_adapting import Front, Slot, adapt
from modelport.formats.onnx_checks import read_onnx, walk_graphs
from modelport.formats.onnx_outputs import Back

FLOATS: dict[int, Any] = {
    TensorProto.FLOAT: np.float32,
    TensorProto.DOUBLE: np.float64,
    TensorProto.FLOAT16: np.float16,
}
INTEGERS: dict[int, Any] = {
    TensorProto.INT64: np.int64,
    TensorProto.INT32: np.int32,
    TensorProto.INT16: np.int16,
    TensorProto.INT8: np.int8,
    TensorProto.UINT8: np.uint8,
}
FEATURES_MAX = 10_000_000
TARGETS_MAX = 10_000
INVENTED_ROWS = 200
SEED = 20130101


@dataclass(frozen=True, slots=True)
class Given:
    """A file that is loaded.

    Args:
        model: The graph.
        content: Its bytes, as published.
        session: Runs it.
        front: How a serving matrix becomes its inputs.
    """

    model: onnx.ModelProto
    content: bytes
    session: Any
    front: Front

    def run(self, matrix: NDArray[np.float64]) -> dict[str, Any]:
        """Return its outputs by name; dictionaries of class scores (ZipMap) as they come."""
        names = [output.name for output in self.session.get_outputs()]
        with np.errstate(all="ignore"):
            feeds = {slot.name: slot.fill(matrix) for slot in self.front.slots}
        return dict(zip(names, self.session.run(names, feeds), strict=True))


class OnnxOriginal:
    """The file as given, asked in the signature's terms.

    What an ONNX graph does not refuse by itself (a missing value where it computes on as if nothing were
    missing, a number its input type cannot hold) is refused here, so that nobody is given a made-up answer.

    Args:
        given: The file.
        signature: What it takes and gives.
        back: How its outputs are read.
    """

    def __init__(self, given: Given, signature: Signature, back: Back) -> None:
        self._given = given
        self._signature = signature
        self._back = back

    def columns(self, rows: Any) -> Columns:
        """Return a user's rows by column. See `conversion.Original`."""
        return columns_of(rows, tuple(feature.name for feature in self._signature.features))

    def build(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """Return the rows as a matrix float64 `[N, F]`."""
        parts = [columns[feature.name].astype(np.float64) for feature in self._signature.features]
        return np.column_stack(parts)

    def answer(self, rows: NDArray[np.float64]) -> Answers:
        """Ask the file.

        Raises:
            InvalidInput: A number is one its input cannot hold, or is missing.
        """
        for feature, column in zip(self._signature.features, rows.T, strict=True):
            missing = np.isnan(column)
            outside = ~missing & ((column < feature.lower) | (column > feature.upper))
            if outside.any() or (missing.any() and not feature.missing):
                raise InvalidInput(f"{feature.name!r} holds a value that the file's input cannot take")
        return self._back.read(self._given.run(rows))


def convert_file(
    path: Path,
    example: Any = None,
    *,
    labels: Sequence[Value] | None = None,
    units: Mapping[str, str] | None = None,
    external_data: Sequence[str] = (),
) -> Conversion:
    """Return a ready ONNX file as a conversion.

    Args:
        path: The file.
        example: Rows of the training features (DataFrame, array `[N, F]` or `[N, …]`), or None.
        labels: Words for the classes, in the order of its scores.
        units: Feature (or target) name to unit.
        external_data: Files beside it that it may read weights from.

    Raises:
        InvalidInput: The file or the example cannot be read.
        Refused: The file reaches for operators or files it may not.
        ConversionFailed: Its inputs or outputs are of a kind that cannot be served; says what would work.
    """
    model = read_onnx(path, external_data=external_data)
    content: bytes = model.SerializeToString(deterministic=True)
    session = _open(content, path.name)
    front = _front(model, path.name, example)
    given = Given(model, content, session, front)
    names = _feature_names(front, example)
    known = None if example is None else columns_of(example, names)
    features = _features(front, names, known, units or {})
    columns = known or invent_example(Signature(features, Output(Task.REGRESSION)))
    matrix = np.column_stack([columns[name].astype(np.float64) for name in names])
    answers = _first_answers(given, matrix, path.name)
    features = _taught(features, given, matrix)
    back, output = Back.find(model, answers, labels=labels, name=path.name)
    if output.task is Task.REGRESSION and len(output.targets) > TARGETS_MAX:
        raise ConversionFailed(
            f"{path.name!r} gives {len(output.targets)} numbers a row, at most {TARGETS_MAX}"
        )
    unit = next((text for key, text in (units or {}).items() if key in output.targets), None)
    signature = Signature(features, replace(output, unit=unit), front.matrix, front.row_shape)
    return Conversion(
        signature=signature,
        serving=adapt(model, front, back),
        published=content,
        framework=f"ONNX opset {_opset(model)}",
        estimator=model.producer_name or "onnx",
        family="onnx",
        original=OnnxOriginal(given, signature, back),
        thresholds=_thresholds(model, front, names),
        float32=tuple(slot.name for slot in front.slots if slot.element == TensorProto.FLOAT),
    )


def invent_example(signature: Signature) -> Columns:
    """Return made-up rows of numbers, for a file that came without an example.

    Args:
        signature: Its features' types and bounds are kept.
    """
    random = np.random.default_rng(SEED)
    columns: Columns = {}
    for feature in signature.features:
        if feature.type is FeatureType.BOOL:
            column = random.integers(0, 2, INVENTED_ROWS).astype(np.float64)
        elif feature.type is FeatureType.INT64:
            column = random.integers(0, 10, INVENTED_ROWS).astype(np.float64)
        else:
            column = random.normal(size=INVENTED_ROWS)
        columns[feature.name] = np.clip(column, feature.lower, feature.upper)
    return columns


def columns_of(rows: Any, names: tuple[str, ...]) -> Columns:
    """Return rows by column.

    Args:
        rows: A DataFrame with these columns, or an array `[N, F]` or `[N, …]` of as many numbers a row.
        names: The features.

    Raises:
        InvalidInput: A column is not there or no number, or the shape does not fit.
    """
    if hasattr(rows, "columns"):
        absent = [name for name in names if name not in rows.columns]
        if not absent:
            return {name: _numbers(rows[name], name) for name in names}
        if len(rows.columns) != len(names):
            raise InvalidInput(
                f"the example has no column {absent[0]!r}", hint="name its columns as the file's inputs"
            )
        rows = rows.to_numpy()  # a matrix: its columns go by position
    array = np.asarray(rows)
    flat = array.reshape(len(array), -1) if array.ndim else array
    if flat.ndim != 2 or flat.shape[1] != len(names):
        raise InvalidInput(f"the example has shape {array.shape}, the file takes {len(names)} numbers a row")
    return {name: _numbers(flat[:, place], name) for place, name in enumerate(names)}


def _numbers(column: Any, name: str) -> NDArray[np.float64]:
    try:
        return np.asarray(column, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"the example's column {name!r} holds no numbers: {error}") from error


def _open(content: bytes, name: str) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # onnxruntime raises a dozen unrelated classes for a graph it cannot take
        reason = (str(error).strip().splitlines() or ["unknown"])[0]
        raise ConversionFailed(
            f"ONNX Runtime {onnxruntime.__version__} cannot load {name!r}: {reason}",
            hint="export it for an opset that this ONNX Runtime knows",
        ) from error


def _front(model: onnx.ModelProto, name: str, example: Any) -> Front:
    """Read the inputs."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in constants]
    if not inputs:
        raise ConversionFailed(f"{name!r} has no inputs")
    slots = []
    start = 0
    for each in inputs:
        slot = _slot(each, name, start, _width(example) if len(inputs) == 1 else None)
        slots.append(slot)
        start += slot.width
    if start > FEATURES_MAX:
        raise ConversionFailed(f"{name!r} takes {start} numbers a row, at most {FEATURES_MAX}")
    alone = len(slots) == 1 and len(slots[0].shape) > 0
    return Front(tuple(slots), alone, slots[0].shape if alone and len(slots[0].shape) > 1 else None)


def _slot(value: onnx.ValueInfoProto, name: str, start: int, width: int | None) -> Slot:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        raise ConversionFailed(f"{name!r} takes {value.name!r}, which is no tensor")
    if kind.elem_type == TensorProto.STRING:
        raise ConversionFailed(
            f"{name!r} takes text in its input {value.name!r}, which a ready file cannot be served with",
            hint="register the fitted pipeline itself with modelport.register: it keeps text exact",
        )
    if kind.elem_type not in {*FLOATS, *INTEGERS, TensorProto.BOOL}:
        element = TensorProto.DataType.Name(kind.elem_type)
        raise ConversionFailed(f"{name!r} takes {element} in its input {value.name!r}, expected numbers")
    if not kind.HasField("shape") or not kind.shape.dim:
        raise ConversionFailed(
            f"the input {value.name!r} of {name!r} has no rows: its first size must be the number of rows",
            hint="export it with a batch axis",
        )
    rows, *sizes = kind.shape.dim
    if rows.HasField("dim_value"):
        raise ConversionFailed(
            f"the input {value.name!r} of {name!r} takes exactly {rows.dim_value} rows at a time",
            hint="export it with a dynamic first axis (dynamic_axes or dynamic_shapes)",
        )
    shape = tuple(size.dim_value if size.HasField("dim_value") else 0 for size in sizes)
    if len(shape) == 1 and shape[0] == 0 and width:
        shape = (width,)
    if any(size <= 0 for size in shape):
        raise ConversionFailed(
            f"the input {value.name!r} of {name!r} leaves open how many numbers a row has",
            hint="export it with fixed sizes but for the first, or give an example",
        )
    dtype = {**FLOATS, **INTEGERS, TensorProto.BOOL: np.bool_}[kind.elem_type]
    return Slot(value.name, kind.elem_type, dtype, shape, start)


def _width(example: Any) -> int | None:
    shape: tuple[int, ...] = getattr(example, "shape", ())
    return int(shape[1]) if len(shape) == 2 else None


def _feature_names(front: Front, example: Any) -> tuple[str, ...]:
    if front.matrix:
        given = [str(name) for name in getattr(example, "columns", ())]
        if len(given) == front.width:
            return tuple(given)
        return tuple(f"x{place}" for place in range(front.width))
    return tuple(
        slot.name if slot.width == 1 else f"{slot.name}_{place}"
        for slot in front.slots
        for place in range(slot.width)
    )


def _features(
    front: Front, names: tuple[str, ...], example: Columns | None, units: Mapping[str, str]
) -> tuple[Feature, ...]:
    features = []
    for slot in front.slots:
        for place in range(slot.start, slot.start + slot.width):
            name = names[place]
            finite = np.empty(0) if example is None else example[name][np.isfinite(example[name])]
            features.append(
                Feature(
                    name,
                    slot.type,
                    missing=False,
                    lower=slot.lower,
                    upper=slot.upper,
                    seen_min=float(finite.min()) if finite.size else None,
                    seen_max=float(finite.max()) if finite.size else None,
                    unit=units.get(name),
                )
            )
    return tuple(features)


def _first_answers(given: Given, matrix: NDArray[np.float64], name: str) -> dict[str, Any]:
    """Run a few rows: a file that fails on its own example is refused before anything is built."""
    for count in (1, min(len(matrix), 7)):
        try:
            found = given.run(matrix[:count])
        except Exception as error:
            # onnxruntime raises a dozen unrelated classes
            reason = (str(error).strip().splitlines() or ["unknown"])[0]
            raise ConversionFailed(
                f"{name!r} fails on {count} rows: {reason}",
                hint="give example rows it can answer (--example), and export it with a dynamic first axis",
            ) from error
        for output, values in found.items():
            if len(values) != count:
                raise ConversionFailed(
                    f"{name!r} gives {len(values)} rows of {output!r} for {count} rows",
                    hint="export it so that the first axis of each output is the number of rows",
                )
    return given.run(matrix)


def _taught(features: tuple[Feature, ...], given: Given, matrix: NDArray[np.float64]) -> tuple[Feature, ...]:
    """Return the features with what only running the file tells: missing values, and integers it survives."""
    taught = list(features)
    places = [place for place, feature in enumerate(features) if feature.type is FeatureType.DOUBLE]
    if len(places) <= 2000:  # wider ones are pictures and signals, which have no missing values
        for place in places:
            row = matrix[:1].copy()
            row[0, place] = np.nan
            if _finite(given, row):
                taught[place] = replace(features[place], missing=True)
    for place, feature in enumerate(features):
        if feature.type is not FeatureType.INT64:
            continue
        rows = np.repeat(matrix[:1], 2, axis=0)
        rows[:, place] = (feature.lower, feature.upper)
        if not (_finite(given, rows[:1]) and _finite(given, rows[1:])):
            seen = matrix[:, place]
            taught[place] = replace(feature, lower=float(seen.min()), upper=float(seen.max()))
    return tuple(taught)


def _finite(given: Given, rows: NDArray[np.float64]) -> bool:
    try:
        found = given.run(rows)
    except Exception:  # noqa: BLE001 - whatever onnxruntime raises: it does not take this row
        return False
    for values in found.values():
        # class scores by ZipMap come as one dictionary a row
        array = np.array([list(row.values()) for row in values]) if isinstance(values, list) else values
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return False
    return True


def _thresholds(model: onnx.ModelProto, front: Front, names: tuple[str, ...]) -> dict[str, Any]:
    """Return where trees that read the input directly turn, for probe rows."""
    direct = {slot.name: slot for slot in front.slots}
    found: dict[str, list[NDArray[np.float64]]] = {}
    for graph in walk_graphs(model):
        for node in graph.node:
            if not node.op_type.startswith("TreeEnsemble") or node.input[0] not in direct:
                continue
            slot = direct[node.input[0]]
            attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
            ids = attributes.get("nodes_featureids", ())
            values = attributes.get("nodes_values", ())
            for key in {"nodes_values_as_tensor", "nodes_splits"} & attributes.keys():
                values = onnx.numpy_helper.to_array(attributes[key])
            for place, value in zip(np.asarray(ids), np.asarray(values, dtype=np.float64), strict=False):
                if 0 <= place < slot.width:
                    found.setdefault(names[slot.start + int(place)], []).append(value)
    return {name: np.unique(np.asarray(values, dtype=np.float64)) for name, values in found.items()}


def _opset(model: onnx.ModelProto) -> int:
    versions = {opset.domain: opset.version for opset in model.opset_import}
    return int(versions.get("", versions.get("ai.onnx", max(versions.values(), default=0))))
