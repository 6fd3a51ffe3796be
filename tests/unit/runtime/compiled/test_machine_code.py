"""Machine code on disk: only what was written there by this user is ever run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelport.runtime.compiled.code_file import TREES, code_file
from modelport.runtime.compiled.machine_code import CODE_AT, Unusable, load_code, write_code

CODE = b"\x90" * 64  # never run in these tests


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_code(tmp_path / "kernels", TREES, CODE, "a compiler")
    return tmp_path / "kernels"


def test_what_was_written_is_loaded_and_private(folder: Path) -> None:
    assert load_code(folder, TREES)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert code_file(folder, TREES).stat().st_mode & 0o777 == 0o600


def test_nothing_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="no compiled kernel"):
        load_code(tmp_path / "kernels", TREES)


@pytest.mark.parametrize("place", [0, 5, CODE_AT, CODE_AT + 63])
def test_a_changed_byte_is_noticed(folder: Path, place: int) -> None:
    path = code_file(folder, TREES)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(Unusable):
        load_code(folder, TREES)


@pytest.mark.parametrize("size", [0, 1, CODE_AT - 1, CODE_AT, CODE_AT + 63])
def test_a_torn_file_is_noticed(folder: Path, size: int) -> None:
    os.truncate(code_file(folder, TREES), size)
    with pytest.raises(Unusable):
        load_code(folder, TREES)


def test_a_longer_file_is_noticed(folder: Path) -> None:
    with code_file(folder, TREES).open("ab") as file:
        file.write(b"\x90")
    with pytest.raises(Unusable, match="SHA-256"):
        load_code(folder, TREES)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o720])
def test_a_folder_that_others_may_write_to_is_refused(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    with pytest.raises(Unusable, match="others may write"):
        load_code(folder, TREES)


def test_a_file_that_others_may_write_to_is_refused(folder: Path) -> None:
    code_file(folder, TREES).chmod(0o666)
    with pytest.raises(Unusable, match="others may write"):
        load_code(folder, TREES)


def test_a_link_is_not_followed(folder: Path) -> None:
    path = code_file(folder, TREES)
    path.rename(folder / "elsewhere")
    path.symlink_to(folder / "elsewhere")
    with pytest.raises(Unusable):
        load_code(folder, TREES)
