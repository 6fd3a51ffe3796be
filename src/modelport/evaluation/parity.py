"""Is the converted model the original? Two sets of answers compared under the bar of the model's family.

A difference counts per number, not on average: the worst row decides. A label counts only where the
original itself is sure: a row whose two best classes are no further apart than the bar is a tie.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from modelport.domain.errors import CheckFailed
from modelport.domain.signature import Value

Floats = NDArray[np.float64]


class Answers(Protocol):
    """Answers for N rows: `label` int64 `[N]`, `probabilities` float64 `[N, K]`, `predictions` `[N, T]`."""

    @property
    def label(self) -> NDArray[np.int64] | None:
        """Index of the class; None for regression."""
        ...

    @property
    def probabilities(self) -> Floats | None:
        """Class probabilities; None where the model gives none."""
        ...

    @property
    def predictions(self) -> Floats | None:
        """Predicted numbers; None for classification."""
        ...


class Growth(StrEnum):
    """What a bar grows with, from row to row."""

    NOTHING = ""
    TERMS = "Σ|wx|"
    ANSWER = "|answer|"


@dataclass(frozen=True, slots=True)
class Bar:
    """How far a converted model may be from the original.

    Args:
        family: Which models it holds for.
        absolute: Largest difference of any one number; at least 0.
        growth: What the bar grows with: `absolute * max(1, growth)` of the row.
    """

    family: str
    absolute: float
    growth: Growth = Growth.NOTHING

    def __str__(self) -> str:
        return f"{self.absolute:g} · max(1, {self.growth})" if self.growth else f"{self.absolute:g}"


BARS: dict[str, Bar] = {
    bar.family: bar
    for bar in (
        Bar("tree", 0.0),
        Bar("forest", 1e-14),
        Bar("boosting", 1e-14),
        # exp makes an error of the sum as large as the answer: below one bit of it no bar can be
        Bar("boosting-log", 1e-14, Growth.ANSWER),
        Bar("linear", 1e-12, Growth.TERMS),
        Bar("other", 1e-12, Growth.ANSWER),
        Bar("onnx", 0.0),  # a ready file behind an adapted front: the same nodes on the same numbers
    )
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison found.

    Args:
        rows: Rows compared.
        max_absolute: Largest difference of two finite numbers.
        max_share: Largest difference as a share of what its row allows; at most 1 where it holds.
        max_relative: Largest difference divided by the larger of the two numbers.
        flips: Rows with another label although the original's margin exceeds the bar.
        ties: Rows whose margin does not exceed the bar.
        over: Rows with a number further off than the bar allows.
        unlike: Rows where NaN or infinity is on one side only.
        worst: The row that is furthest from passing, or None when nothing differs.
    """

    rows: int
    max_absolute: float
    max_share: float
    max_relative: float
    flips: int
    ties: int
    over: int
    unlike: int
    worst: int | None

    @property
    def holds(self) -> bool:
        """Return whether the converted model may stand for the original."""
        return not (self.flips or self.over or self.unlike)


def bar_of(family: str) -> Bar:
    """Return the bar of a family.

    Raises:
        CheckFailed: There is none: a proof without a bar proves nothing.
    """
    try:
        return BARS[family]
    except KeyError:
        raise CheckFailed(
            f"no parity bar for the family {family!r}, expected one of {', '.join(BARS)}"
        ) from None


def compare(
    original: Answers, converted: Answers, allowed: Floats, *, margin: Floats | None = None
) -> Comparison:
    """Compare two sets of answers to the same rows.

    Args:
        original: What the original model answered.
        converted: What the converted one answered.
        allowed: Largest difference of each row, float64 `[N]`; see `allowed_difference`.
        margin: How sure the original is of its label, float64 `[N]`, in the unit of the bar; None takes
            the distance of the two largest probabilities, or without probabilities calls no row a tie.

    Raises:
        CheckFailed: The answers have different shapes.
    """
    numbers, others = _numbers(original), _numbers(converted)
    if numbers.shape != others.shape or (original.label is None) != (converted.label is None):
        raise CheckFailed(
            f"the converted model answers in shape {others.shape}, the original in {numbers.shape}",
            hint="report this model to modelport: its conversion is wrong",
        )
    rows = len(numbers)
    difference, unlike = _differences(numbers, others)
    largest = difference.max(axis=1, initial=0.0)
    flipped = np.zeros(rows, dtype=np.bool_)
    tied = np.zeros(rows, dtype=np.bool_)
    if original.label is not None and converted.label is not None:
        tied = (_margin(original) if margin is None else margin) <= allowed
        flipped = (original.label != converted.label) & ~tied
    # NaN against a number is worse than another label, and that is worse than a number too far off.
    badness = np.where(unlike, np.inf, np.where(flipped, np.finfo(np.float64).max, _excess(largest, allowed)))
    return Comparison(
        rows=rows,
        max_absolute=float(largest.max(initial=0.0)),
        max_share=float(_excess(largest, allowed).max(initial=0.0)),
        max_relative=_relative(numbers, others, difference),
        flips=int(flipped.sum()),
        ties=int(tied.sum()),
        over=int((largest > allowed).sum()),
        unlike=int(unlike.sum()),
        worst=int(badness.argmax()) if rows and badness.max() > 0 else None,
    )


def allowed_difference(bar: Bar, original: Answers, scale: Floats | None = None) -> Floats:
    """Return the largest allowed difference of each row.

    Args:
        bar: The family's bar.
        original: What the original model answered.
        scale: For a bar that grows with terms: Σ|wᵢxᵢ| per row, float64 `[N]`; None takes the size of the
            answer. Where it is not finite it counts as 1.

    Returns:
        float64 `[N]`.
    """
    numbers = _numbers(original)
    if not bar.growth:
        return np.full(len(numbers), bar.absolute)
    if scale is None or bar.growth is Growth.ANSWER:
        scale = np.abs(np.where(np.isfinite(numbers), numbers, 0.0)).max(axis=1, initial=0.0)
    known = np.where(np.isfinite(scale), scale, 1.0)
    return np.asarray(bar.absolute * np.maximum(1.0, known), dtype=np.float64)


def tell_row(
    values: dict[str, object], original: Answers, converted: Answers, row: int, labels: tuple[Value, ...]
) -> str:
    """Return one row, feature by feature, and both answers, as lines of text.

    Args:
        values: Feature name to the value in that row.
        original: What the original model answered.
        converted: What the converted one answered.
        row: Which row of the answers.
        labels: The words of the labels; empty for regression.
    """
    width = max((len(name) for name in [*values, "converted"]), default=0)
    lines = [
        f"  {name:<{width}}  {'missing' if value is None else repr(value)}" for name, value in values.items()
    ]
    lines += [
        f"  {who:<{width}}  {_tell_answer(answers, row, labels)}"
        for who, answers in (("original", original), ("converted", converted))
    ]
    return "\n".join(lines)


def _tell_answer(answers: Answers, row: int, labels: tuple[Value, ...]) -> str:
    parts = []
    if answers.label is not None:
        index = int(answers.label[row])
        parts.append(repr(labels[index]) if 0 <= index < len(labels) else f"label {index}")
    parts += [", ".join(repr(number) for number in _numbers(answers)[row].tolist())]
    return "  ".join(part for part in parts if part)


def _numbers(answers: Answers) -> Floats:
    """Return every number of the answers, float64 `[N, C]`."""
    parts = [part for part in (answers.probabilities, answers.predictions) if part is not None]
    if parts:
        return np.hstack([np.asarray(part, dtype=np.float64) for part in parts])
    return np.empty((0 if answers.label is None else len(answers.label), 0))


def _differences(first: Floats, second: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the distance of each pair, 0 unless both are finite, and the rows unlike in NaN or infinity."""
    finite = np.isfinite(first) & np.isfinite(second)
    same = finite | (np.isnan(first) & np.isnan(second)) | (first == second)
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.where(finite, np.abs(first - second), 0.0)
    return distance, np.asarray(~same.all(axis=1), dtype=np.bool_)


def _relative(first: Floats, second: Floats, difference: Floats) -> float:
    size = np.maximum(np.abs(first), np.abs(second))
    some = difference > 0
    return float((difference[some] / size[some]).max(initial=0.0))


def _excess(largest: Floats, allowed: Floats) -> Floats:
    """Return the difference in units of what is allowed; where nothing is, any difference is far beyond."""
    floor = np.where(allowed > 0, allowed, np.finfo(np.float64).tiny)
    with np.errstate(over="ignore"):
        return np.minimum(largest / floor, np.finfo(np.float64).max / 2)


def _margin(answers: Answers) -> Floats:
    """Return how far the two largest probabilities are apart; infinity where there are none to compare."""
    table = answers.probabilities
    if table is None or table.shape[1] < 2:
        return np.full(0 if answers.label is None else len(answers.label), np.inf)
    best = np.partition(table, -2, axis=1)[:, -2:]
    with np.errstate(invalid="ignore"):
        margin = best[:, 1] - best[:, 0]
    return np.where(np.isnan(margin), np.inf, margin)
