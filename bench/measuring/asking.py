"""How each server is asked, and how its answer is read: one dialect for each form of body.

A dialect turns rows into a whole HTTP request, and a reply into probabilities `[N, K]`.
"""

from __future__ import annotations

import http.client
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEADER_LENGTH = "Inference-Header-Content-Length"
Rows = Any  # float64 [N, F], or a list of records


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way of asking.

    Args:
        name: "json" or "binary".
        path: Of the request.
        encode: Rows to body and further headers.
        read: Body and headers (lower case) of a reply to probabilities.
        content_type: Of the body.
        narrow: Matrices are sent as float32: the original has to be asked about the rounded rows.
    """

    name: str
    path: str
    encode: Callable[[Rows], tuple[bytes, Mapping[str, str]]]
    read: Callable[[bytes, Mapping[str, str]], NDArray[np.float64]]
    content_type: str = "application/json"
    narrow: bool = False

    def sent(self, rows: Rows) -> Rows:
        """Return the rows as the server gets them."""
        narrow = self.narrow and isinstance(rows, np.ndarray)
        return rows.astype(np.float32).astype(np.float64) if narrow else rows

    def request(self, rows: Rows, host: str = "127.0.0.1") -> bytes:
        """Return a whole request."""
        body, more = self.encode(rows)
        headers = {"Host": host, "Content-Type": self.content_type, **more, "Content-Length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {self.path} HTTP/1.1\r\n{lines}\r\n".encode() + body


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def ask(port: int, dialect: Dialect, rows: Rows, *, timeout_s: float = 30.0) -> Reply:
    """Ask once, on a connection of its own.

    Raises:
        OSError: There was no answer.
    """
    body, more = dialect.encode(rows)
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        client.request("POST", dialect.path, body, {"Content-Type": dialect.content_type, **more})
        reply = client.getresponse()
        headers = {name.lower(): value for name, value in reply.getheaders()}
        return Reply(reply.status, reply.read(), headers)
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        client.close()


def json_dialect(path: str, key: str | None = "instances", *answers: str) -> Dialect:
    """Return the dialect of `{key: rows}`, answered by `{answer: probabilities}`.

    Args:
        path: Of the request.
        key: Under which rows are sent; None: the bare list is the body.
        answers: Where probabilities may stand, the first found counts; none given: the reply itself.
    """

    def encode(rows: Rows) -> tuple[bytes, Mapping[str, str]]:
        listed = rows.tolist() if isinstance(rows, np.ndarray) else list(rows)
        return json.dumps(listed if key is None else {key: listed}).encode(), {}

    def read(body: bytes, _: Mapping[str, str]) -> NDArray[np.float64]:
        document = json.loads(body)
        name = next((name for name in answers if name in document), None) if answers else None
        return np.asarray(document if name is None else document[name], dtype=np.float64)

    return Dialect("json", path, encode, read)


def v2_json(path: str) -> Dialect:
    """Return Open Inference Protocol V2 in JSON, one tensor `input` of FP64."""

    def encode(rows: Rows) -> tuple[bytes, Mapping[str, str]]:
        tensor = {"name": "input", "shape": list(rows.shape), "datatype": "FP64"}
        return json.dumps({"inputs": [{**tensor, "data": rows.ravel().tolist()}]}).encode(), {}

    return Dialect("json", path, encode, read_v2)


def v2_binary(path: str) -> Dialect:
    """Return Open Inference Protocol V2 with the binary tensor extension, both ways.

    A matrix is one tensor `input` of FP32; records are one tensor for each column, FP64 or BYTES.

    Source: Triton Inference Server, extension_binary_data.md.
    """

    def encode(rows: Rows) -> tuple[bytes, Mapping[str, str]]:
        tensors, data = _matrix_tensor(rows) if isinstance(rows, np.ndarray) else _column_tensors(rows)
        wanted = [{"name": "probabilities", "parameters": {"binary_data": True}}]
        head = json.dumps({"inputs": tensors, "outputs": wanted}).encode()
        return head + data, {HEADER_LENGTH: str(len(head))}

    return Dialect("binary", path, encode, read_v2, "application/octet-stream", narrow=True)


def read_v2(body: bytes, headers: Mapping[str, str]) -> NDArray[np.float64]:
    """Return the probabilities of a V2 reply, in JSON or binary."""
    length = int(headers.get(HEADER_LENGTH.lower(), len(body)))
    outputs = json.loads(body[:length])["outputs"]
    at, found = length, {}
    for output in outputs:
        size = (output.get("parameters") or {}).get("binary_data_size")
        if size is None:
            found[output["name"]] = np.asarray(output["data"], dtype=object).reshape(output["shape"])
            continue
        kind = {"FP64": "<f8", "FP32": "<f4", "INT64": "<i8"}.get(output["datatype"])
        if kind is not None:
            found[output["name"]] = np.frombuffer(body[at : at + size], kind).reshape(output["shape"])
        at += size
    probabilities = found.get("probabilities", next(reversed(found.values())))
    return np.asarray(probabilities, dtype=np.float64)


def _matrix_tensor(rows: NDArray[np.float64]) -> tuple[list[dict[str, Any]], bytes]:
    data = rows.astype("<f4").tobytes()
    about = {"name": "input", "shape": list(rows.shape), "datatype": "FP32"}
    return [{**about, "parameters": {"binary_data_size": len(data)}}], data


def _column_tensors(records: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], bytes]:
    tensors, parts = [], []
    for name in records[0]:
        values = [record[name] for record in records]
        words = any(isinstance(value, str) for value in values)
        if words:
            texts = [str(value or "").encode() for value in values]
            data = b"".join(struct.pack("<I", len(text)) + text for text in texts)
        else:
            data = np.array([np.nan if value is None else value for value in values], "<f8").tobytes()
        tensors.append(
            {
                "name": name,
                "shape": [len(values), 1],
                "datatype": "BYTES" if words else "FP64",
                "parameters": {"binary_data_size": len(data)},
            }
        )
        parts.append(data)
    return tensors, b"".join(parts)
