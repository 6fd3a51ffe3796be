"""The fitted scikit-learn object, asked in the signature's terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport.domain.errors import InvalidInput
from modelport.domain.signature import Feature, FeatureType, Signature, Task, Value
from modelport.formats.conversion import Answers, Columns
from modelport.formats.scikit.walk import quiet
from modelport.formats.tabular import Layout


class SklearnOriginal:
    """A fitted model with the layout of its rows.

    Args:
        model: Fitted.
        layout: How its rows look.
        signature: What it takes and gives.
    """

    def __init__(self, model: Any, layout: Layout, signature: Signature) -> None:
        self._model = model
        self._layout = layout
        self._signature = signature
        self._classes: dict[Any, int] = {label: place for place, label in enumerate(signature.output.labels)}

    def columns(self, rows: Any) -> Columns:
        """Return a user's rows by column. See `conversion.Original`."""
        features = self._signature.features
        words = [holds_words(feature) for feature in features]
        return self._layout.read(rows, words=words, needed=[feature.used for feature in features])

    def build(self, columns: Mapping[str, NDArray[Any]]) -> Any:
        """Return rows as the original takes them. See `conversion.Original`."""
        return self._layout.build(columns, kept=[feature.used for feature in self._signature.features])

    def answer(self, rows: Any) -> Answers:
        """Ask the original. See `conversion.Original`."""
        with quiet():
            predicted = self._model.predict(rows)
            if self._signature.output.task is Task.REGRESSION:
                numbers = np.asarray(predicted, dtype=np.float64)
                return Answers(predictions=numbers.reshape(len(numbers), -1))
            label = np.array([self._place(value) for value in predicted.tolist()], dtype=np.int64)
            if self._signature.output.probabilities:
                table = np.asarray(self._model.predict_proba(rows), dtype=np.float64)
                return Answers(label, table)
            return Answers(label, margin=_margin(np.asarray(self._model.decision_function(rows))))

    def _place(self, value: Any) -> int:
        try:
            return self._classes[value]
        except KeyError:
            raise InvalidInput(f"the original answers {value!r}, which is none of its classes") from None


def holds_words(feature: Feature) -> bool:
    """Return whether a feature's values are held as objects rather than as float64."""
    return feature.vocabulary is not None or feature.type in {FeatureType.STRING, FeatureType.CATEGORY}


def labels_of(model: Any) -> tuple[Value, ...]:
    """Return the classes of a fitted classifier in the words of the training data."""
    return tuple(model.classes_.tolist())


def _margin(decision: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far the decision is from turning over."""
    if decision.ndim == 1:
        return np.abs(decision)
    best = np.sort(decision, axis=1)
    return np.asarray(best[:, -1] - best[:, -2], dtype=np.float64)
