"""Who may ask a server under test, from real token and key files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from modelport.access.keys import KeyFile
from modelport.access.principals import Callers
from modelport.access.tokens import TokenFile
from modelport.domain.clock import Clock, SystemClock

ACCESS_KEY = "AKIAEXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


def write_tokens(path: Path, grants: Iterable[tuple[str, str, str]]) -> Path:
    """Write a token file of (name, scopes, token) each, and return its path."""
    rows = [(name, scopes, hashlib.sha256(token.encode()).hexdigest()) for name, scopes, token in grants]
    return _write(path, rows)


def write_keys(path: Path, keys: Iterable[tuple[str, str, str, str]]) -> Path:
    """Write a key file of (name, scopes, key id, secret) each, and return its path."""
    return _write(path, keys)


def callers(
    folder: Path,
    tokens: Iterable[tuple[str, str, str]],
    keys: Iterable[tuple[str, str, str, str]] = (),
    clock: Clock | None = None,
) -> Callers:
    """Return callers with these tokens and keys, whose files lie in `folder`."""
    clock, keys = clock or SystemClock(), list(keys)
    folder.mkdir(parents=True, exist_ok=True)
    return Callers(
        clock,
        TokenFile(write_tokens(folder / "tokens", tokens), clock),
        KeyFile(write_keys(folder / "keys", keys), clock) if keys else None,
    )


def _write(path: Path, rows: Iterable[tuple[str, ...]]) -> Path:
    path.touch(0o600)
    path.write_text("".join(" ".join(row) + "\n" for row in rows))
    return path
