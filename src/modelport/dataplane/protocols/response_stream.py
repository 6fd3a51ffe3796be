"""SageMaker's runtime, answered in parts: `POST /endpoints/{endpoint}/invocations-response-stream`.

Code in replicas is heard as it speaks, each piece of a chunked reply in a frame of its own; a model in memory
answers at once, in one.

Source: SageMaker runtime API, InvokeEndpointWithResponseStream (Accept travels as `X-Amzn-SageMaker-Accept`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from modelport.dataplane.forwarded import PASSED_ON
from modelport.dataplane.protocols.ask import COMMON_HEADERS, Ask
from modelport.dataplane.protocols.invocations import Invocations
from modelport.runtime.codecs import Decoder, Encoder, MixedReply
from modelport.runtime.model import LoadedModel


class ResponseStream(Invocations):
    """SageMaker's way of asking for an answer in parts.

    Args:
        limits: What packed bodies may unpack to.
    """

    name = "response-stream"
    path = re.compile(r"/endpoints/([^/]{1,200})/invocations-response-stream")
    accept = "x-amzn-sagemaker-accept"
    headers: tuple[str, ...] = (*COMMON_HEADERS, *PASSED_ON, accept)
    streams = True

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
