"""The kernel for trees, ready to be called."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelport.runtime.trees.loading import Predict, load_predict


@pytest.fixture(scope="session")
def predict(kernels: Path) -> Predict:
    return load_predict(kernels)
