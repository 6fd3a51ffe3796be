"""The checksums that the standard library lacks are those of their definitions, however a body is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.api.aws.s3.bodies import HASHERS
from modelport.api.aws.s3.crc import STRETCH_BYTES

POLYNOMIALS = {"crc32c": (32, 0x82F63B78), "crc64nvme": (64, 0x9A6C9329AC4BC9B5)}
SIZES = st.integers(0, 5 * STRETCH_BYTES + 3)


def bit_by_bit(name, data):
    bits, polynomial = POLYNOMIALS[name]
    state = ones = (1 << bits) - 1
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (polynomial if state & 1 else 0)
    return (state ^ ones).to_bytes(bits // 8, "big")


@pytest.mark.parametrize(("name", "known"), [("crc32c", "e3069283"), ("crc64nvme", "ae8b14860a799888")])
def test_the_check_values_of_the_catalogue(name, known):
    hasher = HASHERS[name]()
    hasher.update(b"123456789")
    assert hasher.digest().hex() == known


@pytest.mark.parametrize("name", POLYNOMIALS)
@given(seed=st.randoms(use_true_random=False), sizes=st.lists(SIZES, max_size=3))
def test_a_checksum_is_that_of_all_pieces_together(name, seed, sizes):
    pieces = [seed.randbytes(size) for size in sizes]
    hasher = HASHERS[name]()
    for piece in pieces:
        hasher.update(piece)
    assert hasher.digest() == bit_by_bit(name, b"".join(pieces))


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_a_large_piece_is_as_its_halves(name):
    data = bytes(range(256)) * 4_099 + b"end"
    whole, halves = HASHERS[name](), HASHERS[name]()
    whole.update(data)
    halves.update(data[:777_777])
    halves.update(data[777_777:])
    assert whole.digest() == halves.digest()
