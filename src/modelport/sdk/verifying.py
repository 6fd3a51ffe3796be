"""Does a bundle still answer as the original did? Its proof's rows are run again and compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from modelport.domain.errors import CheckFailed
from modelport.domain.signature import Signature
from modelport.evaluation.parity import Comparison, compare, tell_row
from modelport.evaluation.proof_rows import ProofRows, decode_rows
from modelport.runtime.model import LoadedModel
from modelport.sdk.bundle import Bundle, digest_of
from modelport.sdk.coding import code
from modelport.wire import manifest as names


@dataclass(frozen=True, slots=True)
class Verified:
    """What a replay found.

    Args:
        rows: Rows answered and compared.
        refused: Rows that had to be refused, and were.
        max_absolute: Largest difference from the original's answer.
        flips: Label flips; 0, or there would have been an error.
        ties: Rows whose two best classes are no further apart than the bar.
    """

    rows: int
    refused: int
    max_absolute: float
    flips: int
    ties: int


def verify_bundle(bundle: Bundle) -> Verified:
    """Replay the probe rows of a bundle through the runtime that serves.

    Args:
        bundle: See `bundle.restore` for a downloaded one.

    Returns:
        What was measured.

    Raises:
        CheckFailed: An answer differs from the original's by more than the bar, a row is refused that
            the original answers or the other way round, or a file is not the one that was proven.
        InvalidInput: A file cannot be read.
    """
    signature = bundle.signature
    _check_hashes(bundle)
    rows = decode_rows(signature, bundle.files[names.PROOF_ROWS])
    coded = code(signature, rows.columns)
    unlike = np.flatnonzero(coded.refused != rows.refused)
    if unlike.size:
        row = int(unlike[0])
        does = "refuses a row that the original answers" if coded.refused[row] else "takes a row it refuses"
        raise CheckFailed(f"the signature {does}:\n{_tell(rows, row)}", hint="register the model again")
    answered = rows.take(~rows.refused)
    outputs = LoadedModel(signature, bundle.files[names.SERVING_GRAPH]).run(
        np.ascontiguousarray(coded.matrix[~rows.refused])
    )
    found = compare(answered, outputs, answered.allowed, margin=answered.margin)
    if not found.holds:
        raise CheckFailed(
            f"the model does not answer as its original did: of {found.rows} rows "
            f"{found.over} are further off than the bar ({bundle.proof.bar}), "
            f"{found.flips} have another label, {found.unlike} differ in NaN or infinity. "
            f"The worst row:\n{_tell_worst(signature, answered, outputs, found)}",
            hint="deploy the version before it, and register the model again",
        )
    return Verified(found.rows, int(rows.refused.sum()), found.max_absolute, found.flips, found.ties)


def _check_hashes(bundle: Bundle) -> None:
    for name, digest in bundle.proof.hashes.items():
        if name in bundle.files and digest_of(bundle.files[name]) != digest:
            raise CheckFailed(
                f"{name} is not the file that was proven: its content has another SHA-256",
                hint="register the model again",
            )


def _values(rows: ProofRows, row: int) -> dict[str, object]:
    values: dict[str, Any] = {name: column.tolist()[row] for name, column in rows.columns.items()}
    return {name: None if value != value else value for name, value in values.items()}  # noqa: PLR0124 - NaN


def _tell(rows: ProofRows, row: int) -> str:
    return "\n".join(f"  {name}  {value!r}" for name, value in _values(rows, row).items())


def _tell_worst(signature: Signature, rows: ProofRows, outputs: Any, found: Comparison) -> str:
    row = found.worst or 0
    return tell_row(_values(rows, row), rows, outputs, row, signature.output.labels)
