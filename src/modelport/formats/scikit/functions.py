"""FunctionTransformer with a function of numpy that works number by number."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from modelport.domain.errors import ConversionFailed
from modelport.formats.blocks import Block
from modelport.formats.elementwise import Operation
from modelport.formats.scikit.walk import Walk

FUNCTIONS = {
    "absolute": "absolute",
    "ceil": "ceil",
    "exp": "exp",
    "expm1": "expm1",
    "floor": "floor",
    "log": "log",
    "log10": "log10",
    "log1p": "log1p",
    "log2": "log2",
    "negative": "negative",
    "sign": "sign",
    "sqrt": "sqrt",
    "square": "square",
}
"""Names of numpy's functions to kinds of operations."""


def convert_function(walk: Walk, step: Any, block: Block, where: str) -> Block:
    """Convert a FunctionTransformer."""
    function = step.func
    if function is None:
        return block
    if isinstance(function, partial) and getattr(function.func, "__name__", "") == "check_array":
        return block  # HistGradientBoosting checks its numeric columns with this
    kind = FUNCTIONS.get(getattr(function, "__name__", ""))
    if isinstance(function, np.ufunc) and kind is not None and not step.kw_args:
        return walk.body.apply(block, Operation(kind))
    raise ConversionFailed(
        f"{where} applies {_told(function)}, which modelport cannot convert",
        hint="use one of numpy's functions "
        f"({', '.join(sorted(FUNCTIONS))}), or apply it before, in training and in requests",
    )


def _told(function: Any) -> str:
    name = getattr(function, "__qualname__", getattr(function, "__name__", None))
    return f"the function {name}" if name else repr(function)
