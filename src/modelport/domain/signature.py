"""What a model takes and gives, in the words of its training data.

A signature is made where the model was trained and never guessed again. The serving graph takes one
float64 matrix `[rows, features]`, column j for feature j:

* a feature without `vocabulary` is its number (bool as 0 or 1), a missing value is NaN;
* a feature with `vocabulary` is a code: the index of its value there; `unknown_code` for any other
  value; `missing_code` for a missing one.

What the original refuses is refused here too: a missing value where `missing` is False, an unknown
category where `unknown` is False, a number outside `[lower, upper]`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

Value = str | int | float | bool


class FeatureType(StrEnum):
    """How a feature's values are written in requests."""

    DOUBLE = "double"
    INT64 = "int64"
    BOOL = "bool"
    STRING = "string"
    CATEGORY = "category"
    DATETIME = "datetime"


class Task(StrEnum):
    """What the model's answer is."""

    REGRESSION = "regression"
    CLASSIFICATION = "classification"


@dataclass(frozen=True, slots=True)
class Feature:
    """One input column.

    Args:
        name: The column's name in the training data.
        type: How its values are written.
        missing: The original accepts a missing value here.
        unknown: The original accepts a value outside `vocabulary` here (only with a vocabulary).
        vocabulary: The values the model knows, in code order; None where the number itself is used.
        lower: Smallest accepted number, inclusive; -inf where negative infinity is accepted.
        upper: Largest accepted number, inclusive; inf where infinity is accepted.
        seen_min: Smallest number in the example rows, None without numbers.
        seen_max: Largest number in the example rows, None without numbers.
        used: The model reads it. An unused column may be left out of a request.
        unit: Unit of the number, for people; None when not given.
    """

    name: str
    type: FeatureType
    missing: bool = True
    unknown: bool = True
    vocabulary: tuple[Value, ...] | None = None
    lower: float = -math.inf
    upper: float = math.inf
    seen_min: float | None = None
    seen_max: float | None = None
    used: bool = True
    unit: str | None = None

    @property
    def unknown_code(self) -> int:
        """Return the code of a value outside the vocabulary."""
        return len(self.vocabulary or ())

    @property
    def missing_code(self) -> int:
        """Return the code of a missing value."""
        return len(self.vocabulary or ()) + 1


@dataclass(frozen=True, slots=True)
class Output:
    """The answer.

    Args:
        task: Classification or regression.
        labels: The classes in the words of the training data, in column order of `probabilities`;
            empty for regression.
        probabilities: The model gives class probabilities (classification only).
        targets: Names of the predicted numbers; one for ordinary regression, empty for classification.
        unit: Unit of the predicted number; None when not given.
    """

    task: Task
    labels: tuple[Value, ...] = ()
    probabilities: bool = False
    targets: tuple[str, ...] = ()
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives.

    Args:
        features: The columns, in the order of the serving matrix.
        output: The answer.
        matrix: The model was trained on a bare matrix: rows may be sent as lists, and V2 clients
            send one tensor `input`. Features are then named `x0`, `x1`, … unless names were given.
        row_shape: Shape of one row where a row is not a flat list (a ready ONNX file for images);
            its product is the number of features. None otherwise.
    """

    features: tuple[Feature, ...]
    output: Output
    matrix: bool = False
    row_shape: tuple[int, ...] | None = None
