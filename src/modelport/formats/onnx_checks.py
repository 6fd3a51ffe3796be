"""A ready ONNX file read as data from a stranger: limits, known operators, no path that leads elsewhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError, EncodeError
from onnx import TensorProto

from modelport.domain.errors import InvalidInput, NotFound, Refused

FILE_BYTES_MAX = (2 << 30) - 1  # what a protobuf message can hold
NODES_MAX = 1_000_000
OPSET_MIN = 7  # older ones have other forms of the operators that a front needs
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})  # what ONNX Runtime brings itself


def read_onnx(path: Path, *, external_data: Sequence[str] = ()) -> onnx.ModelProto:
    """Return a checked model, with listed external data taken into it.

    Args:
        path: The file.
        external_data: Names of the files beside it that it may read weights from.

    Raises:
        NotFound: There is no such file, or a listed one is absent.
        InvalidInput: It is no ONNX model, too large, or breaks the standard's rules.
        Refused: It uses operators that ONNX Runtime does not bring, or reads files that are not listed.
    """
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise NotFound(f"no ONNX file {str(path)!r}") from None
    if size > FILE_BYTES_MAX:
        raise InvalidInput(f"{path.name!r} has {size} bytes, at most {FILE_BYTES_MAX} are read")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise InvalidInput(f"{path.name!r} is no ONNX model: {error}") from error
    if not model.graph.node:
        raise InvalidInput(f"{path.name!r} is no ONNX model: it has no operators")
    _check_domains(model, path.name)
    _take_in_external(model, path, frozenset(external_data))
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = (str(error).strip().splitlines() or ["unknown"])[0]
        raise InvalidInput(f"{path.name!r} is no valid ONNX model: {reason}") from error
    except (ValueError, EncodeError) as error:
        raise InvalidInput(f"{path.name!r} with its external data is too large: {error}") from error
    return model


def walk_graphs(model: onnx.ModelProto) -> Iterator[Any]:
    """Yield the graph, every graph inside it, and every function's body."""
    pending: list[Any] = [model.graph, *model.functions]
    while pending:
        graph = pending.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    pending.append(attribute.g)
                pending.extend(attribute.graphs)


def _check_domains(model: onnx.ModelProto, name: str) -> None:
    own = {function.domain for function in model.functions}
    count = 0
    for graph in walk_graphs(model):
        count += len(graph.node)
        for node in graph.node:
            if node.domain not in DOMAINS and node.domain not in own:
                raise Refused(
                    f"{name!r} uses the operator {node.op_type!r} of {node.domain!r}, "
                    "which needs a library of its own",
                    hint="export the model with standard operators only",
                )
    if count > NODES_MAX:
        raise InvalidInput(f"{name!r} has {count} operators, at most {NODES_MAX} are read")
    versions = {opset.domain: opset.version for opset in model.opset_import}
    default = versions.get("", versions.get("ai.onnx", OPSET_MIN))
    if default < OPSET_MIN:
        raise InvalidInput(
            f"{name!r} is written for opset {default}, expected {OPSET_MIN} or newer",
            hint="export it again, or convert it with onnx.version_converter",
        )


def _tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    for graph in walk_graphs(model):
        yield from getattr(graph, "initializer", ())
        for sparse in getattr(graph, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
                sparse = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
                for each in (*sparse, *attribute.sparse_tensors):
                    yield from (each.values, each.indices)


def _take_in_external(model: onnx.ModelProto, path: Path, listed: frozenset[str]) -> None:
    """Replace references to listed files by their bytes; every other reference is refused."""
    total = 0
    for tensor in _tensors(model):
        if tensor.data_location != TensorProto.EXTERNAL and not tensor.external_data:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if location not in listed or Path(location).name != location or location in {"", ".", ".."}:
            raise Refused(
                f"{path.name!r} reads weights from another file: {location!r}",
                hint="save it as one file (onnx.save with save_as_external_data=False), "
                "or list the file beside it",
            )
        content = _read_part(path.parent / location, entries)
        total += len(content)
        if total > FILE_BYTES_MAX:
            raise InvalidInput(f"{path.name!r} has more than {FILE_BYTES_MAX} bytes of external data")
        tensor.ClearField("external_data")
        tensor.data_location = TensorProto.DEFAULT
        tensor.raw_data = content


def _read_part(place: Path, entries: dict[str, str]) -> bytes:
    try:
        offset, length = int(entries.get("offset", "0")), int(entries.get("length", "-1"))
    except ValueError as error:
        raise InvalidInput(f"the place of weights in {place.name!r} is no number") from error
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NotFound(f"no file {place.name!r} beside the model") from None
    except OSError as error:
        raise Refused(f"{place.name!r} is a link, expected a plain file") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise Refused(f"{place.name!r} is no plain file")
    with os.fdopen(descriptor, "rb") as file:
        length = status.st_size - offset if length < 0 else length
        if offset < 0 or length < 0 or offset + length > status.st_size:
            raise InvalidInput(f"{place.name!r} has {status.st_size} bytes, the model reads beyond them")
        if length > FILE_BYTES_MAX:
            raise InvalidInput(f"{place.name!r} holds a tensor of {length} bytes, at most {FILE_BYTES_MAX}")
        file.seek(offset)
        return file.read(length)
