"""Groups, versions, approval and aliases."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from modelport.control.services.page import Page, bounded, page_of
from modelport.control.services.references import (
    check_no_component_uses,
    check_no_job_uses,
    endpoints_using,
    resolve,
    tell_aliases,
)
from modelport.control.services.resources import forget, make
from modelport.domain.errors import Conflict, Corrupted, InvalidInput, NotFound
from modelport.domain.names import VersionReference, check_name
from modelport.domain.registry import (
    ApprovalStatus,
    GroupNotes,
    GroupSpec,
    GroupStatus,
    ModelPackage,
    ModelPackageGroup,
    PackageNotes,
    PackageSpec,
    PackageStatus,
)
from modelport.domain.resource import Kind, Tag
from modelport.stores.records.records import Records
from modelport.stores.records.transaction import Transaction
from modelport.wire.manifest import MANIFEST_BYTES_MAX, PROOF, decode_manifest

PROOF_BYTES_MAX = 64 << 10
"""A larger proof is kept by its digest alone: describing a version must stay cheap."""


class Artifacts(Protocol):
    """What the registry needs of the artifact store."""

    def has(self, digest: str) -> bool:
        """Return whether the bytes are here."""
        ...

    def read(self, digest: str) -> bytes:
        """Return the verified content."""
        ...


class Registry:
    """Model versions.

    Args:
        records: Where they are kept.
        artifacts: Where their files lie.
    """

    def __init__(self, records: Records, artifacts: Artifacts) -> None:
        self._records = records
        self._artifacts = artifacts

    def create_group(
        self,
        name: str,
        *,
        description: str | None = None,
        tags: Sequence[Tag] = (),
        request: Mapping[str, Any] | None = None,
        principal: str,
    ) -> ModelPackageGroup:
        """Make an empty group. `request`: as an AWS client wrote it.

        Raises:
            InvalidInput: The name is not allowed.
            Conflict: The name is taken.
        """
        check_name(name, what="model")
        with self._records.transaction(principal=principal) as tx:
            return _create_group(tx, GroupSpec(name, description, tuple(tags), dict(request or {})))

    def register_version(  # noqa: PLR0913 (each is one fact about a version; all but two are optional)
        self,
        group: str,
        digest: str,
        *,
        approval: ApprovalStatus = ApprovalStatus.APPROVED,
        framework: str | None = None,
        estimator: str | None = None,
        metrics: Mapping[str, float] | None = None,
        metadata: Mapping[str, str] | None = None,
        tags: Sequence[Tag] = (),
        parent_version: int | None = None,
        description: str | None = None,
        principal: str,
    ) -> ModelPackage:
        """Add the next version to a group, making the group when there is none.

        Args:
            group: Its name.
            digest: SHA-256 of the manifest, which was uploaded before, with every file it names.
            approval: Whether it may be deployed at once.
            framework: For example `scikit-learn 1.9.1`.
            estimator: Class of the final estimator.
            metrics: Metric name to number.
            metadata: Free words.
            tags: AWS tags.
            parent_version: The version it was trained to replace.
            description: For people.
            principal: Who asks.

        Raises:
            InvalidInput: The name is not allowed, or the digest does not name a manifest.
            NotFound: The manifest, a file it names, or the parent version is not here.
            Corrupted: The manifest's or the proof's bytes are damaged.
        """
        check_name(group, what="model")
        with self._records.transaction(principal=principal) as tx:
            # Inside the transaction, because retention deletes artifacts inside one: a file that is here
            # now stays, once the version is.
            files = self._check_files(digest)
            owner: ModelPackageGroup | None = tx.find(Kind.MODEL_PACKAGE_GROUP, group)
            if owner is None:
                owner = _create_group(tx, GroupSpec(group))
            if parent_version is not None:
                tx.get(Kind.MODEL_PACKAGE, f"{group}:{parent_version}")
            spec = PackageSpec(
                model_package_group_name=group,
                model_package_description=description,
                model_approval_status=approval,
                customer_metadata_properties=dict(metadata or {}),
                tags=tuple(tags),
            )
            notes = PackageNotes(
                digest=digest,
                files=files,
                framework=framework,
                estimator=estimator,
                parent_version=parent_version,
                metrics=dict(metrics or {}),
                proof=self._proof_summary(files),
            )
            return _add_version(tx, owner, spec, notes, f"model {digest[:12]}")

    def register_archive(self, spec: PackageSpec, *, principal: str) -> ModelPackage:
        """Add a version that only points at an archive to a group, as AWS clients do.

        Args:
            spec: The wish; its group must exist.
            principal: Who asks.

        Returns:
            The new version; the one that the same wish made before, where its client token says so.

        Raises:
            NotFound: There is no such group.
            Conflict: The client token named another wish.
        """
        with self._records.transaction(principal=principal) as tx:
            owner: ModelPackageGroup = tx.get(Kind.MODEL_PACKAGE_GROUP, spec.model_package_group_name)
            known = _find_by_token(tx, spec)
            if known is not None:
                return known
            told = spec.container.model_data_url if spec.container is not None else None
            return _add_version(tx, owner, spec, PackageNotes(digest=""), told or "no archive")

    def version(self, reference: VersionReference) -> ModelPackage:
        """Return the version a reference points at now.

        Raises:
            NotFound: There is no such group, version or alias.
        """
        with self._records.reading() as tx:
            return resolve(tx, reference)

    def versions(
        self, group: str, *, after: str | None = None, limit: int | None = None
    ) -> Page[ModelPackage]:
        """Return the versions of a group, newest first.

        Args:
            group: Its name.
            after: `next` of the page before.
            limit: At most so many.

        Raises:
            NotFound: There is no such group.
        """
        with self._records.reading() as tx:
            tx.get(Kind.MODEL_PACKAGE_GROUP, group)
            found: list[ModelPackage] = tx.all(Kind.MODEL_PACKAGE, parent=group)
        found.sort(key=lambda item: -item.status.model_package_version)
        if after is not None:
            if not after.isdecimal():
                raise InvalidInput(f"page mark {after!r} is not one this list gave")
            found = [item for item in found if item.status.model_package_version < int(after)]
        size = bounded(limit)
        items = tuple(found[:size])
        return Page(items, str(items[-1].status.model_package_version) if len(found) > size else None)

    def group(self, name: str) -> ModelPackageGroup:
        """Return a group.

        Raises:
            NotFound: There is none of that name.
        """
        with self._records.reading() as tx:
            return tx.get(Kind.MODEL_PACKAGE_GROUP, name)

    def groups(self, *, after: str | None = None, limit: int | None = None) -> Page[ModelPackageGroup]:
        """Return all groups, by name."""
        return page_of(self._records, Kind.MODEL_PACKAGE_GROUP, after, limit)

    def set_approval(
        self,
        reference: VersionReference,
        status: ApprovalStatus,
        description: str | None = None,
        *,
        principal: str,
    ) -> ModelPackage:
        """Approve or reject a version. What serves goes on serving; new wishes are checked.

        Raises:
            NotFound: There is no such version.
        """
        with self._records.transaction(principal=principal) as tx:
            package = resolve(tx, reference)
            before = package.status.model_approval_status
            package = replace(
                package,
                status=replace(
                    package.status, model_approval_status=status, approval_description=description
                ),
                modified_at=tx.now,
            )
            tx.put(package)
            told = f"{before.value} → {status.value}" + (f": {description}" if description else "")
            tx.event("approval", Kind.MODEL_PACKAGE, package.name, told)
            return package

    def set_metadata(
        self, reference: VersionReference, metadata: Mapping[str, str], *, principal: str
    ) -> ModelPackage:
        """Replace the free words of a version.

        Raises:
            NotFound: There is no such version.
        """
        with self._records.transaction(principal=principal) as tx:
            package = resolve(tx, reference)
            spec = replace(package.spec, customer_metadata_properties=dict(metadata))
            package = replace(package, spec=spec, modified_at=tx.now)
            tx.put(package)
            tx.event("update", Kind.MODEL_PACKAGE, package.name, "metadata")
            return package

    def set_alias(self, group: str, alias: str, version: int, *, principal: str) -> ModelPackageGroup:
        """Let an alias point at a version. Moves no traffic: an alias is resolved when it is used.

        Raises:
            InvalidInput: The alias is not an allowed name.
            NotFound: There is no such group or version.
        """
        check_name(alias, what="alias")
        with self._records.transaction(principal=principal) as tx:
            owner: ModelPackageGroup = tx.get(Kind.MODEL_PACKAGE_GROUP, group)
            tx.get(Kind.MODEL_PACKAGE, f"{group}:{version}")
            aliases = owner.modelport.aliases | {alias: version}
            owner = replace(owner, modelport=replace(owner.modelport, aliases=aliases), modified_at=tx.now)
            tx.put(owner)
            tx.event("alias", Kind.MODEL_PACKAGE_GROUP, group, f"@{alias} → {version}")
            return owner

    def remove_alias(self, group: str, alias: str, *, principal: str) -> ModelPackageGroup:
        """Forget an alias.

        Raises:
            NotFound: There is no such group or alias.
        """
        with self._records.transaction(principal=principal) as tx:
            owner: ModelPackageGroup = tx.get(Kind.MODEL_PACKAGE_GROUP, group)
            if alias not in owner.modelport.aliases:
                raise NotFound(f"{group} has no alias {alias!r}", hint=tell_aliases(owner))
            aliases = {name: version for name, version in owner.modelport.aliases.items() if name != alias}
            owner = replace(owner, modelport=replace(owner.modelport, aliases=aliases), modified_at=tx.now)
            tx.put(owner)
            tx.event("unalias", Kind.MODEL_PACKAGE_GROUP, group, f"@{alias}")
            return owner

    def delete_version(self, reference: VersionReference, *, dry_run: bool = False, principal: str) -> None:
        """Delete a version. Its number is never given again; its files go after a while.

        Models that point at it and serve nowhere go with it.

        Args:
            reference: Which.
            dry_run: Raise as the deletion would, and change nothing.
            principal: Who asks.

        Raises:
            NotFound: There is no such version.
            Conflict: An endpoint, an inference component or a job that has not ended uses it, or an alias
                points at it.
        """
        with self._records.transaction(principal=principal) as tx:
            package = resolve(tx, reference)
            owner: ModelPackageGroup = tx.get(Kind.MODEL_PACKAGE_GROUP, str(package.parent))
            number = package.status.model_package_version
            pointing = [alias for alias, version in owner.modelport.aliases.items() if version == number]
            if pointing:
                raise Conflict(
                    f"alias {owner.name}@{pointing[0]} points at {package.name}",
                    hint=f"point it elsewhere first: modelport alias {owner.name}:VERSION {pointing[0]}",
                )
            models = [
                model.name for model in tx.all(Kind.MODEL) if model.modelport.model_version == package.name
            ]
            users = endpoints_using(tx, models)
            if users:
                raise Conflict(
                    f"{package.name} is used by endpoint {users[0]!r}",
                    hint=f"deploy another version to it, or: modelport undeploy {users[0]}",
                )
            check_no_component_uses(tx, models)
            check_no_job_uses(tx, models)
            if dry_run:
                return
            for model in models:
                forget(tx, Kind.MODEL, model, f"with {package.name}")
            forget(tx, Kind.MODEL_PACKAGE, package.name)

    def delete_group(self, name: str, *, principal: str) -> None:
        """Delete an empty group.

        Raises:
            NotFound: There is none of that name.
            Conflict: It has versions.
        """
        with self._records.transaction(principal=principal) as tx:
            tx.get(Kind.MODEL_PACKAGE_GROUP, name)
            held = tx.all(Kind.MODEL_PACKAGE, parent=name)
            if held:
                raise Conflict(
                    f"group {name!r} has {len(held)} version{'s' if len(held) > 1 else ''}",
                    hint=f"delete them first: modelport delete {held[0].name}",
                )
            forget(tx, Kind.MODEL_PACKAGE_GROUP, name)

    def _check_files(self, digest: str) -> dict[str, str]:
        content = self._artifacts.read(digest)
        if len(content) > MANIFEST_BYTES_MAX:
            raise InvalidInput(f"artifact {digest[:12]}… has {len(content)} bytes, too many for a manifest")
        files = decode_manifest(content).files
        for name, file in files.items():
            if not self._artifacts.has(file):
                raise NotFound(
                    f"the manifest names {name} ({file[:12]}…), which was not uploaded",
                    hint="upload it, then register again",
                )
        return files

    def _proof_summary(self, files: Mapping[str, str]) -> dict[str, Any]:
        if PROOF not in files:
            return {}
        content = self._artifacts.read(files[PROOF])
        if len(content) > PROOF_BYTES_MAX:
            return {}
        try:
            proof = json.loads(content)
        except ValueError as error:
            raise Corrupted(f"{PROOF} is not JSON: {error}", hint="register the model again") from error
        return proof if isinstance(proof, dict) else {}


def _add_version(
    tx: Transaction, owner: ModelPackageGroup, spec: PackageSpec, notes: PackageNotes, told: str
) -> ModelPackage:
    version = owner.modelport.last_version + 1
    tx.put(replace(owner, modelport=replace(owner.modelport, last_version=version), modified_at=tx.now))
    approval = spec.model_approval_status
    return make(
        tx,
        Kind.MODEL_PACKAGE,
        f"{owner.name}:{version}",
        spec,
        parent=owner.name,
        status=PackageStatus(model_package_version=version, model_approval_status=approval),
        notes=notes,
        verb="register",
        told=f"{approval.value}, {told}",
    )


def _find_by_token(tx: Transaction, spec: PackageSpec) -> ModelPackage | None:
    if spec.client_token is None:
        return None
    packages: list[ModelPackage] = tx.all(Kind.MODEL_PACKAGE, parent=spec.model_package_group_name)
    known = next((one for one in packages if one.spec.client_token == spec.client_token), None)
    if known is not None and known.spec.request != spec.request:
        raise Conflict(
            f"the client token {spec.client_token!r} named another request, which made {known.name}",
            hint="give each request a token of its own",
        )
    return known


def _create_group(tx: Transaction, spec: GroupSpec) -> ModelPackageGroup:
    return make(
        tx,
        Kind.MODEL_PACKAGE_GROUP,
        spec.model_package_group_name,
        spec,
        status=GroupStatus(),
        notes=GroupNotes(),
        told=spec.model_package_group_description or "",
    )
