"""SageMaker's runtime: `POST /endpoints/{endpoint}/invocations`.

Source: SageMaker runtime API, InvokeEndpoint (an unknown endpoint or variant is a ValidationError, 400; a
model's failure is a ModelError, 424).
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from modelport.dataplane.heads import RequestHead
from modelport.dataplane.protocols.ask import Ask
from modelport.dataplane.replies import Header, build, describe, status_of
from modelport.domain.errors import (
    InvalidInput,
    ModelFailed,
    ModelportError,
    NotFound,
    Unavailable,
    UnsupportedMediaType,
)
from modelport.runtime.codecs import Decoder, Encoder
from modelport.runtime.model import LoadedModel

PATH = re.compile(r"/endpoints/([^/]{1,200})/invocations")
TARGET_VARIANT = "x-amzn-sagemaker-target-variant"
INFERENCE_ID = "x-amzn-sagemaker-inference-id"
TIMEOUT = "x-modelport-timeout-ms"
INFERENCE_ID_FORM = re.compile(r"[\x21-\x7e]{1,64}")
TIMEOUT_FORM = re.compile(r"[1-9][0-9]{0,8}")

ERROR_TYPES = {
    401: "AccessDeniedException",
    403: "AccessDeniedException",
    424: "ModelError",
    500: "InternalFailure",
    503: "ServiceUnavailable",
    504: "ModelError",
}


class Invocations:
    """SageMaker's way of asking."""

    name = "invocations"
    headers: tuple[str, ...] = (
        "content-type",
        "content-encoding",
        "accept",
        TARGET_VARIANT,
        INFERENCE_ID,
        TIMEOUT,
    )

    def claim(self, head: RequestHead) -> Ask | None:
        """Return what a request asks for, None when its path belongs to another protocol.

        Raises:
            InvalidInput: A header of the request cannot be understood.
            UnsupportedMediaType: The body is packed.
        """
        match = PATH.fullmatch(head.path)
        if match is None:
            return None
        headers = head.headers
        packed = headers.get("content-encoding", "identity")
        if packed.lower() not in ("identity", ""):
            raise UnsupportedMediaType(
                f"Content-Encoding: nothing unpacks {packed!r}", hint="send the body as it is"
            )
        return Ask(
            self,
            match[1],
            variant=headers.get(TARGET_VARIANT),
            content_type=headers.get("content-type"),
            accept=headers.get("accept"),
            inference_id=_inference_id(headers.get(INFERENCE_ID)),
            timeout_s=_timeout_s(headers.get(TIMEOUT)),
        )

    def codecs(self, model: LoadedModel, ask: Ask) -> tuple[Decoder, Encoder]:
        """Return how the body is read and the reply written."""
        return model.decoder_for(ask.content_type), model.encoder_for(ask.accept)

    def refuse(self, error: ModelportError) -> bytes:
        """Return the reply that says what is wrong, in SageMaker's form.

        Besides `Message` it holds what programs may want: `code`, and `row` and `feature` where the error
        has them.
        """
        status = 400 if isinstance(error, NotFound) else status_of(error)
        document: dict[str, Any] = {"Message": describe(error), "code": error.code}
        headers: list[Header] = [("x-amzn-errortype", ERROR_TYPES.get(status, "ValidationError"))]
        if isinstance(error, InvalidInput):
            if error.row is not None:
                document["row"] = error.row
            if error.feature is not None:
                document["feature"] = error.feature
        if isinstance(error, ModelFailed):
            document.update(OriginalStatusCode=500, OriginalMessage=error.message)
        if isinstance(error, Unavailable):
            headers.append(("Retry-After", str(max(1, round(error.retry_after_s)))))
        if status == 401:
            headers.append(("WWW-Authenticate", "Bearer"))
        return build(status, msgspec.json.encode(document), headers=headers)

    def refuse_form(self, status: int, reason: str) -> bytes:
        """Return the reply to a request that is no proper HTTP, or too large."""
        kind = ERROR_TYPES.get(status, "ValidationError")
        return build(status, msgspec.json.encode({"Message": reason}), headers=[("x-amzn-errortype", kind)])


def _inference_id(value: str | None) -> str | None:
    if value is None or INFERENCE_ID_FORM.fullmatch(value):
        return value
    raise InvalidInput(
        "X-Amzn-SageMaker-Inference-Id: expected 1 to 64 printable ASCII characters, no spaces"
    )


def _timeout_s(value: str | None) -> float | None:
    if value is None:
        return None
    if TIMEOUT_FORM.fullmatch(value):
        return int(value) / 1000
    raise InvalidInput("X-Modelport-Timeout-Ms: expected a positive whole number of milliseconds")
