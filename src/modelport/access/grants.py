"""A file that says who may do what, line by line, read again when it changes."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from modelport.domain.clock import Clock
from modelport.domain.errors import InvalidInput

RECHECK_S = 0.5
"""Whoever is struck out is refused this many seconds after the file was saved, at the latest."""

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._@-]{0,62}", re.ASCII)
Granted = TypeVar("Granted")


class GrantFile(ABC, Generic[Granted]):
    """A file of grants; empty lines and those that begin with `#` say nothing.

    A file that vanishes or a line that no longer reads grants nothing: mistakes close the door.

    Args:
        path: The file.
        clock: Tells when to look at the file again.

    Raises:
        InvalidInput: The file is missing, is open to others, holds a malformed line, or no line.
    """

    kind: ClassVar[str]
    """What it holds, in a word."""

    form: ClassVar[str]
    """What a line looks like."""

    closed_to: ClassVar[int]
    """Bits that its mode must not have."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._identity: tuple[int, ...] | None = None
        self._grants: list[Granted] = []
        self.problems: list[str] = []
        self._load()
        if not self.problems and not self._grants:
            self.problems.append(f"it holds no {self.kind}")
        if self.problems:
            raise InvalidInput(
                f"{self.kind} file {path}: {'; '.join(self.problems)}",
                hint=f"expected lines of the form {self.form}",
            )

    @abstractmethod
    def read(self, words: list[str]) -> Granted:
        """Return the grant of one line.

        Raises:
            InvalidInput: The line says none; never repeats a secret.
        """

    def grants(self) -> list[Granted]:
        """Return what the file grants now."""
        if self._clock.monotonic() - self._checked_at >= RECHECK_S:
            self._load()
        return self._grants

    def _load(self) -> None:
        self._checked_at = self._clock.monotonic()
        grants: list[Granted] = []
        problems: list[str] = []
        seen: tuple[int, ...] | None = None
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                identity = (status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode)
                if identity == self._identity:
                    return
                if status.st_mode & self.closed_to:
                    problems.append(f"it is {self._openness(status.st_mode)}")
                else:
                    grants, problems = self._parse(file.read().decode("utf-8"))
                seen = identity
        except (OSError, UnicodeDecodeError) as error:
            problems.append(str(error))
        self._identity, self._grants, self.problems = seen, grants, problems

    def _openness(self, mode: int) -> str:
        if mode & 0o022:
            return "writable by others; run chmod go-w on it"
        return "readable by others; run chmod go-r on it"

    def _parse(self, text: str) -> tuple[list[Granted], list[str]]:
        grants: list[Granted] = []
        problems: list[str] = []
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            try:
                grants.append(self.read(words))
            except InvalidInput as error:
                problems.append(f"line {number}: {error.message}")
        return grants, problems


def check_name(name: str) -> None:
    """Let a name pass that events can record.

    Raises:
        InvalidInput: It is none.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"name {name!r} is not allowed; use letters, digits, '.', '_', '@' and hyphens")
