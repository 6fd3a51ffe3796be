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
        max_absolute: Largest difference of two numbers.
        max_relative: Largest difference divided by the larger of the two numbers.
        flips: Rows with another label although the original was sure of it.
        ties: Rows whose two best classes are no further apart than the bar.
    """

    rows: int
    max_absolute: float
    max_relative: float
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
        format_version: Layout; readers refuse one they do not know.
    """

    framework: str
    estimator: str
    family: str
    bar: str
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
    format_version: int = 1

    @property
    def max_absolute(self) -> float:
        """Return the larger of both graphs' largest differences."""
        return max(each.max_absolute for each in (self.serving, self.published) if each)

    @property
    def flips(self) -> int:
        """Return the label flips of both graphs; 0, or the bundle would not exist."""
        return sum(each.flips for each in (self.serving, self.published) if each)


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
