"""Names and references: what users may call things, and how they point at a version.

SageMaker's pattern is kept everywhere, so that a name works here and in AWS. A user's string becomes
a path only as one component and only after it matched `NAME`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from modelport.domain.errors import InvalidInput

NAME_LENGTH_MAX = 63
NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", re.ASCII)
DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


def check_name(name: str, *, what: str) -> str:
    """Return `name` if it follows SageMaker's pattern.

    Args:
        name: The name a user gave.
        what: The noun for the message, for example "endpoint".

    Raises:
        InvalidInput: The name does not match; the hint suggests one that does.
    """
    if len(name) <= NAME_LENGTH_MAX and NAME.fullmatch(name):
        return name
    suggestion = re.sub(r"[^a-zA-Z0-9]+", "-", name).strip("-")[:NAME_LENGTH_MAX].strip("-")
    hint = f"try {suggestion!r}" if suggestion else "use letters, digits and hyphens"
    raise InvalidInput(
        f"{what} name {name!r} is not allowed: "
        f"expected 1 to {NAME_LENGTH_MAX} letters, digits and inner hyphens",
        hint=hint,
    )


@dataclass(frozen=True, slots=True)
class VersionReference:
    """A model version as users write it: `name:3`, `name@champion`, or `name` for the newest.

    Exactly one of `version` and `alias` is set, or neither.
    """

    group: str
    version: int | None = None
    alias: str | None = None

    def __str__(self) -> str:
        if self.version is not None:
            return f"{self.group}:{self.version}"
        return f"{self.group}@{self.alias}" if self.alias else self.group


def parse_version(text: str) -> VersionReference:
    """Read `name:3`, `name@alias` or `name`.

    Raises:
        InvalidInput: The text has another form, or the version is not a positive integer.
    """
    group, colon, version = text.partition(":")
    if colon:
        if not re.fullmatch(r"[1-9][0-9]{0,8}", version, re.ASCII):
            raise InvalidInput(
                f"version {version!r} in {text!r} is not a positive integer",
                hint=f"write {group}:1, for example",
            )
        return VersionReference(check_name(group, what="model"), version=int(version))
    group, at, alias = text.partition("@")
    if at:
        return VersionReference(check_name(group, what="model"), alias=check_name(alias, what="alias"))
    return VersionReference(check_name(text, what="model"))
