"""One S3 request: which bucket, which key, what of it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import parse_qsl, unquote_to_bytes
from xml.etree.ElementTree import Element

from modelport.access.signatures import ChunkSigner
from modelport.api.aws.documents import MalformedXml, parse
from modelport.api.aws.s3.bodies import CHECKSUM, checksums_in, read_body
from modelport.api.aws.s3.errors import S3Error
from modelport.domain.errors import InvalidInput
from modelport.domain.objects import BadDigest

META = "x-amz-meta-"
KEPT = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
)
XML_BYTES_MAX = 4 << 20
_HOST = re.compile(r"([a-z0-9][a-z0-9.-]*[a-z0-9])\.localhost(:\d+)?", re.ASCII)
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked.

    Args:
        method: HTTP method.
        bucket: Empty: the request is for all buckets.
        key: Empty: it is for the bucket.
        query: The last value of each name.
        headers: In lower case.
        body: As it came.
        trailer: What followed the body, once it was read.
        signer: Of the chunks of its body; None: nobody is asked for signatures.
    """

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: IO[bytes]
    trailer: dict[str, str] = field(default_factory=dict)
    signer: ChunkSigner | None = None

    def chunks(self) -> Iterator[bytes]:
        """Yield the body's bytes; fail at the end when they are not those that were sent."""
        return read_body(self.body, self.headers, self.trailer, self.signer)

    def document(self) -> ElementDocument:
        """Return the body as XML.

        Raises:
            MalformedXml: It is none, or too large to be one that a client means.
            BadDigest: It is not what was sent.
        """
        content = bytearray()
        for chunk in self.chunks():
            content += chunk
            if len(content) > XML_BYTES_MAX:
                raise MalformedXml(f"the body has more than {XML_BYTES_MAX} bytes")
        md5 = self.md5()
        if md5 is not None and hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
            raise BadDigest(f"the body has another MD5 than {md5}")
        return ElementDocument(parse(bytes(content)))

    def md5(self) -> str | None:
        """Return the Content-MD5 in hex, None when there is none.

        Raises:
            S3Error: It is no MD5.
        """
        given = self.headers.get("content-md5")
        if given is None:
            return None
        try:
            raw = base64.b64decode(given, validate=True)
        except binascii.Error:
            raw = b""
        if len(raw) != 16:
            raise S3Error("InvalidDigest", f"Content-MD5 {given[:80]!r} is no MD5 in base64")
        return raw.hex()

    def number(self, name: str, default: int) -> int:
        """Return a number of the query.

        Raises:
            InvalidInput: It is none of at least 0.
        """
        text = self.query.get(name, str(default))
        if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII):
            raise InvalidInput(f"{name} is {text[:40]!r}, expected a number of at least 0")
        return int(text)

    def object_headers(self) -> dict[str, str]:
        """Return what the replies of an object made by this request will carry."""
        found = {name: value for name, value in self.headers.items() if name in KEPT or name.startswith(META)}
        encoding = [part.strip() for part in found.pop("content-encoding", "").split(",")]
        left = [part for part in encoding if part not in ("", "aws-chunked")]
        if left:
            found["content-encoding"] = ",".join(left)
        return found

    def checksums(self) -> dict[str, str]:
        """Return the headers with the checksums that came with the body, once it was read."""
        return {
            CHECKSUM + name: value for name, value in checksums_in({**self.headers, **self.trailer}).items()
        }

    def tags(self) -> dict[str, str] | None:
        """Return the tags in the headers, None when there are none."""
        given = self.headers.get("x-amz-tagging")
        return None if given is None else dict(parse_qsl(given, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered.

    Args:
        status: HTTP status.
        headers: In lower case.
        body: XML or nothing; not looked at where there is a file.
        file: Whose bytes are the body.
        start: First of them.
        length: How many.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    file: Path | None = None
    start: int = 0
    length: int = 0


class ElementDocument:
    """An XML body, asked for texts.

    Args:
        root: Its root element.
    """

    def __init__(self, root: Element) -> None:
        self._root = root

    def items(self, tag: str) -> list[dict[str, str]]:
        """Return the texts below each element of a name, by their names."""
        found = self._root.iter(tag)
        return [{child.tag: child.text or "" for child in item} for item in found]

    def text(self, tag: str) -> str | None:
        """Return the text of an element below the root, None when there is none."""
        return self._root.findtext(tag)


def read_request(
    method: str, raw_path: bytes, query: bytes, headers: Iterable[tuple[bytes, bytes]], body: IO[bytes]
) -> Request:
    """Return what is asked; the bucket stands in the path, or before `.localhost` in the Host.

    Raises:
        S3Error: The path or the query is not UTF-8.
    """
    named = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    path = raw_path.decode("latin-1").partition("?")[0].removeprefix("/")
    host = _HOST.fullmatch(named.get("host", ""))
    bucket = host[1].removesuffix(".s3") if host and host[1] != "s3" else ""
    if not bucket:
        bucket, _, path = path.partition("/")
    try:
        asked = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True, errors="strict"))
        return Request(method, _unquote(bucket), _unquote(path), asked, named, body)
    except UnicodeDecodeError:
        raise S3Error("InvalidURI", "the path or the query is not UTF-8, percent-encoded") from None


def _unquote(text: str) -> str:
    return unquote_to_bytes(text.encode("latin-1")).decode("utf-8")


def read_range(text: str | None, size: int) -> tuple[int, int] | None:
    """Return start and length of what a Range header asks for; None: all of it.

    Args:
        text: The header; a form S3 does not know is as good as none.
        size: Of the object.

    Raises:
        S3Error: Nothing of the object lies in the range.
    """
    match = _RANGE.fullmatch(text) if text else None
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    if start >= end:
        raise S3Error("InvalidRange", f"the object has {size} bytes; nothing of it lies in {text}", 416)
    return start, end - start
