"""A model's bundle in memory: its files by name, the manifest that lists them, and what its proof says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from modelport.domain.errors import Corrupted, InvalidInput
from modelport.domain.signature import Signature
from modelport.evaluation.proof import Proof, decode_proof
from modelport.wire import manifest as names
from modelport.wire.manifest import Manifest, decode_manifest, encode_manifest
from modelport.wire.signature import decode_signature

REQUIRED = (names.SERVING_GRAPH, names.SIGNATURE, names.PROOF, names.PROOF_ROWS)
OPTIONAL = (names.PUBLISHED_GRAPH, names.BASELINE)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A proven model, ready to be uploaded.

    Args:
        files: File name (see `wire/manifest.py`) to content.
        manifest: The manifest's bytes.
        digest: SHA-256 of the manifest; the model's name to every machine.
        signature: What it takes and gives.
        proof: What was proven.
    """

    files: Mapping[str, bytes]
    manifest: bytes
    digest: str
    signature: Signature
    proof: Proof

    @property
    def framework(self) -> str:
        """Return for example `scikit-learn 1.9.1`."""
        return self.proof.framework

    @property
    def estimator(self) -> str:
        """Return the class of the final estimator."""
        return self.proof.estimator


def assemble(files: Mapping[str, bytes]) -> Bundle:
    """Return the bundle of these files.

    Raises:
        InvalidInput: A file is missing, unknown or unreadable.
    """
    for name in REQUIRED:
        if name not in files:
            raise InvalidInput(f"the bundle lacks {name!r}")
    for name in files:
        if name not in {*REQUIRED, *OPTIONAL}:
            raise InvalidInput(f"the bundle holds a file nobody knows: {name!r}")
    proof = decode_proof(files[names.PROOF])
    digests = {name: digest_of(content) for name, content in files.items()}
    manifest = encode_manifest(Manifest(digests, batch_difference=proof.batch_difference))
    return Bundle(
        files=dict(files),
        manifest=manifest,
        digest=digest_of(manifest),
        signature=decode_signature(files[names.SIGNATURE]),
        proof=proof,
    )


def restore(manifest: bytes, files: Mapping[str, bytes]) -> Bundle:
    """Return the bundle of a manifest and its downloaded files.

    Raises:
        InvalidInput: A file is missing or unreadable.
        Corrupted: A file is not the one the manifest names.
    """
    expected = decode_manifest(manifest).files
    for name, digest in expected.items():
        if name not in files:
            raise InvalidInput(f"the bundle lacks {name!r}")
        if digest_of(files[name]) != digest:
            raise Corrupted(
                f"{name} is not the file that was registered: its content has another SHA-256",
                hint="download it again",
            )
    bundle = assemble({name: files[name] for name in expected})
    return Bundle(bundle.files, manifest, digest_of(manifest), bundle.signature, bundle.proof)


def digest_of(content: bytes) -> str:
    """Return the SHA-256, lower-case hex."""
    return hashlib.sha256(content).hexdigest()
