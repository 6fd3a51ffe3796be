"""Paths that answer GET by themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modelport.access.scopes import Scope


@dataclass(frozen=True, slots=True)
class Page:
    """A path that answers GET by itself: the scope it asks for, and its reply."""

    scope: Scope
    show: Callable[[], bytes]
