"""Which kernels there are, and where their machine code lies; imports little, for the supervisor asks."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path

COMMON = ("compiled/words.py", "compiled/compiling.py")


@dataclass(frozen=True, slots=True)
class Kernel:
    """A function that is compiled once for a machine and a version.

    Args:
        name: Short, part of the file's name.
        sources: What it is made from beside `COMMON`, under `runtime/`.
    """

    name: str
    sources: tuple[str, ...]


TREES = Kernel("trees", ("trees/layout.py", "trees/kernel.py"))
JSON_ROWS = Kernel("json-rows", ("json_rows/layout.py", "json_rows/kernel.py"))
KERNELS = (TREES, JSON_ROWS)


def code_file(folder: Path, kernel: Kernel) -> Path:
    """Return where the code for this version and this architecture lies.

    Args:
        folder: Where compiled kernels are kept.
        kernel: Which of them.
    """
    return folder / f"{kernel.name}-{platform.machine()}-{_sources_hash(kernel)}.bin"


def missing_kernels(folder: Path) -> list[Kernel]:
    """Return those whose code is not there."""
    return [kernel for kernel in KERNELS if not code_file(folder, kernel).exists()]


@cache
def _sources_hash(kernel: Kernel) -> str:
    """Return the first digits of the SHA-256 of the sources."""
    runtime = Path(__file__).parents[1]
    content = b"".join((runtime / name).read_bytes() for name in COMMON + kernel.sources)
    return hashlib.sha256(content).hexdigest()[:16]
