"""Loading marks tell the dead from the living."""

from __future__ import annotations

import signal
import subprocess
import sys

from modelport.dataplane.loading import LoadingMarks

DIGEST = "d" * 64
DIES = """
import os, signal, sys
from pathlib import Path
from modelport.dataplane.loading import LoadingMarks
LoadingMarks(Path(sys.argv[1]), 0).put(sys.argv[2], 0.0)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_worker_and_its_successor_load_a_model_at_the_same_time(tmp_path):
    old, new = LoadingMarks(tmp_path, 0), LoadingMarks(tmp_path, 0)
    old.put(DIGEST, 0.0)
    assert not new.exists(DIGEST)
    assert new.found() == set()
    new.put(DIGEST, 0.0)
    new.remove(DIGEST)
    assert list(tmp_path.iterdir())  # the old one is not done
    old.remove(DIGEST)
    assert not list(tmp_path.iterdir())


def test_the_mark_of_a_killed_process_stays_until_somebody_removes_it(tmp_path):
    ended = subprocess.run([sys.executable, "-c", DIES, str(tmp_path), DIGEST], check=False)
    assert ended.returncode == -signal.SIGKILL
    marks = LoadingMarks(tmp_path, 0)
    assert marks.exists(DIGEST)
    assert marks.found() == {DIGEST}
    assert LoadingMarks(tmp_path, 1).found() == set()
    marks.remove(DIGEST)
    assert not marks.exists(DIGEST)
    assert not list(tmp_path.iterdir())


def test_a_model_this_process_hangs_in_counts_as_marked(tmp_path):
    marks = LoadingMarks(tmp_path, 0)
    marks.put(DIGEST, 0.0)
    assert marks.exists(DIGEST)
    marks.remove(DIGEST)
