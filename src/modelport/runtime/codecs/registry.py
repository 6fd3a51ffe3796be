"""Which decoder reads a Content-Type, and which encoder writes what an Accept header asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from modelport.domain.signature import Signature
from modelport.runtime.outputs import Outputs
from modelport.runtime.rows import Rows

Decoder = Callable[[bytes], Rows]
"""Body to rows. Raises InvalidInput, with `row` and `feature` where there is one, and nothing else."""


class Encoder(Protocol):
    """Writes replies of one content type."""

    content_type: str

    def encode(self, outputs: Outputs, start: int, stop: int) -> bytes:
        """Return the reply for rows `start` to `stop` (exclusive) of a run's outputs."""
        ...


class Codecs:
    """The codecs of one model, each made when first asked for and kept.

    Args:
        signature: What the model takes and gives.
    """

    def __init__(self, signature: Signature) -> None:
        self._signature = signature

    def decoder_for(self, content_type: str | None) -> Decoder:
        """Return the decoder of a Content-Type header's value.

        Args:
            content_type: For example `application/json; charset=utf-8`; None or empty means JSON.

        Raises:
            UnsupportedMediaType: No decoder reads it; the hint lists those there are.
        """
        raise NotImplementedError

    def encoder_for(self, accept: str | None) -> Encoder:
        """Return the encoder of an Accept header's value: the type it ranks highest that we write.

        Args:
            accept: For example `text/csv, */*;q=0.1`; None, empty or `*/*` means JSON.

        Raises:
            NotAcceptable: It names no type that we write; the hint lists those there are.
        """
        raise NotImplementedError
