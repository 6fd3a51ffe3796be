"""Asking the original model every probe row, and whether it refuses just what the signature refuses."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport.domain.errors import CheckFailed
from modelport.domain.signature import Feature, Signature
from modelport.evaluation.probes import Origin, Probes
from modelport.formats.conversion import Original
from modelport.sdk.coding import Coded, code

REFUSED_ROWS_MAX = 200


@dataclass(frozen=True, slots=True)
class Answered:
    """Answers to N rows; see `evaluation.parity.Answers`, and `margin` there."""

    label: NDArray[np.int64] | None = None
    probabilities: NDArray[np.float64] | None = None
    predictions: NDArray[np.float64] | None = None
    margin: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """The rows of a proof with the original's answers.

    Args:
        probes: Every row that was asked and kept its answer; refused ones at the end.
        coded: The same rows as the serving graph takes them.
        answered: How many rows at the front the original answered.
        answers: Its answers to those.
        stricter: Features of which the signature refuses numbers, beyond all that the example holds, that
            the original would still answer.
    """

    probes: Probes
    coded: Coded
    answered: int
    answers: Any
    stricter: tuple[str, ...] = ()


def ask_original(signature: Signature, original: Original, probes: Probes) -> Asked:
    """Return the original's answers, after checking that it refuses what the signature refuses.

    The signature may be stricter about numbers far from all training data: where several features meet in
    one number, or a logarithm in front of a tree turns what it cannot take into a missing value, no range of
    a single feature says exactly which rows overflow. Then it refuses a little early, and the proof says so.

    Args:
        signature: The model's.
        original: The fitted object.
        probes: The rows to ask.

    Raises:
        CheckFailed: It answers a row that the signature refuses, or the other way round.
    """
    coded = code(signature, probes.columns)
    fine = np.flatnonzero(~coded.refused)
    if not (probes.origin[fine] == Origin.EXAMPLE.value).any():
        raise CheckFailed(
            "the signature refuses every row of the example",
            hint="pass rows that the model itself can answer",
        )
    with quiet():
        answers = _answer_all(original, probes, fine)
        refused = _one_of_each(signature, probes, coded)
        stricter = np.array(
            [_is_stricter(signature, original, probes, coded, int(row)) for row in refused], dtype=np.bool_
        )
    kept = np.concatenate([fine, refused[~stricter]])
    return Asked(
        probes.take(kept),
        Coded(coded.matrix[kept], coded.refused[kept], coded.refuser[kept]),
        len(fine),
        answers,
        tuple(signature.features[at].name for at in np.unique(coded.refuser[refused[stricter]])),
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings and use one thread.

    Probe rows are meant to be odd, and the original says so at each of them. Threads that wait for each
    other cost more than they bring where a model is asked for a few rows at a time, a hundredfold on a busy
    machine; and sums over one thread have one order.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"), _one_thread():
        warnings.simplefilter("ignore")
        yield


def _one_thread() -> AbstractContextManager[Any]:
    try:
        from threadpoolctl import threadpool_limits
    except ModuleNotFoundError:  # it comes with scikit-learn
        return nullcontext()
    limits: AbstractContextManager[Any] = threadpool_limits(1)
    return limits


def _answer_all(original: Original, probes: Probes, rows: NDArray[Any]) -> Any:
    """Ask for all rows at once; where the original raises, find the row it refuses and tell it."""
    try:
        return original.answer(original.build(probes.take(rows).columns))
    except Exception as error:
        culprit, reason = _find_refused(original, probes, rows, error)
        raise CheckFailed(
            f"the original refuses a row that its signature accepts: {reason}\n"
            + _tell_values(probes, culprit),
            hint="report this model to modelport: its signature is too wide",
        ) from error


def _find_refused(
    original: Original, probes: Probes, rows: NDArray[Any], error: Exception
) -> tuple[int, str]:
    """Halve the rows until one is left that the original refuses."""
    while len(rows) > 1:
        half = len(rows) // 2
        for part in (rows[:half], rows[half:]):
            try:
                original.answer(original.build(probes.take(part).columns))
            except Exception as again:  # noqa: BLE001 - each model refuses in its own words
                rows, error = part, again
                break
        else:
            break  # refused together, accepted apart: the first row stands for all
    return int(rows[0]), (str(error).splitlines() or [type(error).__name__])[0]


def _one_of_each(signature: Signature, probes: Probes, coded: Coded) -> NDArray[np.int64]:
    """Return refused rows that differ in who refuses what, at most so many."""
    seen: dict[tuple[int, str], int] = {}
    for row in np.flatnonzero(coded.refused).tolist():
        feature = int(coded.refuser[row])
        value = probes.columns[signature.features[feature].name][row]
        seen.setdefault((feature, repr(value)), row)
    rows = np.fromiter(seen.values(), dtype=np.int64, count=len(seen))
    step = max(1, -(-len(rows) // REFUSED_ROWS_MAX))
    return rows[::step]


def _is_stricter(signature: Signature, original: Original, probes: Probes, coded: Coded, row: int) -> bool:
    """Return whether the original answers a row that the signature refuses.

    Raises:
        CheckFailed: It does, and what is refused is not a number beyond all that the example holds.
    """
    try:
        original.answer(original.build(probes.take(np.array([row])).columns))
    except Exception:  # noqa: BLE001 - each model refuses in its own words
        return False
    feature = signature.features[int(coded.refuser[row])]
    value = probes.columns[feature.name][row]
    if _is_beyond(feature, value):
        return True
    raise CheckFailed(
        f"the original answers a row that its signature refuses, for its feature {feature.name!r}:\n"
        + _tell_values(probes, row),
        hint="report this model to modelport: its signature is too narrow",
    )


def _is_beyond(feature: Feature, value: Any) -> bool:
    """Return whether a value is a number outside of what the example holds."""
    if not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - NaN
        return False
    low, high = feature.seen_min, feature.seen_max
    return low is not None and high is not None and not low <= value <= high


def _tell_values(probes: Probes, row: int) -> str:
    width = max(len(name) for name in probes.columns)
    return "\n".join(
        f"  {name:<{width}}  {column.tolist()[row]!r}" for name, column in probes.columns.items()
    )
