"""What a proof says: the summary that stands in `proof.json` of a model's bundle.

It holds no time and no path, so that the same model and example give the same bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import msgspec

from modelport.domain.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Measured:
    """One graph against the original.

    Args:
        rows: Rows both answered.
        max_absolute: Largest difference of two numbers. Where the bar grows with the row, rows in which it
            grew more than a millionfold (the extremes among the probes) count in `max_scaled` only.
        max_relative: Largest difference divided by the larger of the two numbers, in the same rows.
        max_scaled: Largest difference divided by what the row's bar grew by, in all rows; what the bar's
            number is compared with.
        flips: Rows with another label although the original was sure of it.
        ties: Rows whose two best classes are no further apart than the bar.
    """

    rows: int
    max_absolute: float
    max_relative: float
    max_scaled: float
    flips: int
    ties: int


@dataclass(frozen=True, slots=True)
class Proof:
    """The summary of a parity proof.

    Args:
        framework: For example `scikit-learn 1.9.1`.
        estimator: Class of the final estimator.
        family: Which bar applies.
        bar: The bar in words, for example `1e-14`.
        rows: Rows that the original and every graph answered.
        max_absolute: The larger of both graphs' largest differences; see `Measured`.
        max_scaled: The same, in the unit of the bar.
        flips: Label flips; 0, or there would be no proof.
        serving: The graph that workers run, against the original.
        published: The graph with one input per column, against the original; None when there is none.
        rows_by_origin: How many rows of each origin were asked.
        rows_kept: Rows that stand in `proof.arrow`.
        refused: Rows that the original refuses, and the signature too.
        float32: Steps and features where the original computes in float32.
        example_data: Rows of the example are kept.
        notes: What a reader should know, for example which isolation a pickle was loaded in.
        versions: Library to version, of everything that took part.
        hashes: File name (and `example`) to SHA-256.
        batch_difference: Largest difference between answers of the serving graph to a row alone and among
            others, as a share of max(1, |answer|); 0.0 where every bit is the same.
        format_version: Layout; readers refuse one they do not know.
    """

    framework: str
    estimator: str
    family: str
    bar: str
    rows: int
    max_absolute: float
    max_scaled: float
    flips: int
    serving: Measured
    published: Measured | None
    rows_by_origin: dict[str, int]
    rows_kept: int
    refused: int
    float32: tuple[str, ...] = ()
    example_data: bool = True
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    batch_difference: float = 0.0
    format_version: int = 1


def encode_proof(proof: Proof) -> bytes:
    """Return the summary as UTF-8 JSON; equal proofs give equal bytes."""
    return msgspec.json.encode(proof, order="sorted")


def decode_proof(content: bytes) -> Proof:
    """Read a summary.

    Raises:
        InvalidInput: The bytes are not a proof, or of a later layout.
    """
    try:
        proof = msgspec.json.decode(content, type=Proof)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"not a proof: {error}", hint="register the model again") from error
    if proof.format_version != 1:
        raise InvalidInput(
            f"proof has format version {proof.format_version}, expected 1", hint="upgrade modelport"
        )
    if not math.isfinite(proof.max_absolute):
        raise InvalidInput("not a proof: its differences are no numbers", hint="register the model again")
    return proof
