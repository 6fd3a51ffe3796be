"""One variant's traffic, counted as it is read: distributions for drift, labelled rows for quality."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport.domain.errors import InvalidInput
from modelport.domain.signature import Output, Task
from modelport.evaluation.baseline import Baseline
from modelport.evaluation.drift import Drift, Tally, measure_drift
from modelport.jobs.answers import Labelling, ReplyReader
from modelport.jobs.captures import Captured
from modelport.runtime.model import LoadedModel
from modelport.runtime.outputs import Outputs, join_outputs

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
BLOCK_ROWS = 4096
Watched = tuple[Tally, Callable[[Outputs], Floats]]
"""What counts an answer, and how to find it in the outputs."""
PROBABILITIES_MAX = 10  # classes whose probabilities are watched one by one


@dataclass(frozen=True, slots=True)
class Labelled:
    """The rows of a variant whose label came in, in the order of time.

    Args:
        at: When each was answered, seconds since 1970, shape [n].
        truth: Code of the true label (classification) or the true number, shape [n].
        outputs: What was answered, n rows.
    """

    at: Floats
    truth: Floats
    outputs: Outputs

    def __len__(self) -> int:
        return len(self.at)

    def take(self, places: Integers) -> Labelled:
        """Return the rows at these places."""
        return Labelled(self.at[places], self.truth[places], _pick(self.outputs, places))


@dataclass(frozen=True, slots=True)
class _Request:
    """A request as decoded; one of `matrix` and `outputs` at least."""

    event_id: str
    at: float
    count: int
    matrix: Floats | None
    outputs: Outputs | None


class VariantWatch:
    """Counts the traffic of one variant.

    Args:
        model: The variant's.
        version: Its name, `NAME:3`; records of another version are not counted.
        baseline: Its training data; None where the bundle has none.
        labels: Row id to label.
    """

    def __init__(
        self, model: LoadedModel, version: str, baseline: Baseline | None, labels: Mapping[str, Any]
    ) -> None:
        output = model.signature.output
        self._model = model
        self._version = version
        self._labels = labels
        self.signature = model.signature
        self._classifies = output.task is Task.CLASSIFICATION
        self._reader = ReplyReader(model.signature)
        self._labelling = Labelling(output.labels)
        self._features = [] if baseline is None else [Tally(one) for one in baseline.features]
        self._answers = [] if baseline is None else _tallies_of_answers(baseline, output)
        self._waiting: list[_Request] = []
        self._waiting_rows = 0
        self._matched: list[Labelled] = []
        self.matched_ids: set[str] = set()
        self.requests = 0
        self.rows = 0
        self.bad: Counter[str] = Counter()

    def add(self, captured: Captured) -> None:
        """Count one request."""
        if captured.model_version not in {None, self._version}:
            self.bad[f"requests answered by {captured.model_version}"] += 1
            return
        matrix = self._decode(captured)
        outputs = None if captured.answered is None else self._reader.read(*captured.answered)
        if outputs is not None and matrix is not None and len(outputs) != len(matrix):
            outputs = None
        if matrix is not None:
            count = len(matrix)
        elif outputs is not None:
            count = len(outputs)
        else:
            self.bad["requests with neither readable rows nor readable answers"] += 1
            return
        self.requests += 1
        self.rows += count
        self._waiting.append(_Request(captured.event_id, captured.at.timestamp(), count, matrix, outputs))
        self._waiting_rows += count
        if self._waiting_rows >= BLOCK_ROWS:
            self.flush()

    def flush(self) -> None:
        """Count what waits: rows are gathered so that arrays are long enough to be cheap."""
        waiting, self._waiting, self._waiting_rows = self._waiting, [], 0
        matrices = [request.matrix for request in waiting if request.matrix is not None]
        if matrices:
            together = np.concatenate(matrices)
            for column, tally in enumerate(self._features):
                tally.add(together[:, column])
        if waiting:
            answers = join_outputs([self._answer(request) for request in waiting])
            for tally, pick in self._answers:
                tally.add(pick(answers))
            self._match(waiting, answers)

    def labelled(self) -> Labelled:
        """Return the rows whose label came in."""
        parts = self._matched
        if not parts:
            nothing = np.empty(0)
            return Labelled(nothing, nothing, Outputs())
        at = np.concatenate([part.at for part in parts])
        everything = Labelled(
            at, np.concatenate([part.truth for part in parts]), join_outputs([part.outputs for part in parts])
        )
        return everything.take(np.argsort(at, kind="stable"))

    def _decode(self, captured: Captured) -> Floats | None:
        if captured.asked is None:
            return None
        content_type, body = captured.asked
        try:
            return self._model.decoder_for(content_type)(body).matrix()
        except InvalidInput:
            self.bad["requests that cannot be decoded"] += 1
            return None

    def _answer(self, request: _Request) -> Outputs:
        """Return what was answered; where it was not kept, what the model answers again."""
        if request.outputs is not None:
            return request.outputs
        assert request.matrix is not None  # noqa: S101 - `add` keeps no request without both
        return self._model.run(np.ascontiguousarray(request.matrix))

    def _match(self, waiting: Sequence[_Request], answers: Outputs) -> None:
        if not self._labels:
            return
        places: list[int] = []
        at: list[float] = []
        truths: list[float] = []
        place = -1
        for request in waiting:
            for row in range(request.count):
                place += 1
                key = f"{request.event_id}#{row}"
                if key not in self._labels:
                    continue
                self.matched_ids.add(key)
                truth = self._truth(self._labels[key])
                if truth is None:
                    self.bad["labels that the model does not know"] += 1
                    continue
                places.append(place)
                at.append(request.at)
                truths.append(truth)
        if places:
            self._matched.append(
                Labelled(np.array(at), np.array(truths), _pick(answers, np.array(places, dtype=np.int64)))
            )

    def _truth(self, label: Any) -> float | None:
        if self._classifies:
            return self._labelling.code(label)
        try:
            number = float(label)
        except (TypeError, ValueError):
            return None
        return number if math.isfinite(number) else None

    def drift(self) -> tuple[tuple[Drift, ...], tuple[Drift, ...]]:
        """Return the drift of (features, answers); empty without a baseline."""
        used = [
            (feature, tally)
            for feature, tally in zip(self.signature.features, self._features, strict=False)
            if feature.used
        ]
        columns = max(1, len(used) + len(self._answers))
        return (
            tuple(measure_drift(tally, columns=columns, unit=feature.unit) for feature, tally in used),
            tuple(
                measure_drift(tally, columns=columns, unit=self.signature.output.unit)
                for tally, _ in self._answers
            ),
        )


def _tallies_of_answers(baseline: Baseline, output: Output) -> list[Watched]:
    """Return what counts each answer, and how to find it in the outputs."""
    tallies: list[Watched] = []
    for column, one in enumerate(baseline.predictions):
        tallies.append((Tally(one), _code if one.categories is not None else _prediction(column)))
    classes = len(baseline.probabilities)
    if classes <= PROBABILITIES_MAX:
        watched = [1] if classes == 2 else range(classes)  # with two classes one tells the other
        for column in watched:
            name = f"probability of {output.labels[column]}"
            tallies.append((Tally(replace(baseline.probabilities[column], name=name)), _probability(column)))
    return tallies


def _code(outputs: Outputs) -> Floats:
    return np.empty(0) if outputs.label is None else outputs.label.astype(np.float64)


def _prediction(column: int) -> Callable[[Outputs], Floats]:
    return lambda outputs: np.empty(0) if outputs.predictions is None else outputs.predictions[:, column]


def _probability(column: int) -> Callable[[Outputs], Floats]:
    return lambda outputs: np.empty(0) if outputs.probabilities is None else outputs.probabilities[:, column]


def _pick(outputs: Outputs, places: Integers) -> Outputs:
    return Outputs(
        None if outputs.label is None else outputs.label[places],
        None if outputs.probabilities is None else outputs.probabilities[places],
        None if outputs.predictions is None else outputs.predictions[places],
    )
