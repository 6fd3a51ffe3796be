"""The kernel's machine code on disk, and in memory.

The file is a header of one line, then the code, at a place that can be mapped. Its name holds the SHA-256
of the sources that it was made from, so that a new version of modelport makes a new one. It is mapped
read-only and executable, shared by all processes, and only when its folder and file belong to this user and
nobody else can write to them, and the code has the SHA-256 that the header names. Nothing else of LLVM is
needed to run it.
"""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import os
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from modelport.durable import write_durably
from modelport.runtime.trees.code_file import code_file
from modelport.runtime.trees.layout import WHOLE, Array

CODE_AT = 64 << 10  # a multiple of every page size
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH

Predict = Callable[[int, int, int, int], int]
"""Called with the address of a plan and three array objects; returns 0, or `layout.DECLINED`."""


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
    """There is no machine code that can be used; ONNX Runtime serves."""


def write_code(folder: Path, code: bytes, compiler: str) -> Path:
    """Keep the code; the file appears whole.

    Args:
        folder: Where compiled kernels are kept; made private where it is not there.
        code: From `compiling.compile_kernel`.
        compiler: What made it.

    Raises:
        OSError: It cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    header = msgspec.json.encode(Header(hashlib.sha256(code).hexdigest(), len(code), compiler)) + b"\n"
    path = code_file(folder)
    write_durably(path, header.ljust(CODE_AT, b"\0") + code, mode=0o600)
    return path


def load_code(folder: Path) -> Predict:
    """Return the kernel, ready to be called; it stays in memory as long as the process.

    Args:
        folder: Where compiled kernels are kept.

    Raises:
        Unusable: There is none, it is not as it was written, others could have written it, or memory cannot
            be made executable here.
    """
    path = code_file(folder)
    if path in _loaded:
        return _loaded[path][0]
    try:
        mapped = _map(folder, path)
    except FileNotFoundError as error:
        raise Unusable(f"there is no compiled kernel for trees at {path}") from error
    except (OSError, ValueError) as error:
        raise Unusable(f"the compiled kernel for trees cannot be used: {error}") from error
    _check(path, mapped)
    _check_arrays()
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 4)  # releases the interpreter lock
    predict: Predict = kind(np.frombuffer(mapped, np.uint8).ctypes.data + CODE_AT)
    _loaded[path] = predict, mapped
    return predict


_loaded: dict[Path, tuple[Predict, mmap.mmap]] = {}
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


def _check_arrays() -> None:
    """See that numpy's array objects lie in memory as `layout.Array` says.

    Raises:
        Unusable: They do not.
    """
    array = np.arange(6, dtype=np.float64).reshape(2, 3)
    start = id(array) + object.__basicsize__

    def word(field: Array) -> int:
        return ctypes.c_int64.from_address(start + field).value

    shape = (ctypes.c_int64 * 2).from_address(word(Array.SHAPE))
    if (
        word(Array.TYPE) != id(np.ndarray)
        or word(Array.DATA) != array.ctypes.data
        or word(Array.DIMENSIONS) & 0xFFFFFFFF != array.ndim
        or tuple(shape) != array.shape
        or word(Array.DTYPE) != id(np.dtype(np.float64))
        or word(Array.FLAGS) & WHOLE != WHOLE
    ):
        raise Unusable("numpy's arrays lie in memory in a way that the kernel for trees does not know")
