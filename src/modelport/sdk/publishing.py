"""From a proven bundle to a version on the server, and from a version back to its proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelport.domain.errors import InvalidInput, NotFound
from modelport.domain.names import check_name

if TYPE_CHECKING:
    from modelport.sdk.bundle import Bundle
    from modelport.sdk.client import Client
    from modelport.sdk.verifying import Verified
    from modelport.sdk.versions import ModelVersion

APPROVALS = (None, "manual")


def check_wish(name: str, alias: str | None, approval: str | None) -> None:
    """Say what is wrong with the names before the long work begins.

    Raises:
        InvalidInput: The name or alias is not allowed, or there is no such approval.
    """
    check_name(name, what="model")
    if alias is not None:
        check_name(alias, what="alias")
    if approval not in APPROVALS:
        raise InvalidInput(f"approval is {approval!r}, expected 'manual' or nothing")


def bundle_of(
    model: Any,
    example: Any,
    *,
    labels: Sequence[Any] | None,
    units: Mapping[str, str] | None,
    trust: bool,
    example_data: bool,
) -> Bundle:
    """Convert and prove a fitted object, or the file at a path; arguments as for `Client.register`."""
    if isinstance(model, str | Path):
        from modelport.sdk.model_files import bundle_from_file

        return bundle_from_file(
            model, example, labels=labels, units=units, trust=trust, example_data=example_data
        )
    from modelport.sdk.registering import build_bundle

    return build_bundle(model, example, labels=labels, units=units, example_data=example_data)


def publish(client: Client, bundle: Bundle, name: str, **about: Any) -> ModelVersion:
    """Upload a bundle and register it as the next version of `name`.

    Args:
        client: Where to.
        bundle: A proven model.
        name: The model's name; made when there is none.
        about: As for `Client.create_version`.
    """
    for content in bundle.files.values():
        client.upload(content)
    client.upload(bundle.manifest)
    return client.create_version(
        name, bundle.digest, framework=bundle.framework, estimator=bundle.estimator, **about
    )


def fetch(client: Client, version: ModelVersion) -> Bundle:
    """Download a version's bundle; each file is checked against its digest.

    Raises:
        NotFound: The version has no bundle: an AWS client registered an archive.
    """
    from modelport.sdk.bundle import restore
    from modelport.wire.manifest import decode_manifest

    if not version.digest:
        raise NotFound(
            f"{version.name} points at an archive and carries no proof to replay",
            hint="register the model itself: modelport register PATH --name NAME",
        )
    manifest = client.download(version.digest)
    files = {name: client.download(digest) for name, digest in decode_manifest(manifest).files.items()}
    return restore(manifest, files)


def verify(client: Client, version: ModelVersion) -> Verified:
    """Replay the proof's rows of a version here, through the runtime that serves.

    Raises:
        CheckFailed: The version does not answer as the original did.
    """
    from modelport.sdk.verifying import verify_bundle

    return verify_bundle(fetch(client, version))
