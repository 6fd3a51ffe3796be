"""Steps that keep some columns and drop the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from modelport.formats.blocks import Block
from modelport.formats.scikit.walk import Walk


def convert_selection(walk: Walk, step: Any, block: Block, where: str) -> Block:
    """Convert any step that tells by `get_support()` which columns it keeps."""
    del where
    return replace(walk.select(block, np.flatnonzero(step.get_support()).tolist()), names=None)
