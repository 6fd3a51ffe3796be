"""Open Inference Protocol V2: `POST /v2/models/{endpoint}[/versions/{version}]/infer`, health and metadata.

Source: Open Inference Protocol V2, "HTTP/REST"; Triton, "Binary Tensor Data Extension" (the header
Inference-Header-Content-Length).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import msgspec

from modelport import __version__
from modelport.access.scopes import Scope
from modelport.dataplane.heads import RequestHead
from modelport.dataplane.pages import Page
from modelport.dataplane.protocols.ask import COMMON_HEADERS, Ask, read_ask
from modelport.dataplane.protocols.served import Served
from modelport.dataplane.replies import build, plain_error, refuse_plainly
from modelport.dataplane.router import version_of
from modelport.dataplane.tables import Tables
from modelport.domain.errors import InvalidInput, ModelportError, UnsupportedMediaType
from modelport.runtime.codecs import (
    TRITON_TYPE,
    Decoder,
    Encoder,
    OpenInferenceEncoder,
    Unpacking,
    input_tensors,
    output_tensors,
)
from modelport.runtime.model import LoadedModel

MODEL = r"/v2/models/([^/]{1,200})(?:/versions/([^/]{1,64}))?"
INFER = re.compile(MODEL + "/infer")
ABOUT = re.compile(MODEL + "(/ready)?")
JSON_LENGTH = "inference-header-content-length"
JSON_LENGTH_FORM = re.compile(r"[0-9]{1,18}", re.ASCII)
BODY_TYPES = ("application/json", "application/octet-stream")
MIXED_FIELDS = b"Content-Type: application/octet-stream\r\nInference-Header-Content-Length: %d\r\n"


class OpenInference:
    """The V2 way of asking.

    Args:
        tables: What is served, for metadata.
        ready: Replies to readiness checks of the whole worker.
        limits: What packed bodies may unpack to.
    """

    name = "v2"
    forwards = False
    streams = False
    asynchronous = False
    timeout_s_max: float | None = None
    headers: tuple[str, ...] = (*COMMON_HEADERS, JSON_LENGTH)

    def __init__(self, tables: Tables, ready: Callable[[], bytes], limits: Unpacking) -> None:
        self._served = Served(tables)
        self._limits = limits
        self._pages = {
            "/v2": Page(Scope.PUBLIC, _show_server),
            "/v2/health/live": Page(Scope.PUBLIC, lambda: build(200, b'{"live":true}')),
            "/v2/health/ready": Page(Scope.PUBLIC, ready),
        }

    def claim(self, head: RequestHead) -> Ask | None:
        """Return what a request asks for, None when its path belongs to another protocol.

        Raises:
            InvalidInput: A header of the request cannot be understood.
            UnsupportedMediaType: The body is packed in a way nothing unpacks, or is announced as neither
                JSON nor binary.
        """
        match = INFER.fullmatch(head.path)
        if match is None:
            return None
        said = head.headers.get("content-type", BODY_TYPES[0])
        if said.partition(";")[0].strip().lower() not in BODY_TYPES:
            raise UnsupportedMediaType(
                f"nothing reads Content-Type {said[:80]!r} here", hint=f"use one of {', '.join(BODY_TYPES)}"
            )
        length = head.headers.get(JSON_LENGTH)
        content_type = TRITON_TYPE
        if length is not None:
            if not JSON_LENGTH_FORM.fullmatch(length):
                raise InvalidInput("Inference-Header-Content-Length: expected a number of bytes")
            content_type = f"{TRITON_TYPE};json-header-size={int(length)}"
        return read_ask(self, head, match[1], content_type=content_type, version=match[2])

    def page(self, path: str) -> Page | None:
        """Return health of the server, its metadata, or that of a model."""
        page = self._pages.get(path)
        match = None if page is not None else ABOUT.fullmatch(path)
        if match is None:
            return page
        show = self._show_ready if match[3] else self._show_model
        return Page(Scope.ENDPOINTS_INVOKE, partial(show, match[1], match[2]))

    def codecs(self, model: LoadedModel, ask: Ask, version: str) -> tuple[Decoder, Encoder]:
        """Return how the body is read and the reply written."""
        encoder = OpenInferenceEncoder(
            model.signature.output, ask.endpoint, version_of(version), MIXED_FIELDS
        )
        return model.decoder_for(ask.content_type, ask.encoding, self._limits), encoder

    def refuse(self, error: ModelportError) -> bytes:
        """Return the reply that says what is wrong."""
        return refuse_plainly(error)

    def refuse_form(self, status: int, reason: str) -> bytes:
        """Return the reply to a request that is no proper HTTP, or too large."""
        return plain_error(status, reason)

    def _show_model(self, name: str, version: str | None) -> bytes:
        try:
            signature = self._served.variant(name, version).signature()
            document = {
                "name": name,
                "versions": self._served.versions(name) if version is None else [version],
                "platform": "onnx_onnxv1",
                "inputs": input_tensors(signature),
                "outputs": output_tensors(signature.output),
            }
        except ModelportError as error:
            return refuse_plainly(error)
        return build(200, msgspec.json.encode(document))

    def _show_ready(self, name: str, version: str | None) -> bytes:
        try:
            self._served.check_ready(name, version)
        except ModelportError as error:
            return refuse_plainly(error)
        return build(200, msgspec.json.encode({"name": name, "ready": True}))


def _show_server() -> bytes:
    document = {"name": "modelport", "version": __version__, "extensions": ["binary_tensor_data"]}
    return build(200, msgspec.json.encode(document))
