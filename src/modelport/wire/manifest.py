"""A model's manifest: which content-addressed files make up one model version.

The SHA-256 of the manifest's bytes is the model's digest: it names the model to workers, jobs and proofs.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from modelport.domain.errors import InvalidInput
from modelport.domain.names import DIGEST

SERVING_GRAPH = "serving.onnx"  # one float64 matrix in; what workers and batch jobs run
PUBLISHED_GRAPH = "model.onnx"  # one named input per column; what leaves for other platforms
SIGNATURE = "signature.json"
PROOF = "proof.json"
PROOF_ROWS = "proof.arrow"  # probe rows and the original's answers
BASELINE = "baseline.json"  # distributions of the training data, for drift
MANIFEST_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of one model version.

    Args:
        files: File name (one of this module's constants) to SHA-256, lower-case hex.
        format_version: Layout of the bundle; readers refuse one they do not know.
        batch_difference: How much answers depend on the rows beside them, as measured at the registration;
            see `runtime/invariance.py`.
    """

    files: dict[str, str]
    format_version: int = 1
    batch_difference: float = 0.0


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the manifest as UTF-8 JSON with sorted keys."""
    return msgspec.json.encode(manifest, order="sorted")


def decode_manifest(content: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        InvalidInput: The bytes are no manifest, name a malformed digest, or lack the serving graph.
    """
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"not a model manifest: {error}") from error
    if manifest.format_version != 1:
        raise InvalidInput(
            f"manifest has format version {manifest.format_version}, expected 1", hint="upgrade modelport"
        )
    for name, digest in manifest.files.items():
        if not DIGEST.fullmatch(digest):
            raise InvalidInput(f"manifest names a malformed digest for {name!r}")
    for required in (SERVING_GRAPH, SIGNATURE):
        if required not in manifest.files:
            raise InvalidInput(f"manifest lacks {required!r}")
    return manifest
