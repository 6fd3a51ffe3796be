"""What a request's head asks for, whatever the protocol."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from modelport.dataplane.heads import RequestHead
from modelport.dataplane.lanes import CodecKey
from modelport.dataplane.pages import Page
from modelport.domain.errors import InvalidInput, ModelportError
from modelport.runtime.codecs import Decoder, Encoder, parse_content_encoding
from modelport.runtime.model import LoadedModel

TARGET_VARIANT = "x-amzn-sagemaker-target-variant"
INFERENCE_ID = "x-amzn-sagemaker-inference-id"
TARGET_MODEL = "x-amzn-sagemaker-target-model"
COMPONENT = "x-amzn-sagemaker-inference-component"
TIMEOUT = "x-modelport-timeout-ms"
COMMON_HEADERS = ("content-type", "content-encoding", TARGET_VARIANT, INFERENCE_ID, TIMEOUT)
"""Headers that mean the same in every protocol."""

INFERENCE_ID_FORM = re.compile(r"[\x21-\x7e]{1,64}")
TARGET_MODEL_FORM = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,1023}")
COMPONENT_FORM = re.compile(r"[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62}")
"""Source: SageMaker runtime, InvokeEndpoint: TargetModel, InferenceComponentName."""

TIMEOUT_FORM = re.compile(r"[1-9][0-9]{0,8}")


class Dialect(Protocol):
    """One protocol's way of asking and of being refused.

    Attributes:
        name: For metrics.
        headers: Header names that it looks at, in lower case.
        forwards: Code in replicas takes its bodies.
        streams: It is answered in parts.
        asynchronous: It asks endpoints that are asked so and in no other way; only control speaks it.
        timeout_s_max: Seconds that a deadline of its own may be away; None: as the settings say.
    """

    name: str
    headers: tuple[str, ...]
    forwards: bool
    streams: bool
    asynchronous: bool
    timeout_s_max: float | None

    def claim(self, head: RequestHead) -> Ask | None:
        """Return what a request asks for, None when its path belongs to another protocol.

        Raises:
            InvalidInput: The path is ours, and a header of the request cannot be understood.
        """
        ...

    def page(self, path: str) -> Page | None:
        """Return the page of this protocol at a path, None where there is none."""
        ...

    def codecs(self, model: LoadedModel, ask: Ask, version: str) -> tuple[Decoder, Encoder]:
        """Return how the body is read and the reply written.

        Args:
            model: Who answers.
            ask: What is asked for.
            version: The model's: `NAME:3`.

        Raises:
            UnsupportedMediaType: Nothing reads the body.
            NotAcceptable: Nothing writes what is asked for.
        """
        ...

    def refuse(self, error: ModelportError) -> bytes:
        """Return the whole reply that says what is wrong."""
        ...

    def refuse_form(self, status: int, reason: str) -> bytes:
        """Return the whole reply to a request that is no proper HTTP, or too large."""
        ...


@dataclass(slots=True)
class Ask:
    """A prediction that is asked for.

    Args:
        dialect: In which protocol.
        endpoint: Its name, as sent.
        variant: The variant asked for; None leaves it to the weights.
        version: The model version asked for, "3"; None leaves it to the weights.
        content_type: Of the body, as `Codecs.decoder_for` knows it; None when not given.
        encoding: How the body is packed; None: not at all.
        accept: What the reply may be; None when not given.
        inference_id: The caller's own id for the prediction; None when not given.
        timeout_s: Seconds until an answer is of no use any more; None leaves it to the settings.
        headers: Those of the request that some protocol looks at, names in lower case.
        target_model: The model asked for, of many that a variant stands for; None when not given.
        component: The inference component asked for; None when not given.
    """

    dialect: Dialect
    endpoint: str
    variant: str | None = None
    version: str | None = None
    content_type: str | None = None
    encoding: str | None = None
    accept: str | None = None
    inference_id: bytes | None = None
    timeout_s: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    target_model: str | None = None
    component: str | None = None
    hosted: str | None = field(init=False)
    chooses: bool = field(init=False)
    codec_key: CodecKey = field(init=False)

    def __post_init__(self) -> None:
        self.hosted = self.component if self.target_model is None else self.target_model
        self.chooses = self.variant is not None or self.version is not None or self.component is not None
        self.codec_key = (self.dialect.name, self.content_type, self.encoding, self.accept)
        if self.hosted is not None:
            self.codec_key += (self.hosted,)


def read_ask(
    dialect: Dialect,
    head: RequestHead,
    endpoint: str,
    *,
    content_type: str | None,
    version: str | None = None,
    accept: str | None = None,
) -> Ask:
    """Return what a head asks for, with the headers that mean the same in every protocol.

    Raises:
        InvalidInput: One of them cannot be understood.
        UnsupportedMediaType: The body is packed in a way nothing unpacks.
    """
    headers = head.headers
    return Ask(
        dialect,
        endpoint,
        variant=headers.get(TARGET_VARIANT),
        version=version,
        content_type=content_type,
        encoding=parse_content_encoding(headers.get("content-encoding")),
        accept=accept,
        inference_id=_inference_id(headers.get(INFERENCE_ID)),
        timeout_s=_timeout_s(headers.get(TIMEOUT)),
        headers=headers,
        target_model=_named(headers, TARGET_MODEL, TARGET_MODEL_FORM, "1 to 1024 printable characters"),
        component=_named(headers, COMPONENT, COMPONENT_FORM, "letters, digits and hyphens, at most 63"),
    )


def _inference_id(value: str | None) -> bytes | None:
    if value is None or INFERENCE_ID_FORM.fullmatch(value):
        return None if value is None else value.encode("ascii")
    raise InvalidInput(
        "X-Amzn-SageMaker-Inference-Id: expected 1 to 64 printable ASCII characters, no spaces"
    )


def _named(headers: Mapping[str, str], header: str, form: re.Pattern[str], expected: str) -> str | None:
    """Return the hosted model that a header names; None without it."""
    value = headers.get(header)
    if value is None or form.fullmatch(value):
        return value
    raise InvalidInput(f"{header}: found {value[:80]!r}, expected {expected}")


def _timeout_s(value: str | None) -> float | None:
    if value is None:
        return None
    if TIMEOUT_FORM.fullmatch(value):
        return int(value) / 1000
    raise InvalidInput("X-Modelport-Timeout-Ms: expected a positive whole number of milliseconds")
