"""Which waiting requests share one run, and how its answers are given back.

Pure arithmetic: the data plane decides when ("what became readable in one turn of the loop"), this file
decides who with whom.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from modelport.runtime.outputs import Outputs
from modelport.runtime.rows import Rows
from modelport.runtime.session import Matrix


def plan(counts: Sequence[int], rows_max: int) -> list[tuple[int, int]]:
    """Group requests, in order, into runs of at most `rows_max` rows.

    A request is never split: one with more rows than the limit runs alone.

    Args:
        counts: Rows of each waiting request, each at least 1.
        rows_max: Rows in one run, at least 1.

    Returns:
        `(start, stop)` ranges over the requests, in order, covering each exactly once.
    """
    groups: list[tuple[int, int]] = []
    start = rows = 0
    for index, count in enumerate(counts):
        if rows and rows + count > rows_max:
            groups.append((start, index))
            start, rows = index, 0
        rows += count
    if start < len(counts):
        groups.append((start, len(counts)))
    return groups


def join(requests: Sequence[Rows]) -> bytes | memoryview:
    """Return the rows of all requests, one after the other; those of a single one are not copied."""
    if len(requests) == 1:
        return requests[0].data
    return b"".join([request.data for request in requests])


def run_together(
    run: Callable[[Matrix], Outputs],
    requests: Sequence[Rows],
    data: bytes | memoryview,
    features: int,
) -> list[tuple[Outputs, int, int] | Exception]:
    """Run several requests as one, so that a failure of one stays its own.

    Args:
        run: The model's run.
        requests: The decoded requests, at least one, all of the same type.
        data: From `join`.
        features: Columns of the matrix.

    Returns:
        Per request `(outputs, start, stop)`, where the outputs may be shared with neighbours, or the
        exception its own rows raise.
    """
    try:
        outputs = run(np.frombuffer(data, requests[0].element).reshape(-1, features))
    except Exception as error:  # noqa: BLE001 - whatever the graph raises is the answer to that request
        if len(requests) == 1:
            return [error]
        return [run_together(run, [request], request.data, features)[0] for request in requests]
    answers: list[tuple[Outputs, int, int] | Exception] = []
    start = 0
    for request in requests:
        stop = start + request.count
        answers.append((outputs, start, stop))
        start = stop
    return answers
