"""An S3 of somebody else: Amazon's, a MinIO, another platform.

Objects are read into the artifact store, where everything is known by its SHA-256; what is written goes there
directly. Keys come from where every AWS program finds them: the environment, or the files in `~/.aws`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from modelport.domain.errors import InvalidInput, ModelportError, NotFound, Unavailable

CHUNK_BYTES = 1 << 20
MISSING = ("404", "NoSuchKey", "NoSuchBucket", "NotFound")
REFUSED = ("403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken")
REGION = "us-east-1"
"""Where nobody says another one: most servers that are not Amazon's do not care."""


class Artifacts(Protocol):
    """The artifact store, as far as objects need it."""

    def put(self, chunks: Iterable[bytes]) -> str:
        """Store bytes; return their SHA-256."""
        ...

    def has(self, digest: str) -> bool:
        """Return whether these bytes are there."""
        ...

    def path(self, digest: str) -> Path:
        """Return the file with these bytes."""
        ...


class ExternalBuckets:
    """The buckets of another S3.

    Args:
        url: Of its endpoint.
        artifacts: Where objects are read into.

    Raises:
        InvalidInput: The package that speaks S3 is not installed, or the URL is none.
    """

    def __init__(self, url: str, artifacts: Artifacts) -> None:
        self._url = url
        self._artifacts = artifacts
        self._known: dict[tuple[str, str], tuple[str, str]] = {}  # bucket and key to entity tag and digest
        self._lock = threading.Lock()
        self._client = _connect(url)

    def bucket(self, name: str) -> None:
        """Return when there is a bucket.

        Raises:
            NotFound: There is none of that name.
        """
        with self._telling(f"bucket {name!r}"):
            self._client.head_bucket(Bucket=name)

    def digest_of(self, bucket: str, key: str) -> str:
        """Return the SHA-256 of an object's bytes, which lie in the artifact store then.

        Raises:
            NotFound: There is no such object.
            InvalidInput: It may not be read.
            Unavailable: The S3 does not answer.
        """
        with self._telling(f"object s3://{bucket}/{key}"):
            tag = self._client.head_object(Bucket=bucket, Key=key)["ETag"]
            with self._lock:
                known, digest = self._known.get((bucket, key), ("", ""))
            if known == tag and self._artifacts.has(digest):
                return digest
            found = self._client.get_object(Bucket=bucket, Key=key)
            digest = self._artifacts.put(found["Body"].iter_chunks(CHUNK_BYTES))
        with self._lock:
            self._known[bucket, key] = (found["ETag"], digest)
        return digest

    def path_of(self, bucket: str, key: str) -> Path:
        """Return a file with an object's bytes; raises as `digest_of`."""
        return self._artifacts.path(self.digest_of(bucket, key))

    def put(
        self, bucket: str, key: str, chunks: list[bytes], *, headers: dict[str, str] | None = None
    ) -> None:
        """Store an object.

        Raises:
            NotFound: There is no such bucket.
            InvalidInput: It may not be written.
            Unavailable: The S3 does not answer.
        """
        media = (headers or {}).get("content-type", "application/octet-stream")
        with self._telling(f"bucket {bucket!r}"):
            self._client.put_object(Bucket=bucket, Key=key, Body=b"".join(chunks), ContentType=media)

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        """Tell what is wrong in our own words."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ModelportError:
            raise
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in MISSING:
                raise NotFound(
                    f"there is no {what} in {self._url}", hint="upload it, then try again"
                ) from error
            if code in REFUSED:
                raise InvalidInput(
                    f"{self._url} refuses {what}: {code}",
                    hint="give the platform's environment AWS keys that may use it",
                ) from error
            raise Unavailable(f"{self._url} failed on {what}: {error}") from error
        except BotoCoreError as error:
            raise Unavailable(f"{self._url} cannot be asked for {what}: {error}") from error


def _connect(url: str) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise InvalidInput(
            "s3_endpoint_url is set, and the package boto3 is not installed beside modelport",
            hint='pip install "modelport[s3]"',
        ) from error
    session = boto3.session.Session()
    config = Config(retries={"mode": "standard", "max_attempts": 3}, connect_timeout=10, read_timeout=60)
    try:
        return session.client(
            "s3", endpoint_url=url, region_name=session.region_name or REGION, config=config
        )
    except ValueError as error:
        raise InvalidInput(f"s3_endpoint_url is {url[:200]!r}: {error}") from error
