"""Requests that were in flight when a worker died: what workers leave for each other, and control shows.

One file for each in `run/suspects`, named by the model and the request, so that two workers that accuse the
same request write the same file.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

SUFFIX = ".json"


class Suspect(msgspec.Struct, frozen=True):
    """A request that may have killed a worker.

    Args:
        model: SHA-256 of the model's manifest, in hex.
        request: SHA-256 of the length and the beginning of its rows as the model takes them, in hex.
        crashes: How many times it was in flight when a worker died.
        quarantined: It was alone at the last of several: it is not run again.
        at: When it was last accused, in seconds since 1970.
    """

    model: str
    request: str
    crashes: int
    quarantined: bool
    at: float


def suspect_file(folder: Path, model: str, request: str) -> Path:
    """Return the file of a suspect."""
    return folder / f"{model}-{request}{SUFFIX}"


def read_suspects(folder: Path) -> list[Suspect]:
    """Return all suspects; a file that vanishes or cannot be read is left out."""
    found = []
    for path in folder.glob(f"*{SUFFIX}"):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Suspect))
        except (FileNotFoundError, msgspec.DecodeError):
            continue
    return found
