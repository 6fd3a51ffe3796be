"""Compile the kernels, once for this machine and version; the models loaded afterwards use them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from modelport.bootstrap.supervised import announce_ready, tether
from modelport.domain.errors import ModelportError
from modelport.runtime.compiled.code_file import JSON_ROWS, TREES, Kernel, missing_kernels

if TYPE_CHECKING:
    from modelport.runtime.compiled.words import Build

NICENESS = 10  # whoever is being served comes first


def run(folder: Path) -> int:
    """Compile them, try each here, and leave their code; nothing is done where it lies already.

    Args:
        folder: Where compiled kernels are kept.

    Raises:
        ModelportError: llvmlite is missing, or has no code for this machine, or a kernel fails its trial.
    """
    tether()
    announce_ready()
    missing = missing_kernels(folder)
    if missing:
        os.nice(NICENESS)
        compile_kernels(folder, missing)
    return 0


def compile_kernels(folder: Path, kernels: list[Kernel]) -> None:
    """Compile kernels, try each in this process, and leave their code.

    Args:
        folder: Where compiled kernels are kept; made private where it is not there.
        kernels: Which.

    Raises:
        ModelportError: As for `run`.
    """
    try:
        from modelport.runtime.compiled.compiling import compile_kernel
        from modelport.runtime.compiled.machine_code import write_code

        makers = _makers()
    except ImportError as error:
        raise ModelportError(
            f"kernels are compiled with llvmlite, which is not installed: {error}",
            hint="pip install 'modelport[trees]'",
        ) from error
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for kernel in kernels:
        build, check = makers[kernel]
        code, compiler = compile_kernel(build)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".trial-") as trial:
            write_code(Path(trial), kernel, code, compiler)
            check(Path(trial))
        write_code(folder, kernel, code, compiler)


def _makers() -> dict[Kernel, tuple[Build, Callable[[Path], None]]]:
    """Return what writes each kernel, and what tries its code."""
    from modelport.runtime.json_rows.kernel import build_kernel as build_json_rows
    from modelport.runtime.json_rows.self_check import check_code as check_json_rows
    from modelport.runtime.trees.kernel import build_kernel as build_trees
    from modelport.runtime.trees.self_check import check_code as check_trees

    return {TREES: (build_trees, check_trees), JSON_ROWS: (build_json_rows, check_json_rows)}
