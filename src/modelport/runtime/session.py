"""One ONNX Runtime session: the smallest call that runs a graph on a matrix.

`onnxruntime` is imported when the first session is made, so that importing the room is cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from modelport.domain.errors import InvalidInput

MATRIX = "matrix"  # the serving graph's only input
LOG_ERRORS_ONLY = 3  # onnxruntime's severity scale: 2 is warning
ELEMENTS: dict[str, np.dtype[Any]] = {
    "tensor(double)": np.dtype(np.float64),
    "tensor(float)": np.dtype(np.float32),
}
Matrix = NDArray[np.float64] | NDArray[np.float32]
RawRun = Callable[[Sequence[str], dict[str, Matrix], Any], list[Any]]


class Stop:
    """Ends a call from another thread: between two nodes of the graph, not within one."""

    __slots__ = ("options",)

    def __init__(self) -> None:
        import onnxruntime

        self.options = onnxruntime.RunOptions()

    def now(self) -> None:
        """Let the call that was given this fail."""
        self.options.terminate = True

    @property
    def asked(self) -> bool:
        """Return whether the call is to end."""
        return bool(self.options.terminate)


class Run(Protocol):
    """What an executor is to a model."""

    def __call__(self, names: Sequence[str], matrix: Matrix, stop: Stop | None = None) -> list[NDArray[Any]]:
        """Return one array for each name; see `Session.run`."""
        ...


class Session:
    """A serving graph in memory.

    One intra-op thread and no spinning: a worker per core is faster than threads that share one, and
    an idle platform costs nothing. Calls release the interpreter lock and may come from several
    threads at once. Memory patterns and the arena are off: both grow with every batch size seen,
    and neither showed a gain on one-row calls.

    Args:
        graph: The `.onnx` file, or its bytes.
        takes: Name of its input.

    Raises:
        InvalidInput: The bytes are no graph that ONNX Runtime can run, or its input is not one
            matrix of float64 or float32.
    """

    def __init__(self, graph: Path | bytes, takes: str = MATRIX) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_mem_pattern = False
        options.enable_cpu_mem_arena = False
        options.log_severity_level = LOG_ERRORS_ONLY
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(
                graph if isinstance(graph, bytes) else str(graph),
                options,
                providers=["CPUExecutionProvider"],
            )
        except Exception as error:
            # onnxruntime raises a dozen unrelated classes for a graph it cannot take
            raise InvalidInput(
                f"ONNX Runtime cannot load the serving graph: {_first_line(error)}",
                hint="register the model again with this version of modelport",
            ) from error
        self.features, self.element = _matrix_of(session.get_inputs(), takes)
        self.outputs: dict[str, str] = {output.name: output.type for output in session.get_outputs()}
        self._session = session
        self._takes = takes
        self._raw: RawRun = _raw_run(session)

    def run(self, names: Sequence[str], matrix: Matrix, stop: Stop | None = None) -> list[NDArray[Any]]:
        """Run the graph.

        Args:
            names: Outputs wanted.
            matrix: float64 or float32 `[N, features]`, C-contiguous; made `element` where it is not.
            stop: Ends the call from another thread; None: nothing does.

        Returns:
            One array per name.
        """
        if matrix.dtype != self.element:
            with np.errstate(over="ignore"):
                matrix = matrix.astype(self.element)
        return self._raw(names, {self._takes: matrix}, None if stop is None else stop.options)


def _raw_run(session: Any) -> RawRun:
    """Return the call behind ONNX Runtime's Python wrapper, 1 µs cheaper, or the wrapper without it.

    The attribute is not public; a version of ONNX Runtime that moves it costs speed, not service.
    """
    raw = getattr(getattr(session, "_sess", None), "run", None)
    return cast("RawRun", raw if callable(raw) else session.run)


def _matrix_of(inputs: Sequence[Any], takes: str) -> tuple[int, np.dtype[Any]]:
    """Return the columns of the matrix, and what its numbers are."""
    found = ", ".join(f"{each.name}: {each.type} {each.shape}" for each in inputs)
    if len(inputs) == 1 and inputs[0].name == takes and inputs[0].type in ELEMENTS:
        shape = inputs[0].shape
        if len(shape) == 2 and isinstance(shape[1], int):
            return shape[1], ELEMENTS[str(inputs[0].type)]
    raise InvalidInput(
        f"the serving graph takes ({found}), expected one input {takes!r}: tensor(double) [N, features]",
        hint="register the model again",
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
