"""The credential scope of a request: which service and region its sender meant.

Source: AWS Signature Version 4, `Credential=KEY/DATE/REGION/SERVICE/aws4_request` in the Authorization
header, or `X-Amz-Credential` in the query of a presigned URL. S3 clients that are told another
URL than AWS's still presign by Signature Version 2: `AWSAccessKeyId`, `Signature` and `Expires` in the query.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qs

ALGORITHM = b"AWS4-HMAC-SHA256"
DEFAULT_REGION = "us-east-1"
_SCOPE = re.compile(r"([^/\s]{1,128})/([0-9]{8})/([a-z0-9-]{1,40})/([a-z0-9-]{1,60})/aws4_request", re.ASCII)
_HEADER = re.compile(rb"Credential=([^,\s]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Credential:
    """What a signature was made for.

    Args:
        access_key: The key's id.
        date: `yyyymmdd`; empty in version 2.
        region: For example `eu-west-1`.
        service: For example `sagemaker`.
    """

    access_key: str
    date: str
    region: str
    service: str


def find_credential(headers: Iterable[tuple[bytes, bytes]], query: bytes) -> Credential | None:
    """Return the credential a request carries, None when it carries none that can be read.

    Args:
        headers: Names in lower case, with their values.
        query: The query string.
    """
    for name, value in headers:
        if name == b"authorization" and value.startswith(ALGORITHM):
            match = _HEADER.search(value)
            return None if match is None else _parse(match[1].decode("latin-1"))
    if b"X-Amz-Credential=" in query:
        given = parse_qs(query.decode("latin-1")).get("X-Amz-Credential", [""])
        return _parse(given[0])
    if b"AWSAccessKeyId=" in query and b"Signature=" in query:
        key = parse_qs(query.decode("latin-1")).get("AWSAccessKeyId", [""])[0]
        return Credential(key, "", DEFAULT_REGION, "s3")
    return None


def _parse(text: str) -> Credential | None:
    match = _SCOPE.fullmatch(text)
    return None if match is None else Credential(match[1], match[2], match[3], match[4])
