"""A pid alone is not a process."""

from __future__ import annotations

import os
import subprocess
import sys

from modelport.engines.identity import identify


def test_identity_is_stable_and_differs_between_processes() -> None:
    own = identify(os.getpid())
    assert own is not None
    assert own == identify(os.getpid())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        other = identify(process.pid)
    assert other is not None
    assert other != own
    assert other.boot == own.boot


def test_ended_process_has_none_even_before_it_is_reaped() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie now
        assert identify(process.pid) is None
    assert identify(process.pid) is None
