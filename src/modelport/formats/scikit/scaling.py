"""Scalers, operation by operation in scikit-learn's order, so that every bit agrees."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport.formats.blocks import Block
from modelport.formats.elementwise import Operation
from modelport.formats.scikit.walk import Walk


def convert_standard(walk: Walk, step: Any, block: Block, where: str) -> Block:
    """Convert a StandardScaler: minus the mean, divided by the deviation."""
    del where
    if block.sparse:
        return _multiplied(walk, block, step.scale_)
    operations = []
    if step.with_mean:
        operations.append(Operation("subtract", (_held(block, step.mean_),)))
    if step.with_std:
        operations.append(Operation("divide", (_held(block, step.scale_),)))
    return walk.body.apply(block, *operations)


def convert_min_max(walk: Walk, step: Any, block: Block, where: str) -> Block:
    """Convert a MinMaxScaler: times the scale, plus the minimum, clipped where it clips."""
    del where
    operations = [Operation("multiply", (step.scale_,)), Operation("add", (step.min_,))]
    if step.clip:
        operations.append(_clip(block, *step.feature_range))
    return walk.body.apply(block, *operations)


def convert_max_abs(walk: Walk, step: Any, block: Block, where: str) -> Block:
    """Convert a MaxAbsScaler: divided by the largest magnitude."""
    del where
    clip = [_clip(block, -1.0, 1.0)] if getattr(step, "clip", False) else []
    if block.sparse:
        return walk.body.apply(_multiplied(walk, block, step.scale_), *clip)
    return walk.body.apply(block, Operation("divide", (step.scale_,)), *clip)


def convert_robust(walk: Walk, step: Any, block: Block, where: str) -> Block:
    """Convert a RobustScaler: minus the median, divided by the range of quantiles."""
    del where
    if block.sparse:
        return _multiplied(walk, block, step.scale_)
    operations = []
    if step.with_centering:
        operations.append(Operation("subtract", (step.center_,)))
    if step.with_scaling:
        operations.append(Operation("divide", (step.scale_,)))
    return walk.body.apply(block, *operations)


def _multiplied(walk: Walk, block: Block, scale: NDArray[Any] | None) -> Block:
    """Scale as scikit-learn does with sparse matrices: times the reciprocal."""
    if scale is None:
        return block
    return walk.body.apply(block, Operation("multiply", (1.0 / scale,)))


def _held(block: Block, values: NDArray[Any]) -> NDArray[Any]:
    """Return a constant in the type of the block, as StandardScaler converts it."""
    return np.asarray(values).astype(np.float32 if block.single else np.float64)


def _clip(block: Block, low: float, high: float) -> Operation:
    dtype = np.float32 if block.single else np.float64
    return Operation("clip", (np.full(len(block), low, dtype), np.full(len(block), high, dtype)))
