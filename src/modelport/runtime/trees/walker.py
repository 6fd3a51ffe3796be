"""The kernel with the tables of one model, and the calls that answer with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport.runtime.session import Matrix, Run, Stop
from modelport.runtime.trees.finishing import Ending
from modelport.runtime.trees.layout import CLASSES, NUMBERS, Finish, Number, Plan
from modelport.runtime.trees.loading import Predict
from modelport.runtime.trees.packing import Packed

STOP_ROWS = 4096  # rows between two looks at whether a call is to end


class Walker:
    """The kernel with the tables of one model.

    Args:
        predict: The kernel.
        packed: The tables.
        ending: What becomes of the sums.
    """

    def __init__(self, predict: Predict, packed: Packed, ending: Ending) -> None:
        numbers = np.array(NUMBERS)
        numbers[Number.SCALE] = ending.scale
        self._classes = ending.finish in CLASSES
        self._width = 2 if ending.finish is Finish.LOGISTIC else packed.outputs
        plan = np.zeros(len(Plan), np.int64)
        ordered, listed = packed.ordered, packed.listed
        values: dict[Plan, int] = {
            Plan.FEATURES: packed.features,
            Plan.COLUMNS: packed.columns,
            Plan.TREES: packed.trees,
            Plan.GROUPS_END: len(packed.roots),
            Plan.OUTPUTS: packed.outputs,
            Plan.KIND: packed.kind,
            Plan.FINISH: ending.finish,
            Plan.NODES: packed.nodes.ctypes.data,
            Plan.ROOTS: packed.roots.ctypes.data,
            Plan.VALUES: packed.values.ctypes.data,
            Plan.LEAVES: packed.leaves.ctypes.data,
            Plan.TARGETS: packed.targets.ctypes.data,
            Plan.ORDERED: ordered.ctypes.data,
            Plan.ORDERED_END: ordered.ctypes.data + ordered.nbytes,
            Plan.LISTED: listed.ctypes.data,
            Plan.LISTED_END: listed.ctypes.data + listed.nbytes,
            Plan.CODED: packed.coded.ctypes.data,
            Plan.CODED_END: packed.coded.ctypes.data + packed.coded.nbytes,
            Plan.BLOCK_ROWS: packed.block_rows,
            Plan.STRIDE: self._width,
            Plan.NUMBERS: numbers.ctypes.data,
            Plan.TIE: ending.tie,
            Plan.PAIRS: ending.pairs,
            Plan.ARRAY_TYPE: id(np.ndarray),
            Plan.FLOAT64: id(np.dtype(np.float64)),
            Plan.OBJECT_BYTES: object.__basicsize__,
        }
        for place, value in values.items():
            plan[place] = value
        self._predict = predict
        self._plan = int(plan.ctypes.data)
        self._held = (packed, numbers, plan)

    def runner(
        self,
        names: Sequence[str],
        whole: Run,
        *,
        before: Callable[[Matrix], Matrix] | None = None,
        after: Run | None = None,
    ) -> Run:
        """Return the call that answers like the whole graph.

        Args:
            names: What will be asked for: the predictions, or the label, or it and the probabilities.
            whole: The whole graph; answers where the kernel does not take a matrix.
            before: Gives what the trees look at; None where that is the matrix.
            after: Goes on with the sums; None where the kernel ends itself.
        """
        predict, plan, width, held = self._predict, self._plan, self._width, self._held
        empty, int64, table_wanted = np.empty, np.int64, len(names) > 1

        def numbers(names: Sequence[str], matrix: Matrix, stop: Stop | None = None) -> list[NDArray[Any]]:
            if stop is not None and len(matrix) > STOP_ROWS:
                return _stoppable(numbers, names, matrix, stop)
            seen = matrix if before is None else before(matrix)
            answers = empty((len(matrix), width))
            place = id(answers)
            if predict(plan, id(seen), place, place):
                return whole(names, matrix, stop)
            return [answers] if after is None else after(names, answers)

        def classes(names: Sequence[str], matrix: Matrix, stop: Stop | None = None) -> list[NDArray[Any]]:
            rows = len(matrix)
            if stop is not None and rows > STOP_ROWS:
                return _stoppable(classes, names, matrix, stop)
            seen = matrix if before is None else before(matrix)
            label, table = empty(rows, int64), empty((rows, width))
            if predict(plan, id(seen), id(label), id(table)):
                return whole(names, matrix, stop)
            return [label, table] if table_wanted else [label]

        run = classes if self._classes else numbers
        run.__dict__["held"] = held  # the tables live as long as the call that reads them
        return run


def _stoppable(run: Run, names: Sequence[str], matrix: Matrix, stop: Stop) -> list[NDArray[Any]]:
    """Answer a part at a time, and look between them whether the call is to end."""
    parts = []
    for start in range(0, len(matrix), STOP_ROWS):
        if stop.asked:
            raise RuntimeError("the call was ended")
        parts.append(run(names, matrix[start : start + STOP_ROWS]))
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
