"""Default codecs of AWS's toolkits: JSON, CSV, npy and npz in; JSON, CSV and npy out.

Source: sagemaker-inference-toolkit, `decoder.py` and `encoder.py`; sagemaker-containers, `_encoders.py`.
"""

from __future__ import annotations

import csv
import io
import json
import os
from typing import Any

JSON = "application/json"
CSV = "text/csv"
NPY = "application/x-npy"
NPZ = "application/x-npz"


class UnsupportedFormat(Exception):
    """A body that cannot be read, or a media type that nobody reads or writes here.

    Args:
        message: What was found and what was expected.
        status: 400 for a body that is not what it says, 415 for its media type, 406 for the reply's.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def default_accept(usual: str) -> str:
    """Return what a reply is written in where the request does not say.

    Args:
        usual: What the framework's container writes.
    """
    return os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", usual)


def decode(body: Any, content_type: str) -> Any:
    """Return a body as a numpy array; CSV becomes numbers where it can.

    Args:
        body: Text of JSON and CSV, else bytes.
        content_type: Its media type.

    Raises:
        UnsupportedFormat: Nobody reads it here, or it is not what it says.
    """
    try:
        return _decode(body, content_type)
    except (ValueError, EOFError, KeyError, IndexError, OSError) as error:
        raise UnsupportedFormat(f"the body is not {content_type}: {error}", 400) from error


def _decode(body: Any, content_type: str) -> Any:
    import numpy as np

    kind = _media(content_type)
    if kind == JSON:
        return np.array(json.loads(body))
    if kind == CSV:
        return _rows(body)
    if kind == NPY:
        return np.load(io.BytesIO(_raw(body)), allow_pickle=False)
    if kind == NPZ:
        with np.load(io.BytesIO(_raw(body)), allow_pickle=False) as arrays:
            return arrays[arrays.files[0]]
    raise UnsupportedFormat(
        f"found Content-Type {content_type!r}, expected {JSON}, {CSV}, {NPY} or {NPZ}, or an input_fn", 415
    )


def encode(prediction: Any, accept: str) -> Any:
    """Return a prediction as text or bytes.

    Args:
        prediction: An array, a list or a number.
        accept: The media type wanted.

    Raises:
        UnsupportedFormat: Nobody writes it here.
    """
    import numpy as np

    kind = _media(accept)
    if kind == JSON:
        return json.dumps(prediction.tolist() if hasattr(prediction, "tolist") else prediction)
    if kind == CSV:
        stream = io.StringIO()
        writer = csv.writer(stream)
        for row in np.asarray(prediction).tolist():
            writer.writerow(row if isinstance(row, list) else [row])
        return stream.getvalue()
    if kind == NPY:
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(prediction), allow_pickle=False)
        return buffer.getvalue()
    raise UnsupportedFormat(f"found Accept {accept!r}, expected {JSON}, {CSV} or {NPY}, or an output_fn", 406)


def _rows(text: str) -> Any:
    import numpy as np

    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    try:
        return np.array([[float(cell) if cell.strip() else float("nan") for cell in row] for row in rows])
    except ValueError:
        return np.array(rows)


def _raw(body: Any) -> bytes:
    return body.encode("latin-1") if isinstance(body, str) else body


def _media(text: str) -> str:
    return text.partition(";")[0].strip().lower()
