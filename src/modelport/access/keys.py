"""AWS keys: a file of names, scopes, key ids and secrets, read again when it changes.

    # comment
    ci     registry:write,endpoints:write  AKIAMODELPORTCI   wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY
    app    endpoints:invoke                AKIAMODELPORTAPP  je7MtGbClwBFd2Zp9Utkdh3yCo8nvbEXAMPLEKEY

A signature can be verified only by who has the secret itself, so whoever reads this file can sign: it must
be readable by its owner alone.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass

from modelport.access.grants import GrantFile, check_name
from modelport.access.scopes import Scope, parse_scopes
from modelport.domain.errors import InvalidInput

SECRET_LENGTH_MIN = 20
_KEY_ID = re.compile(r"[A-Za-z0-9_]{4,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Key:
    """One line of the file.

    Args:
        name: Whose key it is.
        scopes: What it may do.
        access_key: The key's id, as requests name it.
        secret: What they are signed with.
    """

    name: str
    scopes: frozenset[Scope]
    access_key: str
    secret: str

    def __repr__(self) -> str:
        """Return it without the secret, which must not get into a log."""
        return f"Key({self.name!r}, {self.access_key!r})"


class KeyFile(GrantFile[Key]):
    """The AWS keys of a server.

    Args:
        path: The file.
        clock: Tells when to look at the file again.

    Raises:
        InvalidInput: The file is missing, can be read by others, holds a malformed line, or no line.
    """

    kind = "key"
    form = "NAME SCOPE[,SCOPE] ACCESS-KEY-ID SECRET-ACCESS-KEY"
    closed_to = stat.S_IRWXG | stat.S_IRWXO

    def find(self, access_key: str) -> Key | None:
        """Return the key of an id, None when there is none."""
        return next((key for key in self.grants() if key.access_key == access_key), None)

    def read(self, words: list[str]) -> Key:
        """Return the key of one line."""
        if len(words) != 4:
            raise InvalidInput(f"found {len(words)} words, expected {self.form}")
        name, scopes, access_key, secret = words
        check_name(name)
        if not _KEY_ID.fullmatch(access_key):
            raise InvalidInput(f"the key id of {name!r} is none; use 4 to 128 letters, digits and '_'")
        if len(secret) < SECRET_LENGTH_MIN:
            raise InvalidInput(
                f"the secret of {name!r} has {len(secret)} characters, expected {SECRET_LENGTH_MIN} or more"
            )
        return Key(name, parse_scopes(scopes), access_key, secret)
