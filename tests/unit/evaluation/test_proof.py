from dataclasses import replace

import pytest

from modelport.domain.errors import InvalidInput
from modelport.evaluation.proof import Measured, Proof, decode_proof, encode_proof

PROOF = Proof(
    framework="scikit-learn 1.9",
    estimator="Ridge",
    family="linear",
    bar="1e-12",
    serving=Measured(10, 1e-15, 1e-15, 0, 1),
    published=Measured(10, 2e-15, 1e-15, 0, 1),
    rows_by_origin={"example": 10},
    rows_kept=12,
    refused=2,
    hashes={"serving.onnx": "ab"},
)


def test_a_proof_comes_back_as_it_was():
    assert decode_proof(encode_proof(PROOF)) == PROOF
    assert decode_proof(encode_proof(replace(PROOF, published=None))).max_absolute == 1e-15


def test_the_worse_of_both_graphs_counts():
    assert PROOF.max_absolute == 2e-15
    assert PROOF.flips == 0


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", encode_proof(replace(PROOF, format_version=2))])
def test_other_bytes_are_refused(content):
    with pytest.raises(InvalidInput, match="proof"):
        decode_proof(content)
