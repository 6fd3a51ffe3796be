"""Replies of the Open Inference Protocol V2: JSON, or JSON with binary tensors behind it.

    {"model_name": "flights", "model_version": "3", "id": "42",
     "outputs": [{"name": "predictions", "datatype": "BYTES", "shape": [2], "data": ["late", "on time"]}, …]}

`parameters` says that FP32 or FP16 inputs were widened: `{"widened_to_fp64": "FP32"}`. In JSON NaN is `null`.

Source: Open Inference Protocol V2, "Inference Response JSON Object"; Triton, "Binary Tensor Data Extension".
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from modelport.domain.signature import Output
from modelport.runtime.codecs.open_inference import HEAD_SIZE, TRITON, Wish
from modelport.runtime.codecs.tensors import LENGTH_BYTES, PREDICTIONS, output_tensors
from modelport.runtime.outputs import Outputs

ARRAY_VALUES_MIN = 512  # from here orjson on the array itself is faster than lists of Python numbers
EVERYTHING = Wish()
to_json = msgspec.json.Encoder().encode


class MixedReply(bytes):
    """A reply with binary tensors behind its JSON.

    Attributes:
        content_type: A media type that tells the length of the JSON.
        fields: The header lines that tell it in the protocol's way, each with its line end.
    """

    content_type: str
    fields: bytes


class OpenInferenceEncoder:
    """Writes V2 replies.

    Args:
        output: What the model answers.
        model_name: As the client calls it.
        model_version: Which one answers: "3".
        mixed_fields: Header lines of replies with binary tensors, with one `%d` for the length of the JSON.
    """

    content_type = "application/json"
    off_loop = False

    def __init__(self, output: Output, model_name: str, model_version: str, mixed_fields: bytes) -> None:
        self._fields = mixed_fields
        self._lead = b'{"model_name":%b,"model_version":%b,' % (to_json(model_name), to_json(model_version))
        self._tensors = {
            tensor.name: _Writer(tensor.name, tensor.datatype, output) for tensor in output_tensors(output)
        }

    def encode(self, outputs: Outputs, start: int, stop: int, wish: Wish | None = None) -> bytes:
        """Return the reply for rows `start` to `stop` (exclusive), a `MixedReply` with binary tensors."""
        wish = wish or EVERYTHING
        wanted = wish.outputs
        if wanted is None:
            wanted = tuple([(name, wish.binary) for name in self._tensors])
        heads: list[bytes] = []
        blobs: list[bytes] = []
        for name, binary in wanted:
            writer = self._tensors[name]
            if binary:
                blob = writer.binary(outputs, start, stop)
                blobs.append(blob)
                heads.append(writer.binary_head % (stop - start, len(blob)))
            else:
                heads.append(writer.json(outputs, start, stop))
        head = b'%b%b%b"outputs":[%b]}' % (
            self._lead,
            b"" if wish.id is None else b'"id":%b,' % to_json(wish.id),
            b'"parameters":{"widened_to_fp64":%b},' % to_json(wish.widened) if wish.widened else b"",
            b",".join(heads),
        )
        if not blobs:
            return head
        reply = MixedReply(b"".join([head, *blobs]))
        reply.content_type = f"{TRITON};{HEAD_SIZE}={len(head)}"
        reply.fields = self._fields % len(head)
        return reply


class _Writer:
    """Writes one output tensor.

    Args:
        name: Of the tensor.
        datatype: Of the tensor.
        output: What the model answers.
    """

    def __init__(self, name: str, datatype: str, output: Output) -> None:
        self._first = name == PREDICTIONS
        self._words: list[bytes] = []
        self._blobs: list[bytes] = []
        self._values: NDArray[Any] | None = None
        width = 1
        if self._first and output.labels:
            if datatype == "BYTES":
                texts = [str(label).encode() for label in output.labels]
                self._words = [to_json(text.decode()) for text in texts]
                self._blobs = [len(text).to_bytes(LENGTH_BYTES, "little") + text for text in texts]
            else:
                self._words = [to_json(label) for label in output.labels]
                self._values = np.array(output.labels, {"BOOL": "?", "INT64": "<i8", "FP64": "<f8"}[datatype])
        else:
            width = len(output.targets if self._first else output.labels)
        self._width = width
        more = b"" if self._first and width == 1 else b",%d" % width
        lead = b'{"name":%b,"datatype":%b,"shape":[' % (to_json(name), to_json(datatype))
        self._json_head = lead.replace(b"%", b"%%") + b"%d" + more + b'],"data":%b}'
        self.binary_head = (
            lead.replace(b"%", b"%%") + b"%d" + more + b'],"parameters":{"binary_data_size":%d}}'
        )

    def json(self, outputs: Outputs, start: int, stop: int) -> bytes:
        """Return the tensor with its data in JSON, row by row."""
        return self._json_head % (stop - start, self._data(outputs, start, stop))

    def _data(self, outputs: Outputs, start: int, stop: int) -> bytes:
        words = self._words
        if words:
            return b"[%b]" % b",".join([words[label] for label in outputs.lists()[0][start:stop]])
        if (stop - start) * self._width >= ARRAY_VALUES_MIN:
            return orjson.dumps(self._numbers(outputs, start, stop), option=orjson.OPT_SERIALIZE_NUMPY)
        rows: Any = outputs.lists()[0 if self._first else 1]
        if stop - start == 1:
            return to_json(rows[start])
        return to_json([value for row in rows[start:stop] for value in row])

    def binary(self, outputs: Outputs, start: int, stop: int) -> bytes:
        """Return the tensor's data as bytes, row by row."""
        blobs = self._blobs
        if blobs:
            return b"".join([blobs[label] for label in _labels(outputs, start, stop)])
        if self._values is not None:
            taken: bytes = self._values[_labels(outputs, start, stop)].tobytes()
            return taken
        return self._numbers(outputs, start, stop).tobytes()

    def _numbers(self, outputs: Outputs, start: int, stop: int) -> NDArray[np.float64]:
        """Return the numbers, row by row, as one flat contiguous array."""
        table = outputs.predictions if self._first else outputs.probabilities
        assert table is not None  # noqa: S101 - the tensor is among those that the model gives
        return np.ascontiguousarray(table[start:stop]).reshape(-1)


def _labels(outputs: Outputs, start: int, stop: int) -> list[int]:
    """Return the label codes of rows `start` to `stop` (exclusive), without the probabilities' cost."""
    assert outputs.label is not None  # noqa: S101 - a classifier's outputs hold labels
    codes: list[int] = outputs.label[start:stop].tolist()
    return codes
