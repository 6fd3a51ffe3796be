"""Names of plugs and where they live: a plug is imported when it is first used.

A registry line is a name, `package.module:attribute`, and what to install where the import fails. So a
framework that nobody uses costs nothing, and one that is absent costs a clear sentence.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelport.domain.errors import NotFound, Refused


@dataclass(frozen=True, slots=True)
class Plug:
    """One line of a registry.

    Args:
        path: `package.module:attribute`.
        extra: The extra of modelport that brings what it needs; None where it needs nothing more.
    """

    path: str
    extra: str | None = None


class Plugs(Mapping[str, Plug]):
    """A table of plugs of one kind.

    Args:
        kind: What they are, for messages: "scikit-learn step".
        table: Name to plug.
    """

    def __init__(self, kind: str, table: Mapping[str, Plug]) -> None:
        self._kind = kind
        self._table = dict(table)

    def __getitem__(self, name: str) -> Plug:
        return self._table[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def load(self, name: str) -> Any:
        """Return what the line points at, imported now.

        Args:
            name: A name of the table.

        Raises:
            NotFound: There is no such line; the message lists those there are.
            Refused: What it needs is not installed; the hint is the command that installs it.
        """
        plug = self._table.get(name)
        if plug is None:
            raise NotFound(f"no {self._kind} is called {name!r}, expected one of {', '.join(self._table)}")
        module, _, attribute = plug.path.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            if plug.extra is None or (error.name or "").split(".")[0] == "modelport":
                raise
            raise Refused(
                f"the {self._kind} {name!r} needs {error.name}, which is not installed",
                hint=f"pip install 'modelport[{plug.extra}]'",
            ) from error
