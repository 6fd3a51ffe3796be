"""SageMaker's runtime: `POST /endpoints/{endpoint}/invocations`.

Source: SageMaker runtime API, InvokeEndpoint (an unknown endpoint or variant is a ValidationError, 400; a
model's failure is a ModelError, 424).
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from modelport.dataplane.forwarded import PASSED_ON, ReplicaFailed
from modelport.dataplane.heads import RequestHead
from modelport.dataplane.pages import Page
from modelport.dataplane.protocols.ask import COMMON_HEADERS, COMPONENT, TARGET_MODEL, Ask, read_ask
from modelport.dataplane.replies import JSON, build, describe, fields_of, place_of, status_of
from modelport.dataplane.router import version_of
from modelport.domain.errors import ModelFailed, ModelportError, NotAcceptable, NotFound
from modelport.runtime.codecs import TRITON_TYPE, Decoder, Encoder, OpenInferenceEncoder, Unpacking
from modelport.runtime.model import LoadedModel

MIXED_FIELDS = f"Content-Type: {TRITON_TYPE};json-header-size=%d\r\n".encode("ascii")

ERROR_TYPES = {
    401: "AccessDeniedException",
    403: "AccessDeniedException",
    424: "ModelError",
    500: "InternalFailure",
    503: "ServiceUnavailable",
    504: "ModelError",
}
ERROR_TYPES_BY_CODE = {
    "bad_signature": "InvalidSignatureException",
    "clock_skewed": "InvalidSignatureException",
    "signature_expired": "InvalidSignatureException",
    "unknown_key": "UnrecognizedClientException",
    "not_ready": "ModelNotReadyException",
    "throttled": "ThrottlingException",
}


class Invocations:
    """SageMaker's way of asking.

    Args:
        limits: What packed bodies may unpack to.
    """

    name = "invocations"
    path = re.compile(r"/endpoints/([^/]{1,200})/invocations")
    accept = "accept"
    headers: tuple[str, ...] = (*COMMON_HEADERS, *PASSED_ON, TARGET_MODEL, COMPONENT, accept)
    forwards = True
    streams = False
    asynchronous = False
    timeout_s_max: float | None = None

    def __init__(self, limits: Unpacking) -> None:
        self._limits = limits

    def claim(self, head: RequestHead) -> Ask | None:
        """Return what a request asks for, None when its path belongs to another protocol.

        Raises:
            InvalidInput: A header of the request cannot be understood.
            UnsupportedMediaType: The body is packed in a way nothing unpacks.
        """
        match = self.path.fullmatch(head.path)
        if match is None:
            return None
        headers = head.headers
        return read_ask(
            self,
            head,
            match[1],
            content_type=headers.get("content-type"),
            accept=headers.get(self.accept),
        )

    def codecs(self, model: LoadedModel, ask: Ask, version: str) -> tuple[Decoder, Encoder]:
        """Return how the body is read and the reply written.

        A body of the Open Inference Protocol V2, as Triton on SageMaker takes it, is answered in kind.
        """
        decoder = model.decoder_for(ask.content_type, ask.encoding, self._limits)
        media = (ask.content_type or "").partition(";")[0].strip().lower()
        if media != TRITON_TYPE:
            return decoder, model.encoder_for(ask.accept)
        accept = ask.accept or ""
        if TRITON_TYPE not in accept.lower() and model.encoder_for(accept).content_type != JSON:
            raise NotAcceptable(
                f"found Accept: {accept[:80]!r} with a body of the Open Inference Protocol V2",
                hint="it is answered in kind: leave Accept out",
            )
        output, number = model.signature.output, version_of(version)
        return decoder, OpenInferenceEncoder(output, ask.endpoint, number, MIXED_FIELDS)

    def page(self, path: str) -> Page | None:
        """Return None: the protocol has no pages."""
        del path
        return None

    def refuse(self, error: ModelportError) -> bytes:
        """Return the reply that says what is wrong, in SageMaker's form.

        Besides `Message` it holds what programs may want: `code`, and `row` and `feature` where the error
        has them.
        """
        status = 400 if isinstance(error, NotFound) else status_of(error)
        document: dict[str, Any] = {"Message": describe(error), "code": error.code, **place_of(error)}
        kind = ERROR_TYPES_BY_CODE.get(error.code) or ERROR_TYPES.get(status, "ValidationError")
        headers = [("x-amzn-errortype", kind), *fields_of(error)]
        if isinstance(error, ModelFailed):
            document.update(OriginalStatusCode=500, OriginalMessage=error.message)
        return build(status, msgspec.json.encode(document), headers=headers)

    def refuse_form(self, status: int, reason: str) -> bytes:
        """Return the reply to a request that is no proper HTTP, or too large."""
        kind = ERROR_TYPES.get(status, "ValidationError")
        return build(status, msgspec.json.encode({"Message": reason}), headers=[("x-amzn-errortype", kind)])


def refuse_failed(failed: ReplicaFailed) -> bytes:
    """Return the reply that says how code in a replica failed.

    What is not known is left out, `LogStreamArn` always: there is no such stream.
    """
    document: dict[str, Any] = {"Message": failed.message, "code": ModelFailed.code}
    if failed.status is not None:
        document["OriginalStatusCode"] = failed.status
    if failed.original is not None:
        document["OriginalMessage"] = failed.original
    return build(424, msgspec.json.encode(document), headers=[("x-amzn-errortype", ERROR_TYPES[424])])
