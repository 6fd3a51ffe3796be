"""A resource as the server describes it, wrapped in a noun of the SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelport.sdk.client import Client


class Described:
    """Something that lives on the server; `document` is its newest known description.

    Args:
        client: Where it lives.
        document: `{"kind", "name", "spec", "status", "modelport", …}`.
    """

    def __init__(self, client: Client, document: dict[str, Any]) -> None:
        self.client = client
        self.document = document

    @property
    def name(self) -> str:
        """Return its name."""
        return str(self.document["name"])

    @property
    def spec(self) -> dict[str, Any]:
        """Return what was asked for."""
        return dict(self.document.get("spec") or {})

    @property
    def status_document(self) -> dict[str, Any]:
        """Return what is so, as the server describes it."""
        return dict(self.document.get("status") or {})

    @property
    def notes(self) -> dict[str, Any]:
        """Return what modelport notes beyond SageMaker's words."""
        return dict(self.document.get("modelport") or {})

    @property
    def settled(self) -> bool:
        """Return whether the status speaks of the newest wish."""
        return bool(self.document.get("observed_generation", 0) >= self.document.get("generation", 0))

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"
