"""The quickstart tells its whole story and leaves nothing behind."""

import os
import re
import subprocess
import sys

import pytest

pytest.importorskip("sklearn")
pytestmark = pytest.mark.processes


def test_the_story_ends_well(tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "modelport.cli", "quickstart", "--fast"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(temporary)},
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())  # lines are wrapped
    assert "label changes 0" in told
    assert re.search(r"the chance of being more than 15 minutes late is \d+%", told)
    assert re.search(r"v1 \d+%, v2 10%", told)
    assert re.search(r"v2: AUC 0\.\d+ \(0\.\d+ to 0\.\d+\)", told)
    assert "temp (large drift" in told
    assert re.search(r"rolled back: v1 90%, v2 10%", told)
    assert list(tmp_path.iterdir()) == [temporary]
    assert [path for path in temporary.iterdir() if path.name.startswith("modelport")] == []
