"""`up` and what it promises, on real processes."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import modelport as mp
from fakes.bundles import truthful_bundle
from fakes.platform import Platform, wait_for
from modelport.bootstrap import program
from modelport.engines.identity import identify
from modelport.supervisor.lock import lock_holder

pytestmark = pytest.mark.processes
FREE_PORTS = ("--port", "0", "--inference-port", "0")


def start(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Start a platform that is expected not to come up."""
    return subprocess.run(
        program("supervisor", *arguments),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **environment},
    )


def test_from_up_to_a_prediction_and_down(platform: Platform) -> None:
    layout = platform.layout
    assert stat.S_IMODE(layout.home.stat().st_mode) == 0o700
    assert json.loads(layout.endpoint_file.read_text())["control_url"] == platform.control_url
    assert {line["state"] for line in platform.table().values()} == {"running"}

    reference = platform.register("answer", truthful_bundle(7))
    assert platform.deploy(reference, "answer")["status"]["endpoint_status"] == "InService"
    reply = platform.invoke("answer", [[1.0, 2.0], [3.0, 4.0]])
    assert reply.status_code == 200, reply.text
    assert reply.json()["predictions"] == [7003.0, 7007.0]
    assert reply.headers["x-modelport-model-version"] == reference

    pids = [line["pid"] for line in platform.table().values()]
    assert platform.down() == 0
    assert [identify(pid) for pid in pids] == [None] * len(pids)
    assert not layout.endpoint_file.exists()

    platform.up()
    assert platform.invoke("answer", [[1.0, 2.0]]).json()["predictions"] == [7003.0]


def test_a_second_platform_on_the_home_is_a_conflict_that_names_the_first(platform: Platform) -> None:
    second = start("--home", str(platform.layout.home), *FREE_PORTS)
    assert second.returncode == 6
    assert platform.process is not None
    assert str(platform.process.pid) in second.stderr
    assert "modelport down" in second.stderr


def test_a_taken_port_is_a_conflict_that_names_the_flag(platform: Platform, tmp_path: Path) -> None:
    port = httpx.URL(platform.control_url).port
    second = start("--home", str(tmp_path / "other"), "--port", str(port), "--inference-port", "0")
    assert second.returncode == 6
    assert "--port 0" in second.stderr


def test_another_address_needs_tokens(tmp_path: Path) -> None:
    refused = start("--home", str(tmp_path), "--host", "0.0.0.0", *FREE_PORTS)
    assert refused.returncode == 4
    assert "MODELPORT_TOKEN_FILE" in refused.stderr


def test_a_database_that_cannot_be_opened_fails_the_start_with_the_reason(tmp_path: Path) -> None:
    failed = start("--home", str(tmp_path), *FREE_PORTS, MODELPORT_DATABASE_URL="nonsense://x")
    assert failed.returncode == 1
    assert "control does not start" in failed.stderr
    assert lock_holder(tmp_path / "lock") is None


def test_a_home_with_a_very_long_path_works(tmp_path: Path) -> None:
    with Platform(tmp_path / ("long-" * 20) / ("path-" * 20), workers=1) as platform:
        reference = platform.register("answer", truthful_bundle(1))
        platform.deploy(reference, "answer")
        assert platform.invoke("answer", [[1.0, 2.0]]).json()["predictions"] == [1003.0]


def test_ctrl_c_drains(platform: Platform) -> None:
    assert platform.process is not None
    platform.process.send_signal(signal.SIGINT)
    assert platform.process.wait(30) == 0
    assert lock_holder(platform.layout.lock) is None


def test_private_platform_lives_as_long_as_its_block() -> None:
    with mp.start(workers=1) as client:
        pid = client.status()["processes"]["pid"]
        assert identify(pid) is not None
        assert mp.status()["control_url"] == client.url
    assert identify(pid) is None


def test_private_platform_dies_with_its_program() -> None:
    program_text = (
        "import modelport as mp, os, signal\n"
        "with mp.start(workers=1) as client:\n"
        "    print(client.status()['processes']['pid'], flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program_text], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    wait_for(lambda: identify(pid) is None, 30, what="the end of the private platform")
