"""Registered models: groups of versions, and one version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelport.sdk.resources import Described
from modelport.sdk.transport import quote

if TYPE_CHECKING:
    from modelport.domain.signature import Signature
    from modelport.sdk.verifying import Verified


class ModelGroup(Described):
    """All versions under one name."""

    @property
    def aliases(self) -> dict[str, int]:
        """Return alias to version number."""
        return dict(self.notes.get("aliases") or {})

    @property
    def last_version(self) -> int:
        """Return the newest version number ever given; 0 before the first."""
        return int(self.notes.get("last_version", 0))

    def versions(self) -> list[ModelVersion]:
        """Return the versions, newest first."""
        return self.client.versions(self.name)


class ModelVersion(Described):
    """One version of a model: `name:3`."""

    @property
    def group(self) -> str:
        """Return the model's name without the version."""
        return str(self.document["parent"])

    @property
    def version(self) -> int:
        """Return the version's number, from 1."""
        return int(self.status_document["model_package_version"])

    @property
    def approval(self) -> str:
        """Return Approved, Rejected or PendingManualApproval."""
        return str(self.status_document.get("model_approval_status", "Approved"))

    @property
    def digest(self) -> str:
        """Return the SHA-256 of its manifest."""
        return str(self.notes["digest"])

    @property
    def files(self) -> dict[str, str]:
        """Return the files of its bundle: name to SHA-256."""
        return dict(self.notes.get("files") or {})

    @property
    def framework(self) -> str | None:
        """Return what it was trained with, for example `scikit-learn 1.9.1`."""
        return self.notes.get("framework")

    @property
    def metrics(self) -> dict[str, float]:
        """Return what was measured when it was registered."""
        return dict(self.notes.get("metrics") or {})

    @property
    def proof(self) -> dict[str, Any]:
        """Return the summary of the parity proof.

        Besides what `proof.json` holds: `rows` that both graphs answered, and over both graphs the largest
        difference `max_absolute`, label `flips` and `ties`. Empty for a version without a proof.
        """
        proof = dict(self.notes.get("proof") or {})
        graphs = [proof[graph] for graph in ("serving", "published") if proof.get(graph)]
        if graphs:
            proof["rows"] = max(graph["rows"] for graph in graphs)
            proof["max_absolute"] = max(graph["max_absolute"] for graph in graphs)
            proof["flips"] = sum(graph["flips"] for graph in graphs)
            proof["ties"] = max(graph["ties"] for graph in graphs)
        return proof

    def approve(self, reason: str = "") -> ModelVersion:
        """Allow it to be deployed.

        Args:
            reason: Kept with the decision.
        """
        return self._decide("Approved", reason)

    def reject(self, reason: str = "") -> ModelVersion:
        """Forbid it to be deployed. What already serves it goes on.

        Args:
            reason: Kept with the decision.
        """
        return self._decide("Rejected", reason)

    def alias(self, alias: str) -> ModelVersion:
        """Point `alias` at it, so that `name@alias` means it. Traffic does not move.

        Args:
            alias: For example "champion".
        """
        path = f"{_group_path(self.group)}/aliases/{quote(alias)}"
        self.client.control.ask("PUT", path, {"version": self.version})
        return self

    def signature(self) -> Signature:
        """Return what it takes and gives: names, types, categories, labels."""
        from modelport.wire.manifest import SIGNATURE
        from modelport.wire.signature import decode_signature

        return decode_signature(self.client.download(self.files[SIGNATURE]))

    def verify(self) -> Verified:
        """Replay the proof's rows here, through the runtime that serves.

        Raises:
            CheckFailed: It does not answer as the original did.
        """
        from modelport.sdk.publishing import verify

        return verify(self.client, self)

    def delete(self, *, dry_run: bool = False) -> None:
        """Remove it.

        Args:
            dry_run: Only tell, by raising, whether something is in the way.

        Raises:
            Conflict: Something still uses it.
        """
        params = {"dry_run": "true"} if dry_run else None
        self.client.control.ask("DELETE", self._path, params=params)

    @property
    def _path(self) -> str:
        return f"{_group_path(self.group)}/versions/{self.version}"

    def _decide(self, status: str, reason: str) -> ModelVersion:
        wish = {"approval_status": status, "approval_description": reason or None}
        self.document = self.client.control.ask("PATCH", self._path, wish)
        return self


def _group_path(group: str) -> str:
    return f"/api/v1/model-package-groups/{quote(group)}"
