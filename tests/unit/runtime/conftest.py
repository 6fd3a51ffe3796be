"""The kernels, compiled once for these tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelport.bootstrap.kernel import compile_kernels
from modelport.runtime.compiled.code_file import KERNELS


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("llvmlite")
    folder = tmp_path_factory.mktemp("kernels") / "private"
    compile_kernels(folder, list(KERNELS))
    return folder
