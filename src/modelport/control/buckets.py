"""Where the objects lie that models are made of, and that asynchronous requests read and write."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from modelport.stores.buckets.external import ExternalBuckets

TOGETHER_MAX = 4


FORGOTTEN_S = 5.0
"""Whoever waits for an object asks every second; what nobody asked for so long, nobody waits for."""


@dataclass(slots=True)
class _Look:
    """An object that is being read, and when somebody last asked for it, in monotonic seconds."""

    future: Future[str]
    asked_at: float = 0.0


class Buckets(Protocol):
    """An S3, as far as the control plane needs it: this platform's own, or another one."""

    def bucket(self, name: str) -> object:
        """Return when there is a bucket.

        Raises:
            NotFound: There is none of that name.
        """
        ...

    def digest_of(self, bucket: str, key: str) -> str:
        """Return the SHA-256 of an object's bytes, which lie in the artifact store then.

        Raises:
            NotFound: There is no such object.
        """
        ...

    def find(self, bucket: str, key: str) -> str | None:
        """Return the same without waiting for it; None: it is on its way, ask again.

        Raises:
            NotFound: There is no such object.
        """
        ...

    def path_of(self, bucket: str, key: str) -> Path:
        """Return a file with an object's bytes.

        Raises:
            NotFound: There is no such object.
        """
        ...

    def put(
        self, bucket: str, key: str, chunks: list[bytes], *, headers: dict[str, str] | None = None
    ) -> object:
        """Store an object.

        Raises:
            NotFound: There is no such bucket.
        """
        ...


class FarBuckets:
    """The buckets of another S3, for a loop that waits for nobody.

    Args:
        external: What speaks to it.
        now: Monotonic seconds.
        wake: Called when what somebody looked for is there, or is not.
    """

    def __init__(self, external: ExternalBuckets, now: Callable[[], float], wake: Callable[[], None]) -> None:
        self.bucket = external.bucket
        self.digest_of = external.digest_of
        self.path_of = external.path_of
        self.put = external.put
        self._now = now
        self._wake = wake
        self._pool = ThreadPoolExecutor(TOGETHER_MAX, thread_name_prefix="bucket")
        self._looks: dict[tuple[str, str], _Look] = {}

    def find(self, bucket: str, key: str) -> str | None:
        """Return the digest of an object once it was read; None until then."""
        self._forget()
        look = self._looks.get((bucket, key))
        if look is None:
            look = self._looks[bucket, key] = _Look(self._pool.submit(self.digest_of, bucket, key))
            look.future.add_done_callback(lambda _: self._wake())
        look.asked_at = self._now()
        if not look.future.done():
            return None
        del self._looks[bucket, key]
        return look.future.result()

    def _forget(self) -> None:
        """Forget what came for somebody who went away: it may be another object by the next time."""
        oldest = self._now() - FORGOTTEN_S
        self._looks = {
            key: look for key, look in self._looks.items() if not look.future.done() or look.asked_at > oldest
        }

    def close(self) -> None:
        """Begin nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
