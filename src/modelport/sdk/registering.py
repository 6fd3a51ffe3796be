"""From a fitted object to a proven bundle: convert, ask original and graphs the same rows, compare, keep.

Nothing is uploaded here, and nothing exists unless the proof holds.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport import __version__
from modelport.domain.errors import CheckFailed, InvalidInput
from modelport.domain.signature import Signature, Value
from modelport.evaluation.baseline import encode_baseline, measure_baseline
from modelport.evaluation.parity import (
    Answers,
    Bar,
    Comparison,
    allowed_difference,
    bar_of,
    compare,
    tell_row,
)
from modelport.evaluation.probes import Columns, Probes, make_probes
from modelport.evaluation.proof import Measured, Proof, encode_proof
from modelport.evaluation.proof_rows import ProofRows, encode_rows
from modelport.formats.conversion import Conversion, Original
from modelport.runtime import invariance
from modelport.runtime.model import LoadedModel
from modelport.sdk.asking import Answered, Asked, ask_original, quiet
from modelport.sdk.bundle import Bundle, assemble, digest_of
from modelport.sdk.coding import code
from modelport.sdk.published import PublishedModel
from modelport.wire import manifest as names
from modelport.wire.signature import encode_signature

SINGLE_ROWS = 16  # rows also asked one at a time: graphs may take another path for one row
BASELINE_ROWS_MAX = 200_000
ORDINARY_GROWTH_MAX = 1e6
STRICTER = "{} refuses numbers, far beyond the example's, that the original would still answer"
LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx", "pandas")


def build_bundle(
    model: Any,
    example: Any,
    *,
    labels: Sequence[Value] | None = None,
    units: Mapping[str, str] | None = None,
    example_data: bool = True,
    notes: Sequence[str] = (),
) -> Bundle:
    """Return the proven bundle of a fitted object.

    Args:
        model: A fitted estimator or pipeline.
        example: Rows of the training features, DataFrame or array `[N, F]`, N at least 1. All of them
            make the baseline that drift is measured against; at most 5,000 are proven on.
        labels: Words for the classes, in the order of the model's own; None keeps those of the training data.
        units: Feature name to unit, for people; one name that is no feature gives the unit of the answer.
        example_data: Keep rows of the example in the proof; otherwise made-up rows only.
        notes: Said in the proof.

    Raises:
        ConversionFailed: A step cannot be converted; says which, why, and what would work.
        CheckFailed: The converted model is not the original; shows the worst row.
        InvalidInput: The example does not fit the model.
    """
    from modelport.formats.converting import convert
    from modelport.formats.relabelling import relabel

    if example is None:
        raise InvalidInput(
            "a fitted model needs example rows of its training data, to prove that nothing changed",
            hint="pass example=X_train.head(100)",
        )
    of_features, of_output = _sorted_units(example, units or {})
    with quiet():
        conversion = convert(model, example, units=of_features, output_unit=of_output)
    if labels is not None:
        conversion = relabel(conversion, labels)
    return prove(conversion, conversion.original.columns(example), example_data=example_data, notes=notes)


def build_bundle_from_onnx(
    path: Path,
    example: Any = None,
    *,
    labels: Sequence[Value] | None = None,
    units: Mapping[str, str] | None = None,
    example_data: bool = True,
) -> Bundle:
    """Return the proven bundle of a ready ONNX file.

    Args:
        path: The file; external data must lie beside it.
        example: Rows of the training features; None: rows are made up from the inputs' types, and
            there is no baseline for drift.
        labels: Words for the classes, in the order of the file's outputs.
        units: Feature (or target) name to unit, for people.
        example_data: Keep rows of the example in the proof.

    Raises:
        InvalidInput: The file or the example is not readable.
        ConversionFailed: The file's inputs or outputs are of a kind that cannot be served.
        CheckFailed: The adapted graph is not the file.
    """
    from modelport.formats.onnx_file import convert_file, invent_example

    conversion = convert_file(path, example, labels=labels, units=units)
    known = example is not None
    columns = conversion.original.columns(example) if known else invent_example(conversion.signature)
    return prove(conversion, columns, example_data=example_data and known, baseline=known, given_graph=True)


def prove(
    conversion: Conversion,
    example: Columns,
    *,
    example_data: bool = True,
    baseline: bool = True,
    given_graph: bool = False,
    notes: Sequence[str] = (),
) -> Bundle:
    """Return the bundle of a conversion, after its proof.

    Args:
        conversion: What the formats made of a model.
        example: Rows of the training features, by column.
        example_data: Keep rows of the example in the proof.
        baseline: Keep the distributions of the example.
        given_graph: The published graph is the original itself: there is nothing to compare it with.
        notes: Said in the proof.

    Raises:
        CheckFailed: The converted model is not the original; shows the worst row.
    """
    signature = conversion.signature
    # what the model does not read may be anything, and is nobody's business
    example = {each.name: example[each.name] for each in signature.features if each.used}
    bar = bar_of(conversion.family)
    serving = LoadedModel(signature, conversion.serving)
    probes = make_probes(signature, example, conversion.thresholds, example_data=example_data)
    asked = ask_original(signature, conversion.original, probes)
    front = np.arange(asked.answered)
    matrix = np.ascontiguousarray(asked.coded.matrix[front])
    scale = None if conversion.scale is None else conversion.scale(matrix)
    allowed = allowed_difference(bar, asked.answers, scale)
    rows = asked.probes.take(front)
    judge = _Judge(signature, bar, rows, asked.answers, allowed)
    by_serving = judge.hold("the serving graph", serving.run(matrix))
    judge.hold_singles(conversion.original, serving, matrix)
    by_published = None
    if not given_graph:
        published = PublishedModel(signature, conversion.published)
        by_published = judge.hold("the published graph", published.run(rows.columns))
    measured = [each for each in (by_serving, by_published) if each]
    files = {
        names.SERVING_GRAPH: conversion.serving,
        names.PUBLISHED_GRAPH: conversion.published,
        names.SIGNATURE: encode_signature(signature),
    }
    if baseline:
        files[names.BASELINE] = _baseline(signature, serving, example)
    kept = _proof_rows(asked, allowed, example_data=example_data)
    files[names.PROOF_ROWS] = encode_rows(signature, kept)
    origins, counts = np.unique(asked.probes.origin, return_counts=True)
    proof = Proof(
        framework=conversion.framework,
        estimator=conversion.estimator,
        family=conversion.family,
        bar=str(bar),
        rows=asked.answered,
        max_absolute=max(each.max_absolute for each in measured),
        max_scaled=max(each.max_scaled for each in measured),
        flips=sum(each.flips for each in measured),
        serving=by_serving,
        published=by_published,
        rows_by_origin=dict(zip(origins.tolist(), counts.tolist(), strict=True)),
        rows_kept=len(kept),
        refused=len(asked.probes) - asked.answered,
        float32=tuple(conversion.float32),
        example_data=example_data,
        notes=(*notes, *map(STRICTER.format, asked.stricter)),
        batch_difference=_batch_difference(serving, matrix),
        versions=versions(),
        hashes={name: digest_of(content) for name, content in files.items()}
        | {"example": _example_hash(signature, example)},
    )
    files[names.PROOF] = encode_proof(proof)
    return assemble(files)


def versions() -> dict[str, str]:
    """Return the versions of everything that takes part in a proof."""
    found = {"modelport": __version__, "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found


class _Judge:
    """Compares answers with the original's, and words the refusal.

    Args:
        signature: The model's.
        bar: The family's.
        rows: The rows that were asked.
        original: The original's answers to them.
        allowed: Largest difference of each row.
    """

    def __init__(
        self,
        signature: Signature,
        bar: Bar,
        rows: Probes,
        original: Any,
        allowed: NDArray[np.float64],
    ) -> None:
        self._signature = signature
        self._bar = bar
        self._rows = rows
        self._original = original
        self._allowed = allowed

    def hold(self, who: str, answers: Any) -> Measured:
        """Return what was measured.

        Raises:
            CheckFailed: It does not hold.
        """
        found = compare(self._original, answers, self._allowed, margin=self._original.margin)
        if not found.holds:
            raise CheckFailed(
                self._tell(who, found, answers),
                hint="report this model to modelport: its conversion is not exact enough to be served",
            )
        return self._measured(found, answers)

    def hold_singles(self, original: Original, serving: LoadedModel, matrix: NDArray[np.float64]) -> None:
        """Ask both for some rows one at a time: graphs may take another path for a single row.

        Raises:
            CheckFailed: They differ.
        """
        some = np.unique(np.linspace(0, len(matrix) - 1, SINGLE_ROWS).astype(np.int64))
        with quiet():
            told = [original.answer(original.build(self._rows.take(np.array([row])).columns)) for row in some]
        ours = [serving.run(np.ascontiguousarray(matrix[row : row + 1])) for row in some]
        alone = _Judge(self._signature, self._bar, self._rows.take(some), _stacked(told), self._allowed[some])
        alone.hold("the serving graph, asked one row at a time,", _stacked(ours))

    def _measured(self, found: Comparison, answers: Any) -> Measured:
        ordinary = found
        if self._bar.growth:
            some = self._allowed <= self._allowed.min() * ORDINARY_GROWTH_MAX
            ordinary = compare(_some(self._original, some), _some(answers, some), self._allowed[some])
        return Measured(
            rows=found.rows,
            max_absolute=ordinary.max_absolute,
            max_relative=ordinary.max_relative,
            max_scaled=found.max_share * self._bar.absolute if self._bar.growth else found.max_absolute,
            flips=found.flips,
            ties=found.ties,
        )

    def _tell(self, who: str, found: Comparison, answers: Answers) -> str:
        row = found.worst or 0
        values: dict[str, object] = {}
        for name, column in self._rows.columns.items():
            value = column[row]
            value = value.item() if isinstance(value, np.generic) else value
            values[name] = None if value is None or value != value else value  # noqa: PLR0124 - NaN
        faults = [
            f"{count} {what}"
            for count, what in (
                (found.over, "further off than the bar"),
                (found.flips, "with another label"),
                (found.unlike, "with NaN or infinity on one side only"),
            )
            if count
        ]
        return (
            f"{who} is not the original: of {found.rows} rows {', '.join(faults)}; "
            f"largest difference {found.max_absolute:.3g}, bar {self._bar} ({self._bar.family}). "
            f"The worst row ({self._rows.origin[row]}):\n"
            + tell_row(values, self._original, answers, row, self._signature.output.labels)
        )


def _stacked(parts: Sequence[Any]) -> Answered:
    """Return answers to single rows as one."""

    def joined(name: str) -> Any:
        some: list[Any] = [getattr(part, name, None) for part in parts]
        return None if some[0] is None else np.concatenate(some)

    return Answered(joined("label"), joined("probabilities"), joined("predictions"), joined("margin"))


def _some(answers: Any, rows: NDArray[np.bool_]) -> Answered:
    """Return the answers to some of the rows."""

    def taken(name: str) -> Any:
        part: Any = getattr(answers, name, None)
        return None if part is None else part[rows]

    return Answered(taken("label"), taken("probabilities"), taken("predictions"), taken("margin"))


def _proof_rows(asked: Asked, allowed: NDArray[np.float64], *, example_data: bool) -> ProofRows:
    """Return what the proof keeps: all rows, or those that tell nothing of the example."""
    count, refused = len(asked.probes), len(asked.probes) - asked.answered

    def widen(part: Any, filler: float) -> Any:
        if part is None:
            return None
        return np.concatenate([part, np.full((refused, *part.shape[1:]), filler, dtype=part.dtype)])

    rows = ProofRows(
        columns=asked.probes.columns,
        origin=asked.probes.origin,
        refused=np.arange(count) >= asked.answered,
        allowed=widen(allowed, 0.0),
        label=widen(asked.answers.label, -1),
        probabilities=widen(asked.answers.probabilities, np.nan),
        predictions=widen(asked.answers.predictions, np.nan),
        margin=widen(asked.answers.margin, np.nan),
    )
    return rows if example_data else rows.take(~asked.probes.private)


def _batch_difference(serving: LoadedModel, matrix: NDArray[np.float64]) -> float:
    """Return how much an answer depends on the rows beside it, over rows of all origins."""
    some = np.unique(np.linspace(0, len(matrix) - 1, invariance.ROWS).astype(np.int64))
    return invariance.measure_batch_difference(serving.run, matrix[some], time.monotonic)


def _sorted_units(example: Any, units: Mapping[str, str]) -> tuple[dict[str, str], str | None]:
    """Return the units of features, and that of the answer: of the one name that is no feature."""
    shape = getattr(example, "shape", (0, 0))
    given = getattr(example, "columns", None)
    names = {f"x{place}" for place in range(shape[-1])} if given is None else {str(name) for name in given}
    others = [name for name in units if name not in names]
    if len(others) > 1:
        raise InvalidInput(
            f"units were given for {', '.join(map(repr, others))}, which are no columns of the example",
            hint="one name besides the columns gives the unit of the answer",
        )
    of_features = {name: unit for name, unit in units.items() if name in names}
    return of_features, units[others[0]] if others else None


def _baseline(signature: Signature, serving: LoadedModel, example: Columns) -> bytes:
    rows = len(next(iter(example.values())))
    if rows > BASELINE_ROWS_MAX:
        some = np.linspace(0, rows - 1, BASELINE_ROWS_MAX).astype(np.int64)
        example = {name: column[some] for name, column in example.items()}
    coded = code(signature, example)
    matrix = np.ascontiguousarray(coded.matrix[~coded.refused])
    answers = serving.run(matrix)
    return encode_baseline(
        measure_baseline(
            signature,
            matrix,
            label=answers.label,
            probabilities=answers.probabilities,
            predictions=answers.predictions,
        )
    )


def _example_hash(signature: Signature, example: Columns) -> str:
    """Return the SHA-256 of the example's values, whatever container they came in."""
    parts = []
    for feature in signature.features:
        column = example.get(feature.name)
        if column is None:
            continue
        content = repr(column.tolist()).encode() if column.dtype == object else column.tobytes()
        parts.append(f"{feature.name}:{digest_of(content)}")
    return digest_of("\n".join(parts).encode())
