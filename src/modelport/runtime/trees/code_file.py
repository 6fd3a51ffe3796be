"""Where the kernel's machine code lies; imports nothing, for the supervisor asks."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from pathlib import Path

SOURCES = ("layout.py", "kernel.py", "compiling.py")
"""What the code is made from."""


def code_file(folder: Path) -> Path:
    """Return where the code for this version and this architecture lies.

    Args:
        folder: Where compiled kernels are kept.
    """
    return folder / f"trees-{platform.machine()}-{_sources_hash()}.bin"


@cache
def _sources_hash() -> str:
    """Return the first digits of the SHA-256 of the sources."""
    content = b"".join(Path(__file__).with_name(name).read_bytes() for name in SOURCES)
    return hashlib.sha256(content).hexdigest()[:16]
