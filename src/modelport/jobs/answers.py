"""Captured replies back into arrays."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from modelport.domain.signature import Signature, Task, Value
from modelport.runtime.outputs import Outputs


class _Reply(msgspec.Struct):
    predictions: list[Any]
    probabilities: list[list[float]] | None = None


class Labelling:
    """The model's labels by their words, as callers write them.

    Args:
        labels: In the order of their codes.
    """

    def __init__(self, labels: tuple[Value, ...]) -> None:
        self._exact = {(type(label), label): code for code, label in enumerate(labels)}
        self._by_text = {_text(label): code for code, label in enumerate(labels)}

    def code(self, label: Any) -> int | None:
        """Return a label's code, None for a word the model does not know."""
        try:
            exact = self._exact.get((type(label), label))
        except TypeError:  # a list
            return None
        return exact if exact is not None else self._by_text.get(_text(label))


class ReplyReader:
    """Reads JSON replies, the ones our own and the V1 protocol give.

    Args:
        signature: What the model answers.
    """

    def __init__(self, signature: Signature) -> None:
        self._output = signature.output
        self._labelling = Labelling(signature.output.labels)
        self._decoder = msgspec.json.Decoder(_Reply)

    def read(self, content_type: str, body: bytes) -> Outputs | None:
        """Return a reply's answers, None where it has another form or lacks something.

        Args:
            content_type: Of the reply.
            body: Its bytes.
        """
        if content_type.partition(";")[0].strip().lower() != "application/json":
            return None
        try:
            reply = self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        if self._output.task is Task.REGRESSION:
            return self._numbers(reply)
        codes = [self._labelling.code(label) for label in reply.predictions]
        if not codes or None in codes:
            return None
        label = np.array(codes, dtype=np.int64)
        if not self._output.probabilities:
            return Outputs(label)
        try:
            probabilities = np.array(reply.probabilities, dtype=np.float64)
        except (TypeError, ValueError):
            return None
        if probabilities.shape != (len(codes), len(self._output.labels)):
            return None
        return Outputs(label, probabilities)

    def _numbers(self, reply: _Reply) -> Outputs | None:
        targets = len(self._output.targets)
        rows = [[row] if targets == 1 else row for row in reply.predictions]
        try:
            predictions = np.array(
                [[math.nan if cell is None else float(cell) for cell in row] for row in rows], np.float64
            )
        except (TypeError, ValueError):
            return None
        return Outputs(predictions=predictions) if predictions.shape == (len(rows), targets) else None


def _text(label: Any) -> str:
    """Return a label as text: numbers that are equal are equal texts, true is not 1."""
    if isinstance(label, bool):
        return str(label).lower()
    if isinstance(label, int | float):
        return f"{float(label):.17g}"
    return str(label)
