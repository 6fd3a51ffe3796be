"""The head of one HTTP/1.1 request, read strictly.

What is unclear is refused, never guessed: two servers that read one request differently are how requests
are smuggled. httptools (llhttp) refuses bare line feeds, folded lines, spaces before colons, malformed or
doubled lengths, and a length beside a transfer coding; the rest is here.

Source: RFC 9112.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import httptools

from modelport.access.signatures import SignedRequest, read_signed

FIELDS_MAX = 100
OWN_FIELDS = (
    "host",
    "origin",
    "sec-fetch-site",
    "authorization",
    "content-length",
    "transfer-encoding",
    "connection",
    "expect",
)
"""What every request may say; protocols name what they want besides."""

SINGLE_FIELDS = frozenset({"host", "content-type", "authorization"})
CHUNKED = -1
CONTENT_LENGTH = re.compile(rb"[0-9]{1,18}")
TARGET = re.compile(
    rb"(?:[hH][tT][tT][pP][sS]?://(?P<host>[^/?#\x00-\x20\x7f-\xff]+))?(?P<path>/[\x21-\x7e]*)|\*"
)
REQUEST_LINE = re.compile(rb"(?:\r\n)*[A-Z-]{1,20} [^ \r\n]+ HTTP/[0-9]\.[0-9]\r\n")
METHOD_LINE = re.compile(rb"[A-Z]{1,20} /")


class Malformed(Exception):
    """A head or body that is no proper HTTP; the connection cannot go on.

    Args:
        status: HTTP status of the reply.
        reason: What was found, for the reply; never what the client sent.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class RequestHead:
    """What a head says; in `signed` all of it, where an AWS key signed it.

    Args:
        method: As sent, upper case.
        path: Of the target, without the query, as sent; `*` where the whole server is meant.
        headers: Those that somebody wants, names in lower case; values of repeated ones joined by commas.
            Without the ones below.
        length: Bytes of the body; `CHUNKED` when it says so itself.
        keep_alive: The client wants to go on after this request.
        expects_continue: The client waits for `100 Continue` before the body.
        takes_chunks: The client understands a reply in chunks: it does not speak HTTP/1.0.
        authorization: Value of that header; None without it.
    """

    __slots__ = (
        "authorization",
        "expects_continue",
        "headers",
        "keep_alive",
        "length",
        "method",
        "path",
        "signed",
        "takes_chunks",
    )

    def __init__(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        *,
        length: int = 0,
        keep_alive: bool = True,
        expects_continue: bool = False,
        takes_chunks: bool = True,
        authorization: str | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.length = length
        self.keep_alive = keep_alive
        self.expects_continue = expects_continue
        self.takes_chunks = takes_chunks
        self.authorization = authorization
        self.signed: SignedRequest | None = None


Wanted = dict[bytes, str]
"""Header names that are looked at, in lower case."""


def want(names: Iterable[str]) -> Wanted:
    """Return these names and those of every request, ready for `read_head`."""
    return {name.encode("ascii"): name for name in (*OWN_FIELDS, *names)}


class HeadReader:
    """Watches a head that comes in pieces, so that nonsense is refused before its end comes."""

    __slots__ = ("_parser", "complete", "fields", "seen", "target")

    def __init__(self) -> None:
        self.target = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.seen = 0  # bytes fed
        self._parser = httptools.HttpRequestParser(self)

    def close(self) -> None:
        """Let go of the parser, which holds this: a cycle for each head would be work for the collector."""
        del self._parser

    def on_url(self, part: bytes) -> None:
        """Take a piece of the request target."""
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Note that the head is complete."""
        self.complete = True

    def feed(self, data: bytes) -> None:
        """Take more bytes of the head.

        Raises:
            Malformed: They are no proper head.
        """
        self.seen += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # an offer that we do not take
        except httptools.HttpParserInvalidMethodError:
            if METHOD_LINE.match(data):
                raise Malformed(501, "this method is not known here") from None
            raise Malformed(400, "the request line has no method") from None
        except (httptools.HttpParserCallbackError, httptools.HttpParserError) as error:
            if isinstance(error.__context__, Malformed):
                raise error.__context__ from None
            raise Malformed(400, f"the request head is malformed: {error}") from None

    def head(self, wanted: Wanted) -> RequestHead:
        """Return what was read.

        Args:
            wanted: From `want`.

        Raises:
            Malformed: The head is not complete, or asks for what HTTP forbids.
        """
        if not self.complete:
            raise Malformed(400, "the request head is malformed")
        version = self._parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise Malformed(505, "only HTTP/1.1 is spoken here")
        method = self._parser.get_method().decode("ascii")
        headers = self._headers(wanted)
        path = _path(self.target, method, headers["host"])
        connection = headers.pop("connection", "").lower()
        expected = headers.pop("expect", "").lower()
        if expected not in ("", "100-continue"):
            raise Malformed(417, "nothing but 100-continue is met here")
        authorization = headers.pop("authorization", None)
        head = RequestHead(
            method,
            path,
            headers,
            length=_length(
                headers.pop("transfer-encoding", None), headers.pop("content-length", None), version
            ),
            keep_alive=version == "1.1" and "close" not in connection,
            expects_continue=expected != "" and version == "1.1",
            takes_chunks=version == "1.1",
            authorization=authorization,
        )
        head.signed = self._signed(method, authorization)
        return head

    def _signed(self, method: str, authorization: str | None) -> SignedRequest | None:
        """Return the whole head where an AWS key signed it; most requests pay for one comparison."""
        if (authorization is None or not authorization.startswith("AWS4")) and b"X-Amz-" not in self.target:
            return None
        path, _, query = self.target.partition(b"?")
        return read_signed(method, path, query, [(name.lower(), value) for name, value in self.fields])

    def _headers(self, wanted: Wanted) -> dict[str, str]:
        if len(self.fields) > FIELDS_MAX:
            raise Malformed(431, f"more than {FIELDS_MAX} header fields")
        headers: dict[str, str] = {}
        for raw_name, raw_value in self.fields:
            name = wanted.get(raw_name.lower())
            if name is None:
                continue
            value = raw_value.decode("latin-1")
            if name in headers:
                if name in SINGLE_FIELDS:
                    raise Malformed(400, f"more than one {name} header")
                value = f"{headers[name]}, {value}"
            headers[name] = value
        if "host" not in headers:
            raise Malformed(400, "no Host header")
        return headers


def read_head(block: bytes, wanted: Wanted) -> RequestHead:
    """Read a whole head, its empty line included.

    Args:
        block: The bytes.
        wanted: From `want`.

    Raises:
        Malformed: It is no proper head.
    """
    reader = HeadReader()
    try:
        reader.feed(block)
        if not REQUEST_LINE.match(block):  # llhttp lets more than one space pass
            raise Malformed(400, "the request line is malformed")
        return reader.head(wanted)
    finally:
        reader.close()


def _path(target: bytes, method: str, host: str) -> str:
    """Return the path of a request target.

    RFC 9112 section 3.2.2 lets a server ignore Host where the target names one. A request in which the two
    differ is refused instead: whoever looked at the other one before us saw another request.
    """
    match = TARGET.fullmatch(target)
    if match is None or (match["path"] is None and method != "OPTIONS"):
        raise Malformed(400, "the request target is no path")
    if match["path"] is None:
        return "*"
    if match["host"] is not None and match["host"].decode("latin-1").lower() != host.lower():
        raise Malformed(400, "the request target and Host name different hosts")
    return match["path"].decode("ascii").partition("?")[0]


def _length(coding: str | None, length: str | None, version: str) -> int:
    if coding is not None:
        if length is not None:
            raise Malformed(400, "both Content-Length and Transfer-Encoding")
        if version == "1.0":
            raise Malformed(400, "Transfer-Encoding in HTTP/1.0")
        if coding.strip().lower() != "chunked":
            raise Malformed(501, "only the transfer coding 'chunked' is known here")
        return CHUNKED
    if length is None:
        return 0
    if not CONTENT_LENGTH.fullmatch(length.encode("latin-1")):
        raise Malformed(400, "Content-Length is no number")
    return int(length)
