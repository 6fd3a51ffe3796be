"""A kernel's machine code on disk, and in memory.

The file is a header of one line, then the code, at a place that can be mapped. Its name holds the SHA-256
of the sources that it was made from, so that a new version of modelport makes a new one. It is mapped
read-only and executable, shared by all processes, and only when its folder and file belong to this user and
nobody else can write to them, and the code has the SHA-256 that the header names. Nothing else of LLVM is
needed to run it.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
from pathlib import Path

import msgspec
import numpy as np

from modelport.durable import write_durably
from modelport.runtime.compiled.code_file import Kernel, code_file

CODE_AT = 64 << 10  # a multiple of every page size
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Header(msgspec.Struct):
    """What stands in front of the code.

    Args:
        sha256: Of the code.
        bytes: Its length.
        compiler: What made it, for people.
    """

    sha256: str
    bytes: int
    compiler: str


class Unusable(Exception):
    """There is no machine code that can be used; its work is done without it."""


def write_code(folder: Path, kernel: Kernel, code: bytes, compiler: str) -> Path:
    """Keep the code; the file appears whole.

    Args:
        folder: Where compiled kernels are kept; made private where it is not there.
        kernel: Whose code it is.
        code: From `compiling.compile_kernel`.
        compiler: What made it.

    Raises:
        OSError: It cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    header = msgspec.json.encode(Header(hashlib.sha256(code).hexdigest(), len(code), compiler)) + b"\n"
    path = code_file(folder, kernel)
    write_durably(path, header.ljust(CODE_AT, b"\0") + code, mode=0o600)
    return path


def load_code(folder: Path, kernel: Kernel) -> int:
    """Return the address of a kernel, ready to be called; it stays in memory as long as the process.

    Args:
        folder: Where compiled kernels are kept.
        kernel: Which of them.

    Raises:
        Unusable: There is none, it is not as it was written, others could have written it, or memory cannot
            be made executable here.
    """
    path = code_file(folder, kernel)
    mapped = _mapped.get(path)
    if mapped is None:
        try:
            mapped = _map(folder, path)
        except FileNotFoundError as error:
            raise Unusable(f"there is no compiled kernel at {path}") from error
        except (OSError, ValueError) as error:
            raise Unusable(f"the compiled kernel cannot be used: {error}") from error
        _check(path, mapped)
        _mapped[path] = mapped
    return int(np.frombuffer(mapped, np.uint8).ctypes.data) + CODE_AT


_mapped: dict[Path, mmap.mmap] = {}
"""Code that was handed out stays mapped as long as the process."""


def _map(folder: Path, path: Path) -> mmap.mmap:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        for place, found in ((folder, folder.stat()), (path, os.fstat(descriptor))):
            if found.st_uid != os.geteuid() or found.st_mode & OTHERS_MAY_WRITE:
                raise Unusable(f"{place} belongs to somebody else, or others may write to it")
        return mmap.mmap(descriptor, 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)
    finally:
        os.close(descriptor)


def _check(path: Path, mapped: mmap.mmap) -> None:
    try:
        header = msgspec.json.decode(mapped[: mapped.find(b"\n")], type=Header)
    except msgspec.DecodeError as error:
        raise Unusable(f"{path} does not begin with its header: {error}") from error
    code = mapped[CODE_AT:]
    if len(code) != header.bytes or hashlib.sha256(code).hexdigest() != header.sha256:
        raise Unusable(f"{path} is not what was written there: its content has another SHA-256")
