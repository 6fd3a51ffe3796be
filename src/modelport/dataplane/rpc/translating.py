"""`ModelInferRequest` to a V2 body with binary tensors, and the reply to `ModelInferResponse`.

Raw contents pass through as they are. Typed contents are packed: the protocol has one field for several
integer types, so what does not fit into the tensor's own type is refused.

Source: Open Inference Protocol V2, "gRPC", "Tensor Data"; Triton, "Binary Tensor Data Extension".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np

from modelport.dataplane.rpc.messages import MESSAGES
from modelport.domain.errors import InvalidInput

TYPED: dict[str, tuple[str, str]] = {
    "BOOL": ("bool_contents", "?"),
    "INT8": ("int_contents", "<i1"),
    "INT16": ("int_contents", "<i2"),
    "INT32": ("int_contents", "<i4"),
    "INT64": ("int64_contents", "<i8"),
    "UINT8": ("uint_contents", "<u1"),
    "UINT16": ("uint_contents", "<u2"),
    "UINT32": ("uint_contents", "<u4"),
    "UINT64": ("uint64_contents", "<u8"),
    "FP32": ("fp32_contents", "<f4"),
    "FP64": ("fp64_contents", "<f8"),
}
"""Where each datatype's typed contents stand, and how they are laid out raw. BYTES is packed by hand."""

CARRIED = {"int_contents": "<i4", "uint_contents": "<u4"}
"""What a field of several datatypes holds."""

BYTES_FIELD = "bytes_contents"
LENGTH_BYTES = 4
HTTP_ONLY = ("binary_data", "binary_data_size", "binary_data_output")
"""Parameters that say where an HTTP body holds a tensor; here the message does."""

Parameter = str | bool | int | float


class _Output(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Parameter] = {}


class _Reply(msgspec.Struct):
    model_name: str
    model_version: str
    outputs: list[_Output]
    id: str = ""
    parameters: dict[str, Parameter] = {}


_read_reply = msgspec.json.Decoder(_Reply).decode


def path_of(model: str, version: str, what: str) -> str:
    """Return the path of a model's page or prediction.

    Args:
        model: Its name, as sent.
        version: As sent; empty: not given.
        what: "/infer", "/ready" or "".

    Raises:
        InvalidInput: There is no name.
    """
    if not model:
        raise InvalidInput("found no name of a model, expected that of an endpoint")
    middle = f"/versions/{quote(version, safe='')}" if version else ""
    return f"/v2/models/{quote(model, safe='')}{middle}{what}"


def read_request(request: Any) -> tuple[bytes, list[bytes]]:
    """Return the JSON of a V2 request and the binary tensors behind it.

    Args:
        request: A `ModelInferRequest`.

    Raises:
        InvalidInput: Its contents are not where they should be, or do not fit their datatype.
    """
    blobs = _contents(request)
    inputs = [
        {
            "name": tensor.name,
            "shape": list(tensor.shape),
            "datatype": tensor.datatype,
            "parameters": {**_parameters(tensor.parameters), "binary_data_size": len(blob)},
        }
        for tensor, blob in zip(request.inputs, blobs, strict=True)
    ]
    document: dict[str, Any] = {
        "inputs": inputs,
        "parameters": {**_parameters(request.parameters), "binary_data_output": True},
    }
    if request.id:
        document["id"] = request.id
    if request.outputs:
        document["outputs"] = [
            {"name": output.name, "parameters": _parameters(output.parameters)} for output in request.outputs
        ]
    return msgspec.json.encode(document), blobs


def make_response(body: bytes, head_bytes: int) -> Any:
    """Return the `ModelInferResponse` that a V2 reply means.

    Args:
        body: JSON, and behind it the tensors.
        head_bytes: Length of the JSON.
    """
    reply = _read_reply(body[:head_bytes])
    outputs, blobs, start = [], [], head_bytes
    for output in reply.outputs:
        size = output.parameters.pop("binary_data_size")
        assert isinstance(size, int)  # noqa: S101 - outputs were asked for in binary
        blobs.append(body[start : start + size])
        start += size
        outputs.append({"name": output.name, "datatype": output.datatype, "shape": output.shape})
    return MESSAGES["ModelInferResponse"](
        model_name=reply.model_name,
        model_version=reply.model_version,
        id=reply.id,
        parameters={name: _make_parameter(value) for name, value in reply.parameters.items()},
        outputs=outputs,
        raw_output_contents=blobs,
    )


def _contents(request: Any) -> list[bytes]:
    """Return every tensor's data in binary."""
    raw = request.raw_input_contents
    if not raw:
        return [_packed(tensor) for tensor in request.inputs]
    for tensor in request.inputs:
        if tensor.HasField("contents"):
            raise _misfit(tensor.name, "found contents beside raw_input_contents, expected one of them")
    if len(raw) != len(request.inputs):
        raise InvalidInput(
            f"found {len(raw)} raw_input_contents for {len(request.inputs)} inputs, expected one for each"
        )
    return list(raw)


def _packed(tensor: Any) -> bytes:
    """Return typed contents in binary."""
    datatype = tensor.datatype
    field, layout = (BYTES_FIELD, "") if datatype == "BYTES" else TYPED.get(datatype, ("", ""))
    if not field:
        raise _misfit(
            tensor.name,
            f"found the datatype {datatype[:20]!r} with typed contents, "
            f"expected one of {', '.join([*TYPED, 'BYTES'])}; FP16 travels in raw_input_contents only",
        )
    used = [each.name for each, _ in tensor.contents.ListFields()]
    if any(name != field for name in used):
        raise _misfit(
            tensor.name, f"found {' and '.join(used)}, expected {field} for the datatype {datatype}"
        )
    values = getattr(tensor.contents, field)
    if field == BYTES_FIELD:
        return b"".join([len(value).to_bytes(LENGTH_BYTES, "little") + value for value in values])
    return _laid_out(tensor.name, values, field, layout, datatype)


def _laid_out(name: str, values: Sequence[Any], field: str, layout: str, datatype: str) -> bytes:
    held = np.array(values, CARRIED.get(field, layout))
    wanted = held.astype(layout, copy=False)
    if field in CARRIED:
        wrong = np.flatnonzero(wanted != held)
        if wrong.size:
            at = int(wrong[0])
            raise _misfit(name, f"element {at}: found {int(held[at])}, which {datatype} does not hold")
    return wanted.tobytes()


def _parameters(given: Mapping[str, Any]) -> dict[str, Parameter]:
    found = {}
    for name, parameter in given.items():
        if name in HTTP_ONLY:
            raise InvalidInput(
                f"found the parameter {name!r}, which belongs to HTTP bodies",
                hint="leave it out: over gRPC tensors are always binary",
            )
        choice = parameter.WhichOneof("parameter_choice")
        if choice is None:
            raise InvalidInput(f"parameter {name[:80]!r}: found no value")
        found[name] = getattr(parameter, choice)
    return found


def _make_parameter(value: Parameter) -> Any:
    kind = {bool: "bool_param", int: "int64_param", str: "string_param", float: "double_param"}[type(value)]
    return MESSAGES["InferParameter"](**{kind: value})


def _misfit(name: str, found: str) -> InvalidInput:
    return InvalidInput(f'tensor "{name[:80]}": {found}', feature=name)
