"""Artifacts are named by their content and never handed out damaged."""

import hashlib

import pytest

from modelport.domain.errors import Corrupted, InvalidInput, NotFound, PayloadTooLarge
from modelport.stores.artifacts.local import LocalArtifacts


@pytest.fixture
def artifacts(tmp_path):
    return LocalArtifacts(tmp_path)


def litter(folder):
    return [path for path in folder.rglob("*") if path.is_file() and "sha256" not in path.parts]


def test_bytes_come_back_by_their_digest(artifacts):
    digest = artifacts.put([b"ab", b"c"])
    assert digest == hashlib.sha256(b"abc").hexdigest()
    assert artifacts.read(digest) == b"abc"
    assert artifacts.put([b"abc"]) == digest
    assert artifacts.digests() == [digest]


def test_an_unexpected_digest_keeps_nothing(artifacts, tmp_path):
    with pytest.raises(InvalidInput, match="expected"):
        artifacts.put([b"abc"], expected="0" * 64)
    assert artifacts.digests() == []
    assert litter(tmp_path) == []


def test_a_limit_is_kept_while_the_bytes_arrive(artifacts, tmp_path):
    endless = iter(lambda: b"x" * 100, None)
    with pytest.raises(PayloadTooLarge):
        artifacts.put(endless, bytes_max=1000)
    assert litter(tmp_path) == []


@pytest.mark.parametrize("position", [0, 500, 999])
def test_one_flipped_bit_anywhere_is_found_before_use(artifacts, tmp_path, position):
    digest = artifacts.put([bytes(1000)])
    path = next(tmp_path.rglob(digest))
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(Corrupted, match="damaged"):
        LocalArtifacts(tmp_path).read(digest)


def test_a_file_that_changes_after_it_was_verified_is_found(artifacts, tmp_path):
    digest = artifacts.put([b"abc"])
    artifacts.read(digest)
    next(tmp_path.rglob(digest)).write_bytes(b"abcd")
    with pytest.raises(Corrupted):
        artifacts.path(digest)


@pytest.mark.parametrize("forged", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_a_string_that_is_no_digest_never_becomes_a_path(artifacts, forged):
    with pytest.raises(InvalidInput):
        artifacts.path(forged)


def test_an_absent_artifact_is_not_found(artifacts):
    with pytest.raises(NotFound):
        artifacts.path("a" * 64)
