"""Which executor answers for a model: decided when it is loaded, by its own answers and by the clock.

The kernel is taken only where every bit of the answers is that of ONNX Runtime, alone and in a batch, on
rows made to be hard (each threshold, the numbers beside it, missing values), and only for calls of a size at
which it is faster.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport.domain.signature import Signature
from modelport.runtime.session import Matrix, Run, Session, Stop
from modelport.runtime.trees.arrangement import Arrangement, arrange
from modelport.runtime.trees.ensemble import Cut, NotTaken, cut
from modelport.runtime.trees.finishing import Ending, recognise
from modelport.runtime.trees.hard_rows import hard_rows
from modelport.runtime.trees.layout import Finish
from modelport.runtime.trees.loading import Predict
from modelport.runtime.trees.onnx_graph import OnnxGraph
from modelport.runtime.trees.packing import pack
from modelport.runtime.trees.protobuf import Malformed
from modelport.runtime.trees.walker import Walker

ONNX_RUNTIME, TREES = "onnxruntime", "trees"
ROWS = 512
SIZES = (1, 8, 64, ROWS)  # rows of the calls that are timed
TIMED_ROWS_MIN = 64
COMPARED = (1, 3, 8, 29, ROWS)  # rows of the calls that are compared
COMPARED_TIMES = 24
ROUNDS = 5
SECONDS = 0.06  # about what timing ONNX Runtime may take
GAIN = 1.05  # times as fast as ONNX Runtime it must be


@dataclass(frozen=True, slots=True)
class Choice:
    """What answers for a model.

    Args:
        run: The call.
        executor: `onnxruntime`, or `trees` for the kernel.
        why: Why, for people.
    """

    run: Run
    executor: str
    why: str


def choose(
    session: Session,
    graph: bytes,
    names: Sequence[str],
    signature: Signature,
    predict: Predict,
    now: Callable[[], float] = time.thread_time,
) -> Choice:
    """Return what answers for a model.

    Args:
        session: The whole graph.
        graph: Its bytes.
        names: The outputs that are asked for.
        signature: What the model takes.
        predict: The kernel.
        now: Seconds of this thread on a processor; neighbours on a busy machine do not count.
    """
    try:
        content = OnnxGraph(graph)
        found = cut(content, session.features)
        arranged = arrange(content, found, session, signature)
        rows = hard_rows(found.ensemble, arranged, signature, ROWS)
        trial = _Trial(session.run, names, rows, now)
        for run in candidates(predict, content, found, arranged, session, names):
            if trial.same(run):
                return _by_the_clock(run, session.run, trial.gains(run))
    except (NotTaken, Malformed) as error:
        return Choice(session.run, ONNX_RUNTIME, f"the kernel does not take it: {error}")
    except Exception as error:  # noqa: BLE001 - what ONNX Runtime serves is served, whatever is wrong here
        return Choice(session.run, ONNX_RUNTIME, f"the kernel fails on it: {type(error).__name__}: {error}")
    return Choice(session.run, ONNX_RUNTIME, "the kernel gives other bits")


def _by_the_clock(run: Run, whole: Run, gains: Sequence[float]) -> Choice:
    """Return the kernel for calls of the sizes at which it is faster, from the first to the last of them."""
    faster = [size for size, gain in zip(SIZES, gains, strict=True) if gain >= GAIN]
    why = ", ".join(f"{gain:.1f} ({size})" for size, gain in zip(SIZES, gains, strict=True))
    why = f"times as fast as ONNX Runtime (rows of the call): {why}"
    if not faster:
        return Choice(whole, ONNX_RUNTIME, why)
    fewest, most = min(faster), max(faster)
    if fewest == SIZES[0] and most == SIZES[-1]:
        return Choice(run, TREES, why)
    most = most if most < SIZES[-1] else np.iinfo(np.int64).max

    def by_size(names: Sequence[str], matrix: Matrix, stop: Stop | None = None) -> list[NDArray[Any]]:
        return (run if fewest <= len(matrix) <= most else whole)(names, matrix, stop)

    return Choice(by_size, TREES, why)


def candidates(
    predict: Predict,
    graph: OnnxGraph,
    found: Cut,
    arranged: Arrangement,
    session: Session,
    names: Sequence[str],
) -> Iterator[Run]:
    """Yield the calls that may answer with the kernel, the fastest first.

    Args:
        predict: The kernel.
        graph: The whole graph.
        found: Where it is cut.
        arranged: What happens to a row before the trees.
        session: The whole graph in memory.
        names: The outputs that are asked for.

    Raises:
        NotTaken: The trees are of a kind that the kernel does not know.
    """
    packed = pack(found.ensemble, arranged.sources, arranged.width)
    ending = recognise(graph, found)
    if ending is not None:
        yield Walker(predict, packed, ending).runner(names, session.run, before=arranged.before)
    if found.after:
        piece = graph.piece(found.after, {found.sums: packed.outputs}, list(graph.outputs))
        after = Session(piece, found.sums)
        walker = Walker(predict, packed, Ending(Finish.SUMS))
        yield walker.runner(names, session.run, before=arranged.before, after=after.run)


class _Trial:
    """Compares calls with the whole graph.

    Args:
        whole: The whole graph.
        names: The outputs that are asked for.
        rows: What is asked, `[ROWS, features]`.
        now: Seconds.
    """

    def __init__(self, whole: Run, names: Sequence[str], rows: Matrix, now: Callable[[], float]) -> None:
        self._names, self._whole, self._rows, self._now = names, whole, rows, now

    def same(self, run: Run) -> bool:
        """Return whether every bit is the same."""
        for size in COMPARED:
            for block in self._blocks(size)[:COMPARED_TIMES]:
                wanted, found = self._whole(self._names, block), run(self._names, block)
                for one, other in zip(wanted, found, strict=True):
                    if (one.shape, one.dtype, one.tobytes()) != (other.shape, other.dtype, other.tobytes()):
                        return False
        return True

    def gains(self, run: Run) -> list[float]:
        """Return how many times as fast a call is, for each of the sizes."""
        gains = []
        for size in SIZES:
            blocks = self._blocks(size)[: max(1, TIMED_ROWS_MIN // size)]
            whole = [self._seconds(self._whole, blocks)]
            while len(whole) < ROUNDS and sum(whole) < SECONDS / len(SIZES):
                whole.append(self._seconds(self._whole, blocks))
            gains.append(min(whole) / max(min(self._seconds(run, blocks) for _ in whole), 1e-9))
        return gains

    def _blocks(self, size: int) -> list[Matrix]:
        return [self._rows[start : start + size] for start in range(0, ROWS - size + 1, size)]

    def _seconds(self, run: Run, blocks: Sequence[Matrix]) -> float:
        began = self._now()
        for block in blocks:
            run(self._names, block)
        return self._now() - began


def read_if_trees(path: Path) -> bytes | None:
    """Return the content of a graph's file when the kernel may know its trees; None for any other graph."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return bytes(content) if content.find(b"TreeEnsemble") >= 0 else None
