"""Arrow columns of a batch job: record batches to the serving matrix, outputs to Arrow arrays.

No pandas: `to_numpy`, `pa.scalar` and `pa.array(numpy)` import it lazily and cost a second, so numbers are
read with `np.frombuffer` on Arrow's buffers and written with `Array.from_buffers`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from modelport.domain.signature import Signature
from modelport.runtime.outputs import Outputs


@dataclass(frozen=True, slots=True)
class Encoded:
    """A record batch as the model takes it.

    Args:
        matrix: float64 `[N, features]`, C-contiguous, all rows of the batch; the numbers of failed
            rows mean nothing.
        failures: `(row of the batch, feature, reason)` of each row the model refuses, by row, at most
            one per row.
    """

    matrix: NDArray[np.float64]
    failures: list[tuple[int, str, str]]


class ColumnEncoder:
    """Turns record batches into matrices by a signature; keep one per thread.

    Args:
        signature: What the model takes.
        names: Column names of the input.

    Raises:
        InvalidInput: A used feature has no column; the hint names the nearest. Columns that are no
            feature are left alone.
    """

    def __init__(self, signature: Signature, names: list[str]) -> None:
        raise NotImplementedError

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Return the batch as a matrix.

        Args:
            batch: Any number of rows. Numbers of any width, booleans, decimals, strings (plain or
                dictionary-encoded, large or not); text in a numeric column is read as CSV cells are.

        Raises:
            InvalidInput: A column's type can never hold the feature's values.
        """
        raise NotImplementedError


def column_types(signature: Signature) -> dict[str, pa.DataType]:
    """Return the Arrow type to read each feature's column as, from CSV or JSON Lines.

    Strings come dictionary-encoded, so that `001` stays `001` and a lookup is paid once per value.
    """
    raise NotImplementedError


def output_schema(signature: Signature) -> pa.Schema:
    """Return the columns of the answers.

    `prediction` (label words, or float64); `probability_<label>` float64 for each class of a
    classifier that gives probabilities; `prediction_<target>` for several targets.
    """
    raise NotImplementedError


def to_arrays(signature: Signature, outputs: Outputs) -> list[pa.Array]:
    """Return the answers as Arrow arrays, in the order of `output_schema`."""
    raise NotImplementedError
