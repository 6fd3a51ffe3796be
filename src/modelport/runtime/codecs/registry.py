"""Which decoder reads a Content-Type, and which encoder writes what an Accept header asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from modelport.domain.errors import NotAcceptable, UnsupportedMediaType
from modelport.domain.signature import Signature
from modelport.runtime.codecs.csv_text import CsvDecoder, CsvEncoder
from modelport.runtime.codecs.json_lines import JsonLinesDecoder, JsonLinesEncoder
from modelport.runtime.codecs.json_reply import JsonEncoder
from modelport.runtime.codecs.json_text import JsonDecoder
from modelport.runtime.codecs.media import MediaType, choose, parse_media_type
from modelport.runtime.codecs.npy import NpyDecoder
from modelport.runtime.codecs.npy_reply import NpyEncoder
from modelport.runtime.codecs.schema import Schema
from modelport.runtime.outputs import Outputs
from modelport.runtime.rows import Rows
from modelport.runtime.wording import found

JSON = "application/json"
CSV = "text/csv"
JSON_LINES = "application/jsonlines"
NPY = "application/x-npy"
CONTENT_TYPES = (JSON, CSV, JSON_LINES, NPY)
ALIASES = {"application/x-ndjson": JSON_LINES, "application/x-jsonlines": JSON_LINES}
FORM = "application/x-www-form-urlencoded"  # what curl -d says when it is told nothing
UTF_8 = {"utf-8", "utf8", "us-ascii"}
KEPT_MAX = 64

Decoder = Callable[[bytes], Rows]
"""Body to rows. Raises InvalidInput, with `row` and `feature` where there is one, and nothing else."""


class Encoder(Protocol):
    """Writes replies of one content type."""

    content_type: str

    def encode(self, outputs: Outputs, start: int, stop: int, /) -> bytes:
        """Return the reply for rows `start` to `stop` (exclusive) of a run's outputs."""
        ...


class Codecs:
    """The codecs of one model, each made when first asked for and kept.

    Args:
        signature: What the model takes and gives.

    Raises:
        InvalidInput: The signature has a feature no number can stand for.
    """

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._schema = Schema(signature)
        self._decoders: dict[str | None, Decoder] = {}
        self._encoders: dict[str | None, Encoder] = {}
        self._writers: dict[str, Encoder] = {}

    def decoder_for(self, content_type: str | None) -> Decoder:
        """Return the decoder of a Content-Type header's value.

        Args:
            content_type: For example `application/json; charset=utf-8`; None or empty means JSON.

        Raises:
            UnsupportedMediaType: No decoder reads it; the hint lists those there are.
        """
        known = self._decoders.get(content_type)
        if known is None:
            known = self._make_decoder(_media_type(content_type or JSON))
            if len(self._decoders) < KEPT_MAX:
                self._decoders[content_type] = known
        return known

    def encoder_for(self, accept: str | None) -> Encoder:
        """Return the encoder of an Accept header's value: the type it ranks highest that we write.

        Args:
            accept: For example `text/csv, */*;q=0.1`; None, empty or `*/*` means JSON.

        Raises:
            NotAcceptable: It names no type that we write; the hint lists those there are.
        """
        known = self._encoders.get(accept)
        if known is None:
            name = choose(accept or "", (*CONTENT_TYPES, *ALIASES))
            if name is None:
                raise NotAcceptable(f"nothing writes Accept: {found(accept)}", hint=_offered())
            known = self._make_encoder(ALIASES.get(name, name))
            if len(self._encoders) < KEPT_MAX:
                self._encoders[accept] = known
        return known

    def _make_decoder(self, media: MediaType) -> Decoder:
        schema = self._schema
        match media.name:
            case "text/csv":
                header = media.parameters.get("header", "").lower()
                return CsvDecoder(schema, header if header in {"present", "absent"} else None)
            case "application/jsonlines":
                return JsonLinesDecoder(schema)
            case "application/x-npy":
                return NpyDecoder(schema)
            case _:
                return JsonDecoder(schema)

    def _make_encoder(self, name: str) -> Encoder:
        makers: dict[str, Callable[[], Encoder]] = {
            JSON: lambda: JsonEncoder(self._signature.output),
            CSV: lambda: CsvEncoder(self._signature.output),
            JSON_LINES: lambda: JsonLinesEncoder(self._signature.output),
            NPY: lambda: NpyEncoder(self._signature.output),
        }
        if name not in self._writers:
            self._writers[name] = makers[name]()
        return self._writers[name]


def _media_type(content_type: str) -> MediaType:
    """Return what the header says, under the name we know it by.

    Raises:
        UnsupportedMediaType: It is malformed, unknown, or in another encoding than UTF-8.
    """
    media = parse_media_type(content_type)
    if media is None:
        raise UnsupportedMediaType(f"malformed Content-Type {found(content_type)}", hint=_offered())
    name = ALIASES.get(media.name, media.name)
    if name not in CONTENT_TYPES:
        hint = "curl needs -H 'Content-Type: application/json'" if name == FORM else _offered()
        raise UnsupportedMediaType(f"nothing reads Content-Type {found(media.name)}", hint=hint)
    charset = media.parameters.get("charset", "utf-8").lower()
    if charset not in UTF_8:
        raise UnsupportedMediaType(f"found charset {found(charset)}, expected utf-8")
    return MediaType(name, media.parameters)


def _offered() -> str:
    return f"use one of {', '.join(CONTENT_TYPES)}"
