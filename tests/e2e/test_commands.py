"""The platform as a person starts and stops it: `modelport up --detach`, `status`, `down`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelport.engines.identity import identify
from modelport.wire import sockets

pytestmark = pytest.mark.processes


def modelport(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "MODELPORT_URL"}
    return subprocess.run(
        [sys.executable, "-m", "modelport.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**environment, "MODELPORT_HOME": str(home)},
    )


def test_a_detached_platform_is_found_shown_and_stopped(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert modelport(home, "status").returncode == 7
    assert modelport(home, "down").returncode == 0
    started = modelport(
        home, "up", "--detach", "--port", "0", "--inference-port", "0", "--workers", "1", "-o", "json"
    )
    try:
        assert started.returncode == 0, started.stderr
        urls = json.loads(started.stdout)
        assert json.loads((home / "run" / "endpoint.json").read_text()) == urls
        shown = modelport(home, "status", "-o", "json")
        assert shown.returncode == 0, shown.stderr
        status = json.loads(shown.stdout)
        assert status["inference_url"] == urls["inference_url"]
        local = Path(status["inference_socket"])
        assert local.parent.stat().st_mode & 0o777 == 0o700
        with sockets.connect(local) as connection:
            connection.settimeout(10)
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        again = modelport(home, "up", "--detach", "--port", "0")
        assert again.returncode == 6
        assert str(urls["pid"]) in again.stderr
    finally:
        stopped = modelport(home, "down")
    assert stopped.returncode == 0, stopped.stderr
    assert identify(urls["pid"]) is None
    assert not local.exists()
