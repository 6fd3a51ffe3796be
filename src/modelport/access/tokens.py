"""Bearer tokens: a file of names, scopes and hashes, read again when it changes.

    # comment
    ci     registry:write,endpoints:write  9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    app    endpoints:invoke                60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752

The file holds SHA-256 only: enough for random tokens, and useless to whoever reads it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import stat
from dataclasses import dataclass

from modelport.access.grants import GrantFile, check_name
from modelport.access.scopes import Scope, parse_scopes
from modelport.domain.errors import InvalidInput

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Grant:
    """One line of the file: who, what it may do, and the SHA-256 of its token in lower-case hex."""

    name: str
    scopes: frozenset[Scope]
    token_sha256: str


class TokenFile(GrantFile[Grant]):
    """The tokens of a server.

    Args:
        path: The file.
        clock: Tells when to look at the file again.

    Raises:
        InvalidInput: The file is missing, is writable by others, holds a malformed line, or no line.
    """

    kind = "token"
    form = "NAME SCOPE[,SCOPE] SHA256-OF-TOKEN"
    closed_to = stat.S_IWGRP | stat.S_IWOTH

    def find(self, token: str) -> Grant | None:
        """Return the grant of `token`, None when there is none. Every line is compared, in constant time."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        found = None
        for grant in self.grants():
            if hmac.compare_digest(grant.token_sha256, digest):
                found = grant
        return found

    def read(self, words: list[str]) -> Grant:
        """Return the grant of one line."""
        if len(words) != 3:
            raise InvalidInput(f"found {len(words)} words, expected {self.form}")
        name, scopes, digest = words
        check_name(name)
        if not _DIGEST.fullmatch(digest):
            raise InvalidInput(f"the token of {name!r} is not a SHA-256 in lower-case hex")
        return Grant(name, parse_scopes(scopes), digest)
