"""What a conversion gives: two graphs from one specification, a signature, and the original to ask.

Rows are held by column, by feature name (`Columns`), as probe rows are: float64 with NaN for a missing
value; for words (features with a vocabulary, strings, categories) objects with None for a missing value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from modelport.domain.signature import Signature

Floats = NDArray[np.float64]
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers to N rows.

    Args:
        label: Index into `signature.output.labels`, int64 `[N]`; None for regression.
        probabilities: float64 `[N, K]`; None for regression and for classifiers that give none.
        predictions: float64 `[N, T]`; None for classification.
        margin: How sure the original is of its label where there are no probabilities (the distance of
            the two best decision values, or that of a binary decision from 0), float64 `[N]`, else None.
    """

    label: NDArray[np.int64] | None = None
    probabilities: Floats | None = None
    predictions: Floats | None = None
    margin: Floats | None = None


class Original(Protocol):
    """The fitted object, asked in the signature's terms."""

    def columns(self, rows: Any) -> Columns:
        """Return a user's rows by column.

        Args:
            rows: A DataFrame with the example's columns (in any order), or an array `[N, F]`.

        Raises:
            InvalidInput: A used column is not there.
        """
        ...

    def build(self, columns: Mapping[str, NDArray[Any]]) -> Any:
        """Return rows as the original takes them: the example's container and column types.

        Args:
            columns: Feature name to values, `[N]` each; a column that the model does not use may be absent.
        """
        ...

    def answer(self, rows: Any) -> Answers:
        """Ask the original.

        Args:
            rows: What `build` gives, or the user's own DataFrame or array.

        Raises:
            Exception: Whatever the original raises for rows it refuses.
        """
        ...


@dataclass(frozen=True, slots=True)
class Conversion:
    """A model, converted.

    Args:
        signature: What it takes and gives.
        serving: The graph that serves: input `matrix` float64 `[N, F]`; outputs `label` int64 `[N]` and
            `probabilities` float64 `[N, K]`, or `predictions` float64 `[N, T]`.
        published: The graph that leaves: one named input `[N, 1]` per used feature (see `rows.inputs_of`);
            outputs `predictions` (label words `[N]`, or float64 `[N, T]`) and `probabilities`.
        framework: Name and version, such as `scikit-learn 1.9.1`.
        estimator: Class of the last step, such as `RandomForestClassifier`.
        family: Which parity bar applies: `tree`, `forest`, `boosting`, `linear`, `other`.
        original: What to compare with.
        thresholds: Per numeric feature the raw values on and around which a tree turns, as the original
            sees them after preprocessing and rounding, float64, rising.
        float32: Names of steps and features where the original itself computes in float32.
        scale: Σ|wᵢxᵢ| of each row of the serving matrix, for the bar of linear models; None elsewhere.
    """

    signature: Signature
    serving: bytes
    published: bytes
    framework: str
    estimator: str
    family: str
    original: Original
    thresholds: dict[str, Floats] = field(default_factory=dict)
    float32: tuple[str, ...] = ()
    scale: Callable[[Floats], Floats] | None = None
