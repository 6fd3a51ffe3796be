"""What holds for all tests: what can be made again is kept in a folder of this run, not in the user's."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

CACHE = "MODELPORT_CACHE"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = os.environ.get(CACHE)
    os.environ[CACHE] = str(tmp_path_factory.mktemp("cache"))
    yield
    del os.environ[CACHE]
    if before is not None:
        os.environ[CACHE] = before
