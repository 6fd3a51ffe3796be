"""What a request's head asks for, whatever the protocol."""

from __future__ import annotations

from typing import Protocol

from modelport.dataplane.heads import RequestHead
from modelport.domain.errors import ModelportError
from modelport.runtime.codecs import Decoder, Encoder
from modelport.runtime.model import LoadedModel


class Dialect(Protocol):
    """One protocol's way of asking and of being refused."""

    name: str
    headers: tuple[str, ...]
    """Header names that it looks at, in lower case."""

    def claim(self, head: RequestHead) -> Ask | None:
        """Return what a request asks for, None when its path belongs to another protocol.

        Raises:
            InvalidInput: The path is ours, and a header of the request cannot be understood.
        """
        ...

    def codecs(self, model: LoadedModel, ask: Ask) -> tuple[Decoder, Encoder]:
        """Return how the body is read and the reply written.

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


class Ask:
    """A prediction that is asked for.

    Args:
        dialect: In which protocol.
        endpoint: Its name, as sent.
        variant: The variant asked for; None leaves it to the weights.
        content_type: Of the body; None when not given.
        accept: What the reply may be; None when not given.
        inference_id: The caller's own id for the prediction; None when not given.
        timeout_s: Seconds until an answer is of no use any more; None leaves it to the settings.
    """

    __slots__ = (
        "accept",
        "codec_key",
        "content_type",
        "dialect",
        "endpoint",
        "inference_id",
        "timeout_s",
        "variant",
    )

    def __init__(
        self,
        dialect: Dialect,
        endpoint: str,
        *,
        variant: str | None = None,
        content_type: str | None = None,
        accept: str | None = None,
        inference_id: str | None = None,
        timeout_s: float | None = None,
    ) -> None:
        self.dialect = dialect
        self.endpoint = endpoint
        self.variant = variant
        self.content_type = content_type
        self.accept = accept
        self.inference_id = None if inference_id is None else inference_id.encode("ascii")
        self.timeout_s = timeout_s
        self.codec_key = (dialect.name, content_type, accept)
