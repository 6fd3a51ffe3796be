"""A signature as JSON: the file `signature.json` of a model's bundle.

JSON has no infinity, so an open bound is left out.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from modelport.domain.errors import InvalidInput
from modelport.domain.signature import Signature


def encode_signature(signature: Signature) -> bytes:
    """Return the signature as UTF-8 JSON; equal signatures give equal bytes."""
    document: dict[str, Any] = msgspec.to_builtins(signature)
    for feature in document["features"]:
        for bound in ("lower", "upper"):
            if math.isinf(feature[bound]):
                del feature[bound]
    return msgspec.json.encode(document)


def decode_signature(content: bytes) -> Signature:
    """Read a signature.

    Raises:
        InvalidInput: The bytes are not a signature; says where they differ.
    """
    try:
        return msgspec.json.decode(content, type=Signature)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"not a signature: {error}", hint="register the model again") from error
