"""KServe V1, which is TensorFlow Serving's and Vertex AI's form too: `POST /v1/models/{endpoint}:predict`.

Source: KServe, "V1 Protocol"; Vertex AI, "Custom container requirements for prediction" (`instances` and
`parameters`; a model takes no parameters, so that only empty ones are accepted).
"""

from __future__ import annotations

import re
from functools import partial

import msgspec

from modelport.access.scopes import Scope
from modelport.dataplane.heads import RequestHead
from modelport.dataplane.pages import Page
from modelport.dataplane.protocols.ask import COMMON_HEADERS, Ask, read_ask
from modelport.dataplane.protocols.served import Served
from modelport.dataplane.replies import JSON, build, plain_error, refuse_plainly
from modelport.dataplane.tables import Tables
from modelport.domain.errors import ModelportError, Unavailable, UnsupportedMediaType
from modelport.runtime.codecs import Decoder, Encoder, Unpacking
from modelport.runtime.model import LoadedModel

PREDICT = re.compile(r"/v1/models/([^/:]{1,200}):predict")
ABOUT = re.compile(r"/v1/models/([^/:]{1,200})")


class KServeV1:
    """The V1 way of asking.

    Args:
        tables: What is served, for the list of models.
        limits: What packed bodies may unpack to.
    """

    name = "v1"
    forwards = False
    streams = False
    asynchronous = False
    timeout_s_max: float | None = None
    headers: tuple[str, ...] = COMMON_HEADERS

    def __init__(self, tables: Tables, limits: Unpacking) -> None:
        self._served = Served(tables)
        self._limits = limits

    def claim(self, head: RequestHead) -> Ask | None:
        """Return what a request asks for, None when its path belongs to another protocol.

        Raises:
            InvalidInput: A header of the request cannot be understood.
            UnsupportedMediaType: The body is packed in a way nothing unpacks, or not announced as JSON.
        """
        match = PREDICT.fullmatch(head.path)
        if match is None:
            return None
        said = head.headers.get("content-type", JSON)
        if said.partition(";")[0].strip().lower() != JSON:
            raise UnsupportedMediaType(f"nothing reads Content-Type {said[:80]!r} here", hint=f"use {JSON}")
        return read_ask(self, head, match[1], content_type=said)

    def page(self, path: str) -> Page | None:
        """Return the list of models, or whether one is ready."""
        if path == "/v1/models":
            return Page(Scope.ENDPOINTS_INVOKE, self._show_models)
        match = ABOUT.fullmatch(path)
        return match and Page(Scope.ENDPOINTS_INVOKE, partial(self._show_model, match[1]))

    def codecs(self, model: LoadedModel, ask: Ask, version: str) -> tuple[Decoder, Encoder]:
        """Return how the body is read and the reply written."""
        del version
        return model.decoder_for(ask.content_type, ask.encoding, self._limits), model.encoder_for(JSON)

    def refuse(self, error: ModelportError) -> bytes:
        """Return the reply that says what is wrong."""
        return refuse_plainly(error)

    def refuse_form(self, status: int, reason: str) -> bytes:
        """Return the reply to a request that is no proper HTTP, or too large."""
        return plain_error(status, reason)

    def _show_models(self) -> bytes:
        return build(200, msgspec.json.encode({"models": self._served.names()}))

    def _show_model(self, name: str) -> bytes:
        try:
            self._served.check_ready(name, None)
        except Unavailable as error:
            document = {"name": name, "ready": False, "error": error.message}
            return build(503, msgspec.json.encode(document), headers=[("Retry-After", "5")])
        except ModelportError as error:
            return refuse_plainly(error)
        return build(200, msgspec.json.encode({"name": name, "ready": True}))
