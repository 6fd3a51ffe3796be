"""SageMaker's runtime, answered in parts: `POST /endpoints/{endpoint}/invocations-response-stream`.

Code in replicas is heard as it speaks, each piece of a chunked reply in a frame of its own; a model in memory
answers at once, in one.

Source: SageMaker runtime API, InvokeEndpointWithResponseStream (Accept travels as `X-Amzn-SageMaker-Accept`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from modelport.dataplane.forward import PASSED_ON
from modelport.dataplane.heads import RequestHead
from modelport.dataplane.protocols.ask import COMMON_HEADERS, Ask, read_ask
from modelport.dataplane.protocols.invocations import Invocations
from modelport.runtime.codecs import Decoder, Encoder, MixedReply
from modelport.runtime.model import LoadedModel

PATH = re.compile(r"/endpoints/([^/]{1,200})/invocations-response-stream")
ACCEPT = "x-amzn-sagemaker-accept"


class ResponseStream(Invocations):
    """SageMaker's way of asking for an answer in parts.

    Args:
        limits: What packed bodies may unpack to.
    """

    name = "response-stream"
    headers: tuple[str, ...] = (*COMMON_HEADERS, *PASSED_ON, ACCEPT)
    streams = True

    def claim(self, head: RequestHead) -> Ask | None:
        """Return what a request asks for, None when its path belongs to another protocol.

        Raises:
            InvalidInput: A header of the request cannot be understood.
            UnsupportedMediaType: The body is packed in a way nothing unpacks.
        """
        match = PATH.fullmatch(head.path)
        if match is None:
            return None
        headers = head.headers
        return read_ask(
            self, head, match[1], content_type=headers.get("content-type"), accept=headers.get(ACCEPT)
        )

    def codecs(self, model: LoadedModel, ask: Ask, version: str) -> tuple[Decoder, Encoder]:
        """Return how the body is read and the reply written."""
        decoder, encoder = super().codecs(model, ask, version)
        return decoder, Typed(encoder)


class Typed:
    """Writes replies that know their media type, for it does not stand in the head's Content-Type.

    Args:
        encoder: Writes them.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encode: Callable[..., bytes] = encoder.encode
        self.content_type = encoder.content_type
        self.off_loop = encoder.off_loop

    def encode(self, *outputs: Any) -> bytes:
        """Return the reply."""
        body = self._encode(*outputs)
        if isinstance(body, MixedReply):
            return body
        reply = MixedReply(body)
        reply.content_type, reply.fields = self.content_type, b""
        return reply
