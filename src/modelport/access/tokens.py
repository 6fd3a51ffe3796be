"""Bearer tokens: a file of names, scopes and hashes, read again when it changes.

    # comment
    ci     registry:write,endpoints:write  9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    app    endpoints:invoke                60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752

The file holds SHA-256 only: enough for random tokens, and useless to whoever reads it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from modelport.access.scopes import Scope, parse_scopes
from modelport.domain.clock import Clock
from modelport.domain.errors import InvalidInput

RECHECK_S = 0.5
"""A revoked token is refused this many seconds after the file was saved, at the latest."""

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._@-]{0,62}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Grant:
    """One line of the file: who, what it may do, and the SHA-256 of its token in lower-case hex."""

    name: str
    scopes: frozenset[Scope]
    token_sha256: str


def parse_tokens(text: str) -> tuple[list[Grant], list[str]]:
    """Read the lines of a token file.

    Args:
        text: The file's content.

    Returns:
        The grants, and what is wrong with each line that is none (its number first).
    """
    grants: list[Grant] = []
    problems: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            grants.append(_grant(words))
        except InvalidInput as error:
            problems.append(f"line {number}: {error.message}")
    return grants, problems


class TokenFile:
    """The tokens of a server.

    A file that vanishes or a line that no longer reads grants nothing: mistakes close the door.

    Args:
        path: The file.
        clock: Tells when to look at the file again.

    Raises:
        InvalidInput: The file is missing, is writable by others, holds a malformed line, or no line.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._identity: tuple[int, ...] | None = None
        self._grants: list[Grant] = []
        self.problems: list[str] = []
        self._load()
        if not self.problems and not self._grants:
            self.problems.append("it holds no token")
        if self.problems:
            raise InvalidInput(
                f"token file {path}: {'; '.join(self.problems)}",
                hint="expected lines of the form NAME SCOPE[,SCOPE] SHA256-OF-TOKEN",
            )

    def find(self, token: str) -> Grant | None:
        """Return the grant of `token`, None when there is none. Every line is compared, in constant time."""
        if self._clock.monotonic() - self._checked_at >= RECHECK_S:
            self._load()
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        found = None
        for grant in self._grants:
            if hmac.compare_digest(grant.token_sha256, digest):
                found = grant
        return found

    def _load(self) -> None:
        self._checked_at = self._clock.monotonic()
        grants: list[Grant] = []
        problems: list[str] = []
        seen: tuple[int, ...] | None = None
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                identity = (status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode)
                if identity == self._identity:
                    return
                if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                    problems.append("it is writable by others; run chmod go-w on it")
                else:
                    grants, problems = parse_tokens(file.read().decode("utf-8"))
                seen = identity
        except (OSError, UnicodeDecodeError) as error:
            problems.append(str(error))
        self._identity, self._grants, self.problems = seen, grants, problems


def _grant(words: list[str]) -> Grant:
    if len(words) != 3:
        raise InvalidInput(f"found {len(words)} words, expected NAME SCOPE[,SCOPE] SHA256-OF-TOKEN")
    name, scopes, digest = words
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"name {name!r} is not allowed; use letters, digits, '.', '_', '@' and hyphens")
    if not _DIGEST.fullmatch(digest):
        raise InvalidInput(f"the token of {name!r} is not a SHA-256 in lower-case hex")
    return Grant(name, parse_scopes(scopes), digest)
