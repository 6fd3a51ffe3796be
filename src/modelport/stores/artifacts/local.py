"""Artifacts as files of one folder: `sha256/ab/abcdef…`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from modelport.domain.errors import Corrupted, InvalidInput, NotFound, PayloadTooLarge
from modelport.domain.names import DIGEST
from modelport.durable import atomic_file, crash_point, fsync_folder

CHUNK_BYTES = 1 << 20
FileIdentity = tuple[int, int, int]


class LocalArtifacts:
    """Immutable bytes under a folder.

    Args:
        folder: Root; made on the first write.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._verified: dict[str, FileIdentity] = {}

    def put(
        self, chunks: Iterable[bytes], *, expected: str | None = None, bytes_max: int | None = None
    ) -> str:
        """Store bytes and return their SHA-256.

        Args:
            chunks: The content, in order.
            expected: The digest the sender computed; None when unknown.
            bytes_max: Largest accepted size, None for no limit.

        Raises:
            InvalidInput: The digest is not the expected one; nothing is kept.
            PayloadTooLarge: There were more bytes than allowed; nothing is kept.
        """
        incoming = self._folder / "incoming"
        incoming.mkdir(parents=True, exist_ok=True)
        name = f"{os.getpid()}-{os.urandom(8).hex()}"
        staged = incoming / name
        hasher = hashlib.sha256()
        size = 0
        try:
            with atomic_file(staged) as file:
                for chunk in chunks:
                    size += len(chunk)
                    if bytes_max is not None and size > bytes_max:
                        raise PayloadTooLarge(f"artifact is larger than {bytes_max} bytes")
                    hasher.update(chunk)
                    file.write(chunk)
            digest = hasher.hexdigest()
            if expected is not None and digest != expected:
                raise InvalidInput(
                    f"artifact has SHA-256 {digest}, expected {expected}",
                    hint="send it again; it was damaged",
                )
            goal = self._place(digest)
            if not goal.parent.exists():
                goal.parent.mkdir(parents=True, exist_ok=True)
                fsync_folder(goal.parent.parent)
            crash_point("artifact.before_rename")
            staged.replace(goal)
            fsync_folder(goal.parent)
            crash_point("artifact.after_rename")
        finally:
            staged.unlink(missing_ok=True)
        return digest

    def has(self, digest: str) -> bool:
        """Return whether the bytes are here (not whether they are intact)."""
        return self._place(digest).is_file()

    def path(self, digest: str) -> Path:
        """Return the file, after its content was verified once in this process.

        Raises:
            NotFound: There is no such artifact.
            Corrupted: The content is not what was stored.
        """
        place = self._place(digest)
        try:
            stat = place.stat()
        except FileNotFoundError:
            raise NotFound(f"no artifact {digest[:12]}…", hint="register the model again") from None
        identity = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if self._verified.get(digest) != identity:
            hasher = hashlib.sha256()
            with place.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    hasher.update(chunk)
            if hasher.hexdigest() != digest:
                raise Corrupted(
                    f"artifact {digest[:12]}… is damaged: its content has SHA-256 {hasher.hexdigest()[:12]}…",
                    hint="register the model again, or restore the home from a backup",
                )
            self._verified[digest] = identity
        return place

    def read(self, digest: str) -> bytes:
        """Return the verified content.

        Raises:
            NotFound: There is no such artifact.
            Corrupted: The content is not what was stored.
        """
        return self.path(digest).read_bytes()

    def delete(self, digest: str) -> None:
        """Remove an artifact; nothing happens when there is none."""
        self._place(digest).unlink(missing_ok=True)
        self._verified.pop(digest, None)

    def stored_at(self, digest: str) -> datetime | None:
        """Return when an artifact was last stored, aware, UTC; None when there is none."""
        try:
            return datetime.fromtimestamp(self._place(digest).stat().st_mtime, UTC)
        except FileNotFoundError:
            return None

    def clear_incoming(self, before: datetime) -> None:
        """Remove what uploads left that were cut off before a time."""
        for path in (self._folder / "incoming").glob("*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before.timestamp():
                    path.unlink()

    def digests(self) -> list[str]:
        """Return the digests of everything stored."""
        return sorted(
            path.name for path in (self._folder / "sha256").glob("*/*") if DIGEST.fullmatch(path.name)
        )

    def _place(self, digest: str) -> Path:
        if not DIGEST.fullmatch(digest):
            raise InvalidInput(f"{digest!r} is not a SHA-256 in lower-case hex")
        return self._folder / "sha256" / digest[:2] / digest
