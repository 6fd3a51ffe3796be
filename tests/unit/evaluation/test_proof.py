from dataclasses import replace

import pytest

from modelport.domain.errors import InvalidInput
from modelport.evaluation.proof import Measured, Proof, decode_proof, encode_proof

PROOF = Proof(
    framework="scikit-learn 1.9",
    estimator="Ridge",
    family="linear",
    bar="1e-12",
    rows=10,
    max_absolute=2e-15,
    max_scaled=2e-15,
    flips=0,
    serving=Measured(10, 1e-15, 1e-15, 1e-15, 0, 1),
    published=Measured(10, 2e-15, 1e-15, 2e-15, 0, 1),
    rows_by_origin={"example": 10},
    rows_kept=12,
    refused=2,
    hashes={"serving.onnx": "ab"},
)


def test_a_proof_comes_back_as_it_was():
    assert decode_proof(encode_proof(PROOF)) == PROOF
    assert decode_proof(encode_proof(replace(PROOF, published=None))).published is None


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", encode_proof(replace(PROOF, format_version=2))])
def test_other_bytes_are_refused(content):
    with pytest.raises(InvalidInput, match="proof"):
        decode_proof(content)
