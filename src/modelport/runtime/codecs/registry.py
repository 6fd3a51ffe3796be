"""Which decoder reads a Content-Type, and which encoder writes what an Accept header asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from modelport.domain.errors import NotAcceptable, UnsupportedMediaType
from modelport.domain.signature import Signature
from modelport.runtime.codecs.arrow_stream import ArrowDecoder, ArrowEncoder
from modelport.runtime.codecs.csv_text import CsvDecoder, CsvEncoder
from modelport.runtime.codecs.json_lines import JsonLinesDecoder, JsonLinesEncoder
from modelport.runtime.codecs.json_reply import JsonEncoder
from modelport.runtime.codecs.json_text import JsonDecoder
from modelport.runtime.codecs.media import MediaType, choose, parse_media_type
from modelport.runtime.codecs.npy import NpyDecoder
from modelport.runtime.codecs.npy_reply import NpyEncoder
from modelport.runtime.codecs.npz import NpzDecoder
from modelport.runtime.codecs.open_inference import HEAD_SIZE, TRITON, OpenInferenceDecoder
from modelport.runtime.codecs.packing import UNPACKING, Unpacking, unpack
from modelport.runtime.codecs.schema import Schema
from modelport.runtime.codecs.values import Lengthy
from modelport.runtime.compiled.machine_code import Unusable
from modelport.runtime.json_rows.reader import RowsReader, load_reader
from modelport.runtime.rows import Rows
from modelport.runtime.wording import found

JSON = "application/json"
CSV = "text/csv"
JSON_LINES = "application/jsonlines"
NPY = "application/x-npy"
NPZ = "application/x-npz"
ARROW = "application/vnd.apache.arrow.stream"
READ = (JSON, CSV, JSON_LINES, NPY, NPZ, ARROW, TRITON)
WRITTEN = (JSON, CSV, JSON_LINES, NPY, ARROW)
ALIASES = {"application/x-ndjson": JSON_LINES, "application/x-jsonlines": JSON_LINES}
FORM = "application/x-www-form-urlencoded"  # what curl -d says when it is told nothing
UTF_8 = {"utf-8", "utf8", "us-ascii"}
KEPT_MAX = 64
SIZE = re.compile("[0-9]{1,18}", re.ASCII)


class Decoder(Protocol):
    """Reads bodies of one content type."""

    def __call__(self, body: bytes, /) -> Rows:
        """Return the body's rows.

        Raises:
            InvalidInput: Nothing else; with `row` and `feature` where there is one.
        """
        ...

    def in_passing(self, body: bytes, /) -> Rows:
        """Return the rows of a body that does not take long to read: what an event loop calls.

        Raises:
            Lengthy: It may take long.
            InvalidInput: As above.
        """
        ...


class Encoder(Protocol):
    """Writes replies of one content type.

    Attributes:
        content_type: Of the reply.
        off_loop: It may take long: it is not called from an event loop.
    """

    content_type: str
    off_loop: bool

    @property
    def encode(self) -> Callable[..., bytes]:
        """Return what writes the reply for rows `start` to `stop` (exclusive) of a run's `outputs`.

        It is given the wish of the request too, where its decoder found one.
        """
        ...


class Unpacked:
    """Reads packed bodies.

    Args:
        decode: Reads what they hold.
        encoding: How they are packed.
        limits: How much they may unpack to.
    """

    def __init__(self, decode: Decoder, encoding: str, limits: Unpacking) -> None:
        self._decode = decode
        self._encoding = encoding
        self._limits = limits

    def __call__(self, body: bytes) -> Rows:
        """Return the body's rows."""
        return self._decode(unpack(body, self._encoding, self._limits))

    def in_passing(self, _body: bytes) -> Rows:
        """Refuse: what a packed body holds cannot be seen."""
        raise Lengthy


class Narrowing:
    """Reads bodies for a model that takes float32.

    Args:
        decode: Reads them; its rows may be float64.
    """

    def __init__(self, decode: Decoder) -> None:
        self._decode = decode

    def __call__(self, body: bytes) -> Rows:
        """Return the body's rows."""
        return self._decode(body).narrowed()

    def in_passing(self, body: bytes) -> Rows:
        """Return the rows of a body that does not take long to read."""
        return self._decode.in_passing(body).narrowed()


class Codecs:
    """The codecs of one model, each made when first asked for and kept.

    Args:
        signature: What the model takes and gives.
        single: Its graph takes float32, and so do all rows come.
        kernels: Folder of compiled kernels (`runtime/compiled`); None: JSON is read without one.

    Raises:
        InvalidInput: The signature has a feature no number can stand for.
    """

    def __init__(self, signature: Signature, *, single: bool = False, kernels: Path | None = None) -> None:
        self._signature = signature
        self._kernels = kernels
        self._schema = Schema(signature, single=single)
        self._decoders: dict[tuple[str | None, str | None], Decoder] = {}
        self._encoders: dict[str | None, Encoder] = {}
        self._writers: dict[str, Encoder] = {}

    def decoder_for(
        self, content_type: str | None, encoding: str | None = None, limits: Unpacking | None = None
    ) -> Decoder:
        """Return the decoder of a Content-Type header's value.

        Args:
            content_type: For example `application/json; charset=utf-8`; None or empty means JSON.
            encoding: How bodies are packed, as `packing.parse_content_encoding` says it.
            limits: How much they may unpack to, the same at each call; None: the defaults.

        Raises:
            UnsupportedMediaType: No decoder reads it; the hint lists those there are.
        """
        key = (content_type, encoding)
        limits = limits or UNPACKING
        known = self._decoders.get(key)
        if known is None:
            if encoding is None:
                known = self._make_decoder(_media_type(content_type or JSON), limits)
                known = Narrowing(known) if self._schema.single else known
            else:
                known = Unpacked(self.decoder_for(content_type, None, limits), encoding, limits)
            if len(self._decoders) < KEPT_MAX:
                self._decoders[key] = known
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
            name = choose(accept or "", (*WRITTEN, *ALIASES))
            if name is None:
                raise NotAcceptable(f"nothing writes Accept: {found(accept)}", hint=_offered(WRITTEN))
            known = self._make_encoder(ALIASES.get(name, name))
            if len(self._encoders) < KEPT_MAX:
                self._encoders[accept] = known
        return known

    def _make_decoder(self, media: MediaType, limits: Unpacking) -> Decoder:
        schema = self._schema
        match media.name:
            case "text/csv":
                header = media.parameters.get("header", "").lower()
                return CsvDecoder(schema, header if header in {"present", "absent"} else None)
            case "application/jsonlines":
                return JsonLinesDecoder(schema)
            case "application/x-npy":
                return NpyDecoder(schema)
            case "application/x-npz":
                return NpzDecoder(schema, limits)
            case "application/vnd.apache.arrow.stream":
                return ArrowDecoder(schema)
            case "application/vnd.sagemaker-triton.binary+json":
                return OpenInferenceDecoder(schema, _head_size(media))
            case _:
                return JsonDecoder(schema, self._rows_reader())

    def _rows_reader(self) -> RowsReader | None:
        schema = self._schema
        if self._kernels is None or not schema.plainly_named:
            return None
        try:
            return load_reader(self._kernels, schema.cells)
        except Unusable:
            return None

    def _make_encoder(self, name: str) -> Encoder:
        makers: dict[str, Callable[[], Encoder]] = {
            JSON: lambda: JsonEncoder(self._signature.output),
            CSV: lambda: CsvEncoder(self._signature.output),
            JSON_LINES: lambda: JsonLinesEncoder(self._signature.output),
            NPY: lambda: NpyEncoder(self._signature.output),
            ARROW: lambda: ArrowEncoder(self._signature),
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
        raise UnsupportedMediaType(f"malformed Content-Type {found(content_type)}", hint=_offered(READ))
    name = ALIASES.get(media.name, media.name)
    if name not in READ:
        hint = "curl needs -H 'Content-Type: application/json'" if name == FORM else _offered(READ)
        raise UnsupportedMediaType(f"nothing reads Content-Type {found(media.name)}", hint=hint)
    charset = media.parameters.get("charset", "utf-8").lower()
    if charset not in UTF_8:
        raise UnsupportedMediaType(f"found charset {found(charset)}, expected utf-8")
    return MediaType(name, media.parameters)


def _head_size(media: MediaType) -> int | None:
    size = media.parameters.get(HEAD_SIZE)
    if size is None:
        return None
    if not SIZE.fullmatch(size):
        raise UnsupportedMediaType(f"found {HEAD_SIZE}={found(size)}, expected a number of bytes")
    return int(size)


def _offered(names: Sequence[str]) -> str:
    return f"use one of {', '.join(names)}"
