"""Where the kernel does not tie a child to its parent, a pipe does."""

from __future__ import annotations

import os
import subprocess
import sys

WATCHER = (
    "import sys, time; from modelport.supervisor.tether import watch; watch(int(sys.argv[1])); time.sleep(60)"
)


def test_closing_the_other_end_kills_the_watcher() -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", WATCHER, str(reading)], pass_fds=[reading])
    os.close(reading)
    assert process.poll() is None
    os.close(writing)
    assert process.wait(10) < 0
