"""Requests of the Open Inference Protocol V2: JSON, or JSON with binary tensors behind it.

    {"id": "42", "inputs": [{"name": "hour", "shape": [2], "datatype": "INT64", "data": [5, 6]}, …],
     "outputs": [{"name": "predictions"}]}

One tensor per feature, of shape `[n]` or `[n, 1]`; for models trained on a matrix also one tensor `input` of
shape `[n, features]`. With binary data the first bytes of the body are the JSON, and each tensor with
`binary_data_size` takes so many of the bytes behind it, in the order of the inputs.

What a tensor's type says is taken at its word: FP32 in JSON is the nearest FP32, widened to FP64, and the
reply says so; an integer that float64 cannot hold is refused where the feature is a number with fractions.
A parameter is understood or refused, never passed over.

Source: Open Inference Protocol V2, "Inference Request JSON Object"; Triton, "Binary Tensor Data Extension".
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType
from numpy.typing import NDArray

from modelport.domain.errors import InvalidInput, PayloadTooLarge
from modelport.runtime.cells import UNUSED, Cell
from modelport.runtime.codecs.arrays import packed, plain_block, refuse_inexact
from modelport.runtime.codecs.large_json import LARGE_BYTES
from modelport.runtime.codecs.schema import Schema
from modelport.runtime.codecs.strict_json import parse_value, refuse_doubled
from modelport.runtime.codecs.tensors import (
    BYTES,
    DTYPES,
    INPUT,
    LENGTH_BYTES,
    WIDENED,
    Datatype,
    Tensor,
    column,
    numbers_of_elements,
    numbers_of_few,
    output_tensors,
)
from modelport.runtime.codecs.values import (
    VALUES_MAX,
    GeneralReader,
    Lengthy,
    finished,
    refuse_many_values,
)
from modelport.runtime.rows import FLOAT64, Rows
from modelport.runtime.wording import found, located, quote

TRITON = "application/vnd.sagemaker-triton.binary+json"
"""Media type of such a body, as for Triton on SageMaker; `json-header-size` is the length of its JSON."""

HEAD_SIZE = "json-header-size"
FEW_ROWS = 16
KEPT_MAX = 64
JSON_IN_PASSING_BYTES = 32 << 10  # tensors of texts are looked up one by one
QUOTE, COLON = b'":'
LENGTH_HINT = "Inference-Header-Content-Length is the length of the JSON before the binary tensors"
KEPT_BYTES_MAX = 8 << 10
DIMENSIONS_MAX = 16
IGNORED = {"content_type"}  # MLServer's hint of what a tensor was made from
Parameter = str | bool | int | float
Parameters = dict[str, Parameter] | UnsetType
HINTS = {
    "timeout": "send the header X-Modelport-Timeout-Ms",
    "classification": 'ask for the output "probabilities"',
    "shared_memory_region": "send the tensor in the request",
    "sequence_id": "the model keeps no state between requests",
}


class _Input(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    name: str
    shape: Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(max_length=DIMENSIONS_MAX)]
    datatype: Datatype
    parameters: Parameters = UNSET
    data: msgspec.Raw | UnsetType = UNSET


class _Output(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    name: str
    parameters: Parameters = UNSET


class _Request(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    inputs: list[_Input]
    id: str | UnsetType = UNSET
    parameters: Parameters = UNSET
    outputs: list[_Output] | UnsetType = UNSET


class Wish(msgspec.Struct, frozen=True, gc=False):
    """What a V2 request says about its reply.

    Args:
        id: To be echoed, None when not given.
        widened: Which of its types were widened to FP64: "FP32", "FP16, FP32"; empty for none.
        outputs: Name and whether in binary, in the order asked for; None: all, as `binary` says.
        binary: Outputs are binary where it is not said one by one.
    """

    id: str | None = None
    widened: str = ""
    outputs: tuple[tuple[str, bool], ...] | None = None
    binary: bool = False


_parse = msgspec.json.Decoder(_Request).decode


class OpenInferenceDecoder:
    """Reads V2 bodies.

    Args:
        schema: The model's generated fast path.
        head_bytes: Length of the JSON in front of binary tensors; None: all of the body is JSON.
    """

    def __init__(self, schema: Schema, head_bytes: int | None = None) -> None:
        self._schema = schema
        self._reader = GeneralReader(schema.cells, schema.signature.row_shape)
        self._head_bytes = head_bytes
        self._outputs = [tensor.name for tensor in output_tensors(schema.signature.output)]
        self._kept: dict[bytes, _Prepared] = {}
        names = set(schema.names)
        self._one = INPUT if schema.signature.matrix and INPUT not in names else None

    def __call__(self, body: bytes) -> Rows:
        """Return the body's rows, with the request's wish for its reply.

        Raises:
            PayloadTooLarge: It has more than ten million values.
            InvalidInput: The body is no V2 request, or a tensor does not fit the model.
        """
        size = self._head_bytes
        if size is None:
            return self._prepare(body).read(body)
        prepared = self._kept.get(body[:size])
        if prepared is None:
            if size > len(body):
                raise InvalidInput(
                    f"the JSON is announced with {size} bytes, found {len(body)} in the body",
                    hint=LENGTH_HINT,
                )
            prepared = self._prepare(body[:size])
            if prepared.keep and size <= KEPT_BYTES_MAX and len(self._kept) < KEPT_MAX:
                self._kept[body[:size]] = prepared
        return prepared.read(body)

    def in_passing(self, body: bytes) -> Rows:
        """Return the body's rows, unless it is large and all JSON."""
        if self._head_bytes is None and len(body) > JSON_IN_PASSING_BYTES:
            raise Lengthy
        return self(body)

    def _prepare(self, head: bytes) -> _Prepared:
        """Return how the request that begins with this JSON is read."""
        refuse_many_values(head)
        try:
            request = _parse(head)
        except msgspec.ValidationError as error:
            raise InvalidInput(
                f"the request is not of the Open Inference Protocol V2: {error}",
                hint='send {"inputs": [{"name": …, "shape": […], "datatype": …, "data": […]}]}',
            ) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            request = parse_value(head, _parse, self._explain)
        if _count_names(head) != _colons(request):
            refuse_doubled(head)
        return self._prepare_request(request, len(head))

    def _explain(self, value: Any) -> Rows:
        """Raise the error of the element of `value` that is NaN, infinite or out of range."""
        if isinstance(value, dict) and isinstance(value.get("inputs"), list):
            inputs = [each for each in value["inputs"] if isinstance(each, dict)]
            data = [each.pop("data", UNSET) for each in inputs]
            try:
                request = msgspec.convert(value, _Request)
            except msgspec.ValidationError:
                return Rows(b"", 0)
            for tensor, elements in zip(request.inputs, data, strict=True):
                tensor.data = elements
            self._prepare_request(request, 0).read(b"")
        return Rows(b"", 0)

    def _prepare_request(self, request: _Request, size: int) -> _Prepared:
        tensors = [_tensor(each) for each in request.inputs]
        end = size
        for place, tensor in enumerate(tensors):
            if tensor.data is None:
                tensors[place] = _placed(tensor, end)
                end += tensor.size
        parameters = _known(request.parameters, {"binary_data_output": bool}, "the request")
        widened = set() if self._schema.single else WIDENED.intersection(each.datatype for each in tensors)
        wish = Wish(
            None if request.id is UNSET else request.id,
            ", ".join(sorted(widened)),
            self._wanted(request.outputs, binary=parameters.get("binary_data_output", False)),
            parameters.get("binary_data_output", False),
        )
        if self._one is not None and any(tensor.name == self._one for tensor in tensors):
            return _Prepared(self._schema, self._matrix(tensors), [], end, wish)
        order = self._reader.order_of([tensor.name for tensor in tensors], what="the inputs")
        columns = [None if at is None else tensors[at] for at in order]
        self._check_columns(columns)
        return _Prepared(self._schema, None, columns, end, wish)

    def _matrix(self, tensors: list[Tensor]) -> Tensor:
        if len(tensors) > 1:
            other = next((tensor.name for tensor in tensors if tensor.name != INPUT), INPUT)
            raise InvalidInput(f"found the tensor {quote(other)} beside {quote(INPUT)}, expected it alone")
        tensor, schema = tensors[0], self._schema
        row_shape = schema.signature.row_shape
        if len(tensor.shape) < 2 or tensor.shape[1:] not in {(schema.width,), row_shape}:
            expected = ", ".join(map(str, row_shape or (schema.width,)))
            raise InvalidInput(
                f"tensor {quote(INPUT)}: found shape {list(tensor.shape)}, expected [n, {expected}]",
                hint=f"a single row has the shape [1, {expected}]",
            )
        _check_rows(tensor.shape[0], schema.width)
        return tensor

    def _check_columns(self, columns: list[Tensor | None]) -> None:
        first: Tensor | None = None
        for tensor in columns:
            if tensor is None:
                continue
            if tensor.shape not in {(tensor.count,), (tensor.count, 1)}:
                raise located(None, tensor.name, f"found shape {list(tensor.shape)}, expected [n] or [n, 1]")
            if first is None:
                first = tensor
                _check_rows(tensor.count, self._schema.width)
            elif tensor.count != first.count:
                raise located(
                    None,
                    tensor.name,
                    f"found {tensor.count} rows, expected {first.count} as in {quote(first.name)}",
                )
        if first is None:
            raise InvalidInput("found no inputs, expected one tensor per feature")

    def _wanted(
        self, outputs: list[_Output] | UnsetType, *, binary: bool
    ) -> tuple[tuple[str, bool], ...] | None:
        if outputs is UNSET or not outputs:
            return None
        wanted: list[tuple[str, bool]] = []
        for output in outputs:
            if output.name not in self._outputs:
                known = " and ".join(map(quote, self._outputs))
                raise InvalidInput(f"found {quote(output.name)} among the outputs, the model gives {known}")
            if any(output.name == name for name, _ in wanted):
                raise InvalidInput(f"output {quote(output.name)} stands twice, expected once")
            parameters = _known(output.parameters, {"binary_data": bool}, f"output {quote(output.name)}")
            wanted.append((output.name, parameters.get("binary_data", binary)))
        return tuple(wanted)


class _Prepared:
    """A request whose JSON was understood; its tensors may still be read from other bodies.

    Args:
        schema: Of the model.
        matrix: The tensor `input`; None where there is one per feature.
        columns: Per feature its tensor; None for one that was left out.
        end: Bytes of the whole body.
        wish: For the reply.
    """

    __slots__ = ("_block", "_columns", "_end", "_matrix", "_schema", "_wish", "keep")

    def __init__(
        self, schema: Schema, matrix: Tensor | None, columns: list[Tensor | None], end: int, wish: Wish
    ) -> None:
        self._schema = schema
        self._matrix = matrix
        self._columns = columns
        self._end = end
        self._wish = wish
        self._block = schema.plain and matrix is not None and matrix.datatype not in {BYTES, "BOOL"}
        self.keep = wish.id is None  # the next request has another id, and another JSON

    def read(self, body: bytes) -> Rows:
        """Return the rows of a body that begins with this JSON."""
        if len(body) != self._end:
            raise InvalidInput(
                f"JSON and binary tensors take {self._end} bytes, found {len(body)}",
                hint=LENGTH_HINT,
            )
        rows = self._read_columns(body) if self._matrix is None else self._read_matrix(self._matrix, body)
        rows.wish = self._wish
        return rows

    def _read_matrix(self, tensor: Tensor, body: bytes) -> Rows:
        width = self._schema.width
        values = tensor.array(body)
        if self._block and isinstance(values, np.ndarray):
            table = values.reshape(-1, width)
            if table.dtype.kind != "f" and table.dtype.itemsize == FLOAT64.itemsize:
                for cell, each in zip(self._schema.cells, table.T, strict=True):
                    refuse_inexact(cell, each)
            return plain_block(self._schema, table)
        cells = self._schema.cells
        if values is None:
            elements = tensor.elements()
            return packed(
                [
                    np.array(numbers_of_elements(cell, tensor.datatype, elements[j::width]))
                    for j, cell in enumerate(cells)
                ]
            )
        return packed([column(cell, tensor.datatype, values[j::width]) for j, cell in enumerate(cells)])

    def _read_columns(self, body: bytes) -> Rows:
        count = next(tensor.count for tensor in self._columns if tensor is not None)
        pairs = list(zip(self._schema.cells, self._columns, strict=True))
        if count <= FEW_ROWS:
            few = [
                [UNUSED] * count if tensor is None else _read_few(cell, tensor, body)
                for cell, tensor in pairs
            ]
            return finished([struct.pack(f"<{len(few)}d", *row) for row in zip(*few, strict=True)])
        return packed(
            [
                np.full(count, UNUSED) if tensor is None else _read_column(cell, tensor, body)
                for cell, tensor in pairs
            ]
        )


def _read_few(cell: Cell, tensor: Tensor, body: bytes) -> list[float]:
    if tensor.data is not None:
        return numbers_of_elements(cell, tensor.datatype, tensor.elements())
    return numbers_of_few(cell, tensor.datatype, tensor.binary(body))


def _read_column(cell: Cell, tensor: Tensor, body: bytes) -> NDArray[np.float64]:
    values = tensor.array(body)
    if values is None:
        return np.array(numbers_of_elements(cell, tensor.datatype, tensor.elements()))
    return column(cell, tensor.datatype, values)


def _tensor(given: _Input) -> Tensor:
    """Return an input, its data or the size of its binary data checked.

    Raises:
        InvalidInput: It has neither or both, or binary data of another size than its shape says.
    """
    size = None
    if given.parameters is not UNSET:  # words for errors are made only where they may be needed
        known = _known(given.parameters, {"binary_data_size": int}, f"tensor {quote(given.name)}")
        size = known.get("binary_data_size")
    count = math.prod(given.shape)
    if (size is None) == (given.data is UNSET):
        neither = size is None
        raise located(
            None,
            given.name,
            f'found {"neither" if neither else "both"} "data" {"nor" if neither else "and"} '
            f'"binary_data_size", expected one of them',
        )
    if size is None:
        return Tensor(given.name, given.datatype, given.shape, count, given.data)
    expected = None if given.datatype == BYTES else count * DTYPES[given.datatype].itemsize
    if size < 0 or (expected is not None and size != expected):
        raise located(
            None,
            given.name,
            f"found binary_data_size {size}, "
            f"expected {expected} for shape {list(given.shape)} of {given.datatype}",
        )
    if given.datatype == BYTES and LENGTH_BYTES * count > size:
        raise located(None, given.name, f"found {size} bytes, expected more for {count} BYTES")
    return Tensor(given.name, given.datatype, given.shape, count, size=size)


def _placed(tensor: Tensor, start: int) -> Tensor:
    return Tensor(tensor.name, tensor.datatype, tensor.shape, tensor.count, start=start, size=tensor.size)


def _known(given: Parameters, kinds: dict[str, type], what: str) -> dict[str, Any]:
    """Return the parameters that mean something here.

    Raises:
        InvalidInput: There is another one, or one of another type.
    """
    if given is UNSET:
        return {}
    known: dict[str, Any] = {}
    for name, value in given.items():
        kind = kinds.get(name)
        if kind is None and name not in IGNORED:
            raise InvalidInput(
                f"found the parameter {quote(name)} of {what}, which nothing here understands",
                hint=HINTS.get(name, f"it may have {' and '.join(map(quote, kinds))}"),
            )
        if kind is not None and type(value) is not kind:
            raise InvalidInput(
                f"parameter {quote(name)} of {what}: found {found(value)}, expected {_KIND_WORDS[kind]}"
            )
        known[name] = value
    return known


_KIND_WORDS = {bool: "true or false", int: "an integer"}


def _check_rows(count: int, width: int) -> None:
    if not count:
        raise InvalidInput("found no rows, expected at least one")
    if count * width > VALUES_MAX:
        raise PayloadTooLarge(
            f"found {count} rows of {width} features, expected at most {VALUES_MAX} values in one request",
            hint="send them in several requests, or as a batch job",
        )


def _count_names(head: bytes) -> int:
    """Return how many names stand in objects, or more where texts hold the like."""
    if len(head) < LARGE_BYTES:
        return head.count(b'":')
    octets = np.frombuffer(head, np.uint8)
    return int(np.count_nonzero((octets[:-1] == QUOTE) & (octets[1:] == COLON)))


def _colons(request: _Request) -> int:
    """Return how many names the objects of a request have when none stands twice."""
    parts: Iterable[_Input | _Output] = [*request.inputs, *(request.outputs or ())]
    count = 1 + (request.id is not UNSET) + (request.outputs is not UNSET) + _length(request.parameters)
    for part in parts:
        named = 3 + (part.data is not UNSET) if isinstance(part, _Input) else 1
        count += named + _length(part.parameters)
    return count


def _length(parameters: Parameters) -> int:
    return 0 if parameters is UNSET else 1 + len(parameters)
