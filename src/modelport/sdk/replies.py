"""What an endpoint answered."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from modelport.domain.errors import Conflict, ModelportError


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request, as it came.

    Args:
        document: The JSON reply: `predictions`, and for a classifier `probabilities` and `classes`.
        prediction_id: Row i has the id `<prediction_id>#<i>`.
        variant: Which variant answered.
        model_version: Which version, `NAME:3`.
    """

    document: dict[str, Any]
    prediction_id: str
    variant: str
    model_version: str


@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """Predictions for all rows of a call, in the order of the rows.

    Args:
        predictions: `[rows]` (labels in the words of the training data, or numbers), or `[rows, targets]`.
        probabilities: `[rows, classes]`, 0 to 1, columns as `classes`; None where there are none.
        classes: The labels; empty for numbers.
        ids: One prediction id for each row: what `feedback` takes.
        variant: Which variant answered.
        model_version: Which version, `NAME:3`.
        index: The index of the DataFrame that was asked about; None otherwise.
    """

    predictions: npt.NDArray[Any]
    probabilities: npt.NDArray[np.float64] | None
    classes: list[Any]
    ids: list[str]
    variant: str
    model_version: str
    index: Any = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    def to_frame(self) -> Any:
        """Return a DataFrame: `prediction`, `probability_<label>` columns and `prediction_id`.

        It keeps the index of the DataFrame that was asked about.

        Raises:
            ModelportError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ModelportError(
                "to_frame needs pandas, which is not installed", hint="pip install pandas"
            ) from error
        columns: dict[str, Any] = {}
        if self.predictions.ndim == 2:
            for target in range(self.predictions.shape[1]):
                columns[f"prediction_{target}"] = self.predictions[:, target]
        else:
            columns["prediction"] = self.predictions
        if self.probabilities is not None:
            for place, label in enumerate(self.classes):
                columns[f"probability_{label}"] = self.probabilities[:, place]
        columns["prediction_id"] = self.ids
        return pd.DataFrame(columns, index=self.index)


def join_answers(answers: list[Answer], index: Any) -> Reply:
    """Put the answers to the pieces of one call together.

    Args:
        answers: At least one, in order.
        index: Kept for `Reply.to_frame`.

    Raises:
        Conflict: The pieces were answered by different versions.
    """
    first = answers[0]
    versions = {answer.model_version for answer in answers}
    if len(versions) > 1:
        raise Conflict(
            f"the endpoint changed while the rows were sent: {' and '.join(sorted(versions))} answered",
            hint="predict again",
        )
    values: list[Any] = []
    probabilities: list[Any] = []
    ids: list[str] = []
    for answer in answers:
        found = answer.document["predictions"]
        values.extend(found)
        probabilities.extend(answer.document.get("probabilities") or ())
        ids.extend(f"{answer.prediction_id}#{row}" for row in range(len(found)))
    return Reply(
        predictions=_array(values),
        probabilities=np.array(probabilities, dtype=np.float64) if probabilities else None,
        classes=list(first.document.get("classes") or ()),
        ids=ids,
        variant=first.variant,
        model_version=first.model_version,
        index=index,
    )


def _array(values: list[Any]) -> npt.NDArray[Any]:
    """Return labels or numbers as an array; strings as objects, as pandas and scikit-learn hold them."""
    if any(isinstance(value, str) for value in values):
        return np.array(values, dtype=object)
    if any(value is None for value in values):
        return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    return np.array(values)
