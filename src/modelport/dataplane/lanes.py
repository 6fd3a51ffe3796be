"""What a request needs of who answers it: one variant, in one protocol, with one pair of content types."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, Protocol

from modelport.dataplane import event_stream
from modelport.runtime.codecs import Decoder, Encoder, Lengthy, MixedReply
from modelport.telemetry.slots import Series

if TYPE_CHECKING:
    from modelport.dataplane.batching import Batcher
    from modelport.dataplane.forward import Forwarder
    from modelport.dataplane.pipeline import Pipeline
    from modelport.dataplane.variants import ServedVariant

INLINE_BODY_BYTES = 128 << 10  # larger bodies are decoded in the model's thread
CodecKey = tuple[str | None, ...]
"""Protocol name, Content-Type, Content-Encoding, Accept; and the hosted model that is named, if any."""


class Queue(Protocol):
    """Something requests wait in, that counts them."""

    waiting: int


class Lane:
    """One variant, asked in one protocol with one pair of content types: all that a request needs.

    Args:
        variant: Who answers.
        batcher: Runs its model, forwards to where it runs, or passes from one to the next.
        decode: Body to rows.
        encoder: Outputs to body.
        codes: Status to counter, for this variant and protocol.
        overloaded: Whole reply to a request that comes while more come than can be answered: refusing has to
            be cheap.
    """

    __slots__ = (
        "_mixed",
        "batcher",
        "codes",
        "decode",
        "duration",
        "encode",
        "in_passing",
        "ok",
        "overloaded",
        "passing_bytes",
        "reply",
        "reply_type",
        "variant",
    )

    def __init__(
        self,
        variant: ServedVariant,
        batcher: Batcher | Forwarder | Pipeline,
        decode: Decoder,
        encoder: Encoder,
        codes: Callable[[int], Series],
        overloaded: bytes,
    ) -> None:
        self.variant = variant
        self.batcher = batcher
        self.decode = decode
        self.in_passing = decode.in_passing
        self.encode = encoder.encode
        self.reply_type = encoder.content_type
        self.codes = codes
        self.overloaded = overloaded
        self.ok = codes(200)
        self.duration = variant.duration
        self.passing_bytes = -1 if encoder.off_loop else INLINE_BODY_BYTES
        route = variant.route
        fields = (
            f"x-Amzn-Invoked-Production-Variant: {route.variant}\r\n"
            f"X-Modelport-Model-Version: {route.model_version}\r\n"
        ).encode("latin-1").replace(b"%", b"%%") + (
            b"X-Modelport-Prediction-Id: %b\r\nContent-Length: %d\r\n\r\n%b"
        )
        media = encoder.content_type.encode("latin-1").replace(b"%", b"%%")
        self.reply = b"HTTP/1.1 200 OK\r\nContent-Type: " + media + b"\r\n" + fields
        """With prediction id, length and body in its places."""
        self._mixed = b"HTTP/1.1 200 OK\r\n%b" + fields

    def reply_mixed(self, prediction_id: bytes, answer: MixedReply) -> bytes:
        """Return the whole reply whose body brings header lines of its own."""
        return self._mixed % (answer.fields, prediction_id, len(answer), answer)


class StreamLane(Lane):
    """A lane whose replies are event streams: all at once for a model in memory, else in parts."""

    __slots__ = ()

    def reply_mixed(self, prediction_id: bytes, answer: MixedReply) -> bytes:
        """Return the whole reply, in frames."""
        body = event_stream.parts(answer)
        fields = _stream_fields(answer.content_type.encode("latin-1"), b"")
        return self._mixed % (fields, prediction_id, len(body), body)

    def opening(self, prediction_id: bytes, media: bytes, fields: bytes) -> bytes:
        """Return the head of a reply in parts, each of which is a chunk.

        Args:
            prediction_id: The request's.
            media: Type of what the parts make together.
            fields: Further header lines, each with its line end.
        """
        head, _, _ = self._mixed.partition(b"Content-Length")
        return (head + b"Transfer-Encoding: chunked\r\n\r\n") % (_stream_fields(media, fields), prediction_id)


def _stream_fields(media: bytes, fields: bytes) -> bytes:
    kind = event_stream.CONTENT_TYPE.encode("ascii")
    return b"Content-Type: %b\r\nX-Amzn-SageMaker-Content-Type: %b\r\n%b" % (kind, media, fields)


class Unread:
    """Stands for the codecs where nobody here reads what is asked, or writes what is answered."""

    content_type = ""
    off_loop = True

    def __call__(self, _body: bytes) -> NoReturn:
        """Refuse."""
        raise Lengthy

    in_passing = encode = __call__


UNREAD = Unread()
