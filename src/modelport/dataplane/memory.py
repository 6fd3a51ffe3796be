"""How much memory there is, how much is taken, and handing back what is free.

Source: glibc, mallinfo2(3) and malloc_trim(3); Linux, Documentation/admin-guide/cgroup-v2 (`memory.max`).
"""

from __future__ import annotations

import ctypes
import os
import resource
from functools import cache
from pathlib import Path
from typing import Any

from modelport.settings import Settings

CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
MODELS_SHARE = 0.5
"""Of the memory there is, for models; the rest is for requests, other processes and the file cache."""


def budget_for_models(settings: Settings, machine: int) -> int:
    """Return the bytes one worker may hold in models.

    Args:
        settings: As set, or by the number of workers and what each may ask for.
        machine: Bytes there are, from `machine_bytes`.
    """
    share = machine // settings.worker_count
    if settings.worker_memory_bytes_max:
        share = min(share, settings.worker_memory_bytes_max)
    return settings.model_memory_bytes_max or int(share * MODELS_SHARE)


def machine_bytes() -> int:
    """Return the memory this process could have at most: the machine's, or its container's."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in CGROUP_LIMITS:
        try:
            total = min(total, int(path.read_text()))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return total


def resident_bytes() -> int:
    """Return the memory this process occupies."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # macOS: the largest it ever was, in bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def allocated_bytes() -> int:
    """Return what native code holds: what it asked for and did not free.

    Unlike resident memory it grows by the whole of a model that is put where another one was. Where the C
    library does not say (anything but glibc 2.33 and newer): resident memory.
    """
    mallinfo = _c_function("mallinfo2", _Mallinfo)
    if mallinfo is None:
        return resident_bytes()
    found = mallinfo()
    return int(found.uordblks + found.hblkhd)


def give_back() -> None:
    """Return freed memory to the machine, where the C library can (glibc); it keeps it otherwise.

    Takes milliseconds, without the interpreter lock: call it from a thread.
    """
    trim = _c_function("malloc_trim", ctypes.c_int)
    if trim is not None:
        trim(ctypes.c_size_t(0))


class _Mallinfo(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    )


@cache
def _c_function(name: str, returns: Any) -> Any:
    function = getattr(ctypes.CDLL(None), name, None)
    if function is not None:
        function.restype = returns
    return function
