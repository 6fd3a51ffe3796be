"""Packed bodies are unpacked exactly, and never beyond their limits."""

from __future__ import annotations

import gzip
import subprocess
import sys
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.malformed_packed import PACKERS
from modelport.domain.errors import PayloadTooLarge, UnsupportedMediaType
from modelport.runtime.codecs import Unpacking, parse_content_encoding, unpack

MIB = 1 << 20
LAZY = """
import sys
import modelport.dataplane.worker
from modelport.domain.signature import Feature, FeatureType, Output, Signature, Task
from modelport.runtime.codecs import Codecs

codecs = Codecs(Signature((Feature("x0", FeatureType.DOUBLE),), Output(Task.REGRESSION, targets=("y",))))
assert codecs.decoder_for(None)(b"[[1]]").count == 1
codecs.decoder_for("application/vnd.apache.arrow.stream")
codecs.encoder_for("application/vnd.apache.arrow.stream")
codecs.decoder_for(None, "zstd")
print(sorted({"pyarrow", "backports.zstd", "compression.zstd", "pandas"} & set(sys.modules)))
"""


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize("encoding", PACKERS)
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=4), st.integers(0, 2))
@settings(deadline=None)
def test_what_was_packed_comes_back(encoding: str, parts: list[bytes], scale: int) -> None:
    parts = [part * 50**scale for part in parts]
    if encoding == "deflate":
        parts = parts[:1]
        assert unpack(raw_deflate(parts[0]), encoding, Unpacking(ratio_max=10**6)) == parts[0]
    packed = b"".join(PACKERS[encoding](part) for part in parts)
    assert unpack(packed, encoding, Unpacking(ratio_max=10**6)) == b"".join(parts)


@pytest.mark.parametrize("encoding", PACKERS)
@pytest.mark.parametrize(
    ("size", "limits", "fits"),
    [
        (MIB, Unpacking(), True),  # the first MiB is free, however small the body
        (MIB + 1, Unpacking(), False),
        (MIB + 1, Unpacking(ratio_max=100_000), True),
        (3 * MIB, Unpacking(bytes_max=3 * MIB, ratio_max=100_000), True),
        (3 * MIB + 1, Unpacking(bytes_max=3 * MIB, ratio_max=100_000), False),
        (1001, Unpacking(bytes_max=1000), False),
    ],
)
def test_limits_hold_to_the_byte(encoding: str, size: int, limits: Unpacking, fits: bool) -> None:  # noqa: FBT001
    packed = PACKERS[encoding](b" " * size)
    if fits:
        assert len(unpack(packed, encoding, limits)) == size
        return
    with pytest.raises(PayloadTooLarge) as caught:
        unpack(packed, encoding, limits)
    assert f"more than {limits.limit(len(packed))} bytes" in caught.value.message


@pytest.mark.parametrize("encoding", PACKERS)
def test_a_bomb_is_given_up_before_it_takes_memory(encoding: str) -> None:
    bomb = PACKERS[encoding](bytes(200 * MIB))
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooLarge):
            unpack(bomb, encoding, Unpacking(bytes_max=8 * MIB))
        assert tracemalloc.get_traced_memory()[1] < 20 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("said", [None, "", "identity", " Identity "])
def test_bodies_may_say_that_they_are_not_packed(said: str | None) -> None:
    assert parse_content_encoding(said) is None


@pytest.mark.parametrize("said", ["GZIP", "x-gzip", " gzip "])
def test_names_of_gzip(said: str) -> None:
    assert unpack(gzip.compress(b"1"), parse_content_encoding(said) or "", Unpacking()) == b"1"


@pytest.mark.parametrize("said", ["br", "gzip, gzip", "gzip, br", "aws-chunked", "x-"])
def test_what_nothing_unpacks_is_refused_with_what_would_do(said: str) -> None:
    with pytest.raises(UnsupportedMediaType) as caught:
        parse_content_encoding(said)
    assert caught.value.hint == "use one of gzip, deflate, zstd"


def test_what_few_requests_need_is_not_imported_for_all() -> None:
    run = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True, check=False)
    assert (run.stdout.strip(), run.stderr) == ("[]", "")
