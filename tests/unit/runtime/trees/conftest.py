"""The kernel, compiled once for these tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelport.runtime.trees.compiling import compile_kernel
from modelport.runtime.trees.machine_code import Predict, load_code, write_code


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("llvmlite")
    folder = tmp_path_factory.mktemp("kernels") / "private"
    write_code(folder, *compile_kernel())
    return folder


@pytest.fixture(scope="session")
def predict(kernels: Path) -> Predict:
    return load_code(kernels)
