"""What every child of the supervisor does: die with it, and tell it when it serves."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from modelport.access.keys import KeyFile
from modelport.access.principals import Callers
from modelport.access.tokens import TokenFile
from modelport.domain.clock import Clock
from modelport.settings import Settings
from modelport.supervisor.child import READY_VARIABLE, TETHER_VARIABLE
from modelport.supervisor.tether import watch


def tether() -> None:
    """Watch the supervisor where the kernel does not."""
    watched = os.environ.pop(TETHER_VARIABLE, None)
    if watched is not None:
        watch(int(watched))


def announce_ready() -> None:
    """Tell the supervisor that this process serves now; nothing happens without one."""
    told = os.environ.pop(READY_VARIABLE, None)
    if told is not None:
        with contextlib.suppress(OSError):
            os.write(int(told), b"1")
        os.close(int(told))


def open_callers(settings: Settings, clock: Clock) -> Callers:
    """Return who may ask, by the configured files.

    Raises:
        InvalidInput: One of them cannot be used.
    """
    return Callers(
        clock,
        tokens=TokenFile(Path(settings.token_file), clock) if settings.token_file else None,
        keys=KeyFile(Path(settings.key_file), clock) if settings.key_file else None,
    )
