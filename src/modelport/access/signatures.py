"""Signatures of AWS requests: whether who sent one has the secret of the key it names.

Source: AWS Signature Version 4 (IAM user guide, "Create a signed AWS API request"); Amazon S3 API reference,
"Authenticating Requests" with headers, query parameters and chunked uploads, and "Signature Version 2".
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from modelport.access.credentials import ALGORITHM, Credential, find_credential
from modelport.domain.errors import Unauthenticated

SKEW = timedelta(minutes=5)
"""The clocks of client and server may differ by so much."""

EXPIRES_S_MAX = 7 * 24 * 3600
UNSIGNED = "UNSIGNED-PAYLOAD"
STREAMING = "STREAMING-"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256().hexdigest()
CONTENT_SHA256 = "x-amz-content-sha256"
UNSIGNABLE = frozenset({"x-amz-user-agent"})  # SDKs leave it out of presigned URLs
_STAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z", re.ASCII)
_PART = re.compile(r"(Credential|SignedHeaders|Signature)=([^,\s]+)", re.ASCII)
_SPACES = re.compile(r" {2,}")
_SUBRESOURCES = frozenset(
    {
        *("acl", "cors", "delete", "lifecycle", "location", "logging", "notification", "partNumber"),
        *("policy", "requestPayment", "restore", "tagging", "torrent", "uploadId", "uploads"),
        *("versionId", "versioning", "versions", "website", "response-cache-control"),
        *("response-content-disposition", "response-content-encoding", "response-content-language"),
        *("response-content-type", "response-expires"),
    }
)
"""Parameters that version 2 signs."""


class BadSignature(Unauthenticated):
    """A request's AWS signature does not prove who sent it."""

    code: ClassVar[str] = "bad_signature"


class UnknownKey(BadSignature):
    """It names a key that nobody here has."""

    code: ClassVar[str] = "unknown_key"


class Skewed(BadSignature):
    """It was made at a time that is not now."""

    code: ClassVar[str] = "clock_skewed"


class Expired(BadSignature):
    """It was made for a time that is over."""

    code: ClassVar[str] = "signature_expired"


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it came, with a credential in its Authorization header or its query.

    Args:
        method: Upper case.
        path: As sent, percent-encoded, without the query.
        query: As sent.
        headers: Names in lower case, with their values, in order.
        credential: What it was signed for.
    """

    method: str
    path: bytes
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    credential: Credential

    def header(self, name: str) -> str | None:
        """Return a header's first value, None when there is none."""
        wanted = name.encode("ascii")
        return next((value.decode("latin-1") for key, value in self.headers if key == wanted), None)

    def values(self) -> dict[str, str]:
        """Return the first value of each parameter of the query."""
        return dict(reversed(parse_qsl(self.query.decode("latin-1"), keep_blank_values=True)))


def read_signed(
    method: str, path: bytes, query: bytes, headers: Sequence[tuple[bytes, bytes]]
) -> SignedRequest | None:
    """Return a request that an AWS key signed; None: it carries no credential that can be read.

    Args:
        method: Upper case.
        path: As sent, without the query.
        query: As sent.
        headers: Names in lower case, with their values.
    """
    credential = find_credential(headers, query)
    return None if credential is None else SignedRequest(method, path, query, headers, credential)


@dataclass(frozen=True, slots=True)
class ChunkSigner:
    """Signs the chunks of an aws-chunked body, each over the one before.

    Args:
        key: The signing key.
        scope: Of the credential.
        stamp: When the request was signed, `yyyymmddThhmmssZ`.
        seed: The request's own signature, hex.
    """

    key: bytes
    scope: str
    stamp: str
    seed: str

    def sign_chunk(self, previous: str, content_sha256: str) -> str:
        """Return the signature of a chunk.

        Args:
            previous: The signature before it; the first one's is `seed`.
            content_sha256: Of its bytes, hex.
        """
        return self._sign("PAYLOAD", previous, f"{EMPTY_SHA256}\n{content_sha256}")

    def sign_trailer(self, previous: str, trailer: bytes) -> str:
        """Return the signature of the trailing headers.

        Args:
            previous: The signature of the last chunk.
            trailer: `name:value` and a line feed for each.
        """
        return self._sign("TRAILER", previous, hashlib.sha256(trailer).hexdigest())

    def _sign(self, kind: str, previous: str, rest: str) -> str:
        text = f"AWS4-HMAC-SHA256-{kind}\n{self.stamp}\n{self.scope}\n{previous}\n{rest}"
        return hmac.digest(self.key, text.encode("ascii"), "sha256").hex()


def claimed_payload(request: SignedRequest) -> str:
    """Return what an S3 request says of its payload: a SHA-256, or that it is not signed as a whole.

    Raises:
        BadSignature: It says nothing, or what nobody knows.
    """
    if "X-Amz-Signature" in request.values() or not request.credential.date:
        return UNSIGNED
    claimed = request.header(CONTENT_SHA256) or ""
    if claimed == UNSIGNED or claimed.startswith(STREAMING) or re.fullmatch("[0-9a-f]{64}", claimed):
        return claimed
    raise BadSignature(f"{CONTENT_SHA256} is {claimed[:80]!r}, expected a SHA-256 in hex")


def verify(request: SignedRequest, secret: str, payload: str, now: datetime) -> ChunkSigner | None:
    """Let a request pass whose signature was made with a secret.

    Args:
        request: As it came.
        secret: The secret access key.
        payload: SHA-256 of the body in hex; for S3 what `claimed_payload` returns.
        now: Aware.

    Returns:
        What signs the chunks of its body; None where version 2 was used.

    Raises:
        BadSignature: It was not, or too long ago.
    """
    if not request.credential.date:
        _verify_version_2(request, secret, now)
        return None
    values = request.values()
    presigned = "X-Amz-Signature" in values
    if presigned:
        names = values.get("X-Amz-SignedHeaders", "")
        given, stamp = values["X-Amz-Signature"], values.get("X-Amz-Date", "")
    else:
        parts = dict(_PART.findall(request.header("authorization") or ""))
        names, given = parts.get("SignedHeaders", ""), parts.get("Signature", "")
        stamp = request.header("x-amz-date") or ""
    credential = request.credential
    _check_time(stamp, credential.date, values.get("X-Amz-Expires") if presigned else None, now)
    signed = names.split(";")
    _check_signed(request, signed)
    scope = f"{credential.date}/{credential.region}/{credential.service}/aws4_request"
    canonical = "\n".join(
        (
            request.method,
            _canonical_path(request),
            _canonical_query(request.query),
            *(f"{name}:{_canonical_value(request, name)}" for name in signed),
            "",
            names,
            payload,
        )
    )
    hashed = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
    text = f"{ALGORITHM.decode('ascii')}\n{stamp}\n{scope}\n{hashed}"
    key = _signing_key(secret, credential.date, credential.region, credential.service)
    made = hmac.digest(key, text.encode("ascii"), "sha256").hex()
    if not hmac.compare_digest(made.encode("ascii"), given.encode("latin-1", "replace")):
        raise _mismatch()
    return ChunkSigner(key, scope, stamp, made)


def _check_time(stamp: str, date: str, expires: str | None, now: datetime) -> None:
    if not _STAMP.fullmatch(stamp):
        raise BadSignature(f"X-Amz-Date is {stamp[:40]!r}, expected the form 20260131T120000Z")
    try:
        signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise BadSignature(f"X-Amz-Date {stamp!r} is no time") from None
    if stamp[:8] != date:
        raise BadSignature(f"the credential is of {date}, X-Amz-Date of {stamp[:8]}")
    until = signed_at + SKEW
    if expires is not None:
        if not re.fullmatch("[0-9]{1,6}", expires) or not 0 < int(expires) <= EXPIRES_S_MAX:
            raise BadSignature(f"X-Amz-Expires is {expires[:20]!r}, expected 1 to {EXPIRES_S_MAX} seconds")
        until = signed_at + timedelta(seconds=int(expires))
    if now > until and expires is not None:
        raise Expired(f"the request was to be sent by {until:%Y-%m-%dT%H:%M:%SZ}")
    if now > until or signed_at > now + SKEW:
        raise Skewed(
            f"the request was signed at {stamp}, it is {now:%Y%m%dT%H%M%SZ} here",
            hint="set the clock of the machine it came from",
        )


def _check_signed(request: SignedRequest, signed: Sequence[str]) -> None:
    """What AWS acts on must be signed: whoever changes it on the way would be another sender."""
    must = {"host"} | {
        name
        for name, _ in ((key.decode("latin-1"), value) for key, value in request.headers)
        if name.startswith("x-amz-") and name not in UNSIGNABLE
    }
    missing = must - set(signed)
    if missing:
        raise BadSignature(f"the header {min(missing)} is not among those that the request signed")


def _canonical_path(request: SignedRequest) -> str:
    """Return the path; only S3 takes it as it was sent, the others encode it again."""
    path = request.path.decode("latin-1") or "/"
    return path if request.credential.service == "s3" else quote(path, safe="/~")


def _canonical_query(query: bytes) -> str:
    pairs = (part.partition(b"=") for part in query.split(b"&") if part)
    return "&".join(
        f"{name}={value}"
        for name, value in sorted(
            (quote(unquote_to_bytes(name), safe="~"), quote(unquote_to_bytes(value), safe="~"))
            for name, _, value in pairs
        )
        if name != "X-Amz-Signature"
    )


def _canonical_value(request: SignedRequest, name: str) -> str:
    wanted = name.encode("latin-1", "replace")
    values = [value.decode("latin-1").strip() for key, value in request.headers if key == wanted]
    return ",".join(_SPACES.sub(" ", value) for value in values)


@functools.lru_cache(maxsize=64)  # one for each key, day and service
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = ("AWS4" + secret).encode("utf-8")
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode("ascii"), "sha256")
    return key


def _verify_version_2(request: SignedRequest, secret: str, now: datetime) -> None:
    values = request.values()
    expires = values.get("Expires", "")
    if not re.fullmatch("[0-9]{1,12}", expires):
        raise BadSignature(f"Expires is {expires[:20]!r}, expected seconds since 1970")
    if now.timestamp() > int(expires):
        raise Expired(f"the request was to be sent by {expires}")
    amz: dict[str, list[str]] = {}
    for key, value in request.headers:
        if key.startswith(b"x-amz-"):
            amz.setdefault(key.decode("latin-1"), []).append(value.decode("latin-1").strip())
    text = "\n".join(
        (
            request.method,
            request.header("content-md5") or "",
            request.header("content-type") or "",
            expires,
            *(f"{name}:{','.join(amz[name])}" for name in sorted(amz)),
            request.path.decode("latin-1") + _version_2_query(values),
        )
    )
    made = b64encode(hmac.digest(secret.encode("utf-8"), text.encode("latin-1"), "sha1"))
    if not hmac.compare_digest(made, values.get("Signature", "").encode("latin-1", "replace")):
        raise _mismatch()


def _version_2_query(values: Mapping[str, str]) -> str:
    signed = [
        f"{name}={values[name]}" if values[name] else name for name in sorted(_SUBRESOURCES & {*values})
    ]
    return "?" + "&".join(signed) if signed else ""


def _mismatch() -> BadSignature:
    return BadSignature(
        "the signature is not the one that this key's secret makes of the request",
        hint="compare the secret access key with the server's key file",
    )
