"""Compile the kernel for trees, once for this machine and version; the models loaded afterwards use it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from modelport.bootstrap.supervised import announce_ready, tether
from modelport.runtime.trees.code_file import code_file

NICENESS = 10  # whoever is being served comes first


def run(folder: Path) -> int:
    """Compile it, try it here, and leave its code; nothing is done where it lies already.

    Args:
        folder: Where compiled kernels are kept.

    Raises:
        ModelportError: llvmlite is missing, or has no code for this machine.
    """
    tether()
    announce_ready()
    if code_file(folder).exists():
        return 0
    os.nice(NICENESS)
    from modelport.runtime.trees.compiling import compile_kernel
    from modelport.runtime.trees.machine_code import load_code, write_code
    from modelport.runtime.trees.self_check import check_code

    code, compiler = compile_kernel()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".trial-") as trial:
        write_code(Path(trial), code, compiler)
        check_code(load_code(Path(trial)))
    write_code(folder, code, compiler)
    return 0
