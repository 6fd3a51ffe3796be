"""Whether freshly compiled code walks trees: asked in a process that may die of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport.domain.errors import ModelportError
from modelport.runtime.session import Matrix, Stop
from modelport.runtime.trees.ensemble import Ensemble
from modelport.runtime.trees.finishing import Ending
from modelport.runtime.trees.folding import Source
from modelport.runtime.trees.layout import Finish
from modelport.runtime.trees.loading import load_predict
from modelport.runtime.trees.packing import pack
from modelport.runtime.trees.walker import Walker

TREES, ROWS = 11, 45


def check_code(folder: Path) -> None:
    """Walk some small trees, one row and many rows at a time.

    Args:
        folder: Where the code lies.

    Raises:
        Unusable: It cannot be loaded.
        ModelportError: The answers are not what a glance at the trees says.
    """
    threshold = np.arange(TREES, dtype=np.float64)
    yes = np.ones(TREES, np.bool_)
    leaves = 2 * np.arange(TREES)
    stumps = Ensemble(
        width=2,
        outputs=1,
        roots=np.arange(TREES),
        feature=np.arange(TREES) % 2,
        threshold=threshold,
        members={},
        missing_left=yes,
        left=leaves,
        right=leaves + 1,
        left_leaf=yes,
        right_leaf=yes,
        values=np.where(np.arange(2 * TREES) % 2, 1.0, 0.0),
        target=np.zeros(2 * TREES, np.int64),
    )
    walker = Walker(load_predict(folder), pack(stumps, [Source(0), Source(1)], 2), Ending(Finish.SUMS))
    rows = np.linspace(-1.0, TREES, 2 * ROWS).reshape(ROWS, 2)
    rows[::7, 0] = np.nan
    wanted = (rows[:, stumps.feature] > threshold).sum(axis=1, keepdims=True).astype(np.float64)

    def decline(names: Sequence[str], matrix: Matrix, stop: Stop | None = None) -> list[NDArray[Any]]:
        del names, stop
        raise ModelportError(f"the compiled kernel does not take a matrix of {matrix.shape}")

    run = walker.runner(["predictions"], decline)
    found = [run(["predictions"], rows)[0], *(run(["predictions"], row[np.newaxis])[0] for row in rows)]
    if not np.array_equal(found[0], wanted) or not np.array_equal(np.concatenate(found[1:]), wanted):
        raise ModelportError("the compiled kernel for trees does not walk them right on this machine")
