"""Workers end, and the whole platform becomes another one, while clients ask: nobody notices."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import modelport
from fakes import aws
from fakes.archives import script_archive
from fakes.bundles import truthful_bundle
from fakes.harm import ENDPOINT, job_ended, rounds, serve_truthfully, start_job, write_rows
from fakes.platform import Platform, wait_for
from fakes.truthful import TruthfulLoad
from modelport.engines.identity import identify
from modelport.telemetry import metrics
from modelport.telemetry.slots import read_totals

pytestmark = pytest.mark.processes
ROWS = 1_000_000
PAUSE_S = 0.005
BAD_BUILD = ("    tether()\n", "    raise RuntimeError('a bad build')\n")
NOT_INSTALLED = ("import uvicorn", "import nothing_like_it")
TIMEOUT_S = 300.0  # for a busy machine


class Installation:
    """Another version of the package, which a command runs instead of the one under test."""

    def __init__(self, folder: Path) -> None:
        self.package = folder / "modelport"
        shutil.copytree(Path(modelport.__file__).parent, self.package)
        self.rewrite("__init__.py", f'"{modelport.__version__}"', '"9.9.9"')
        self.python = folder / "python"
        self.python.write_text(f'#!/bin/sh\nPYTHONPATH={folder} exec {sys.executable} "$@"\n')
        self.python.chmod(0o700)

    def rewrite(self, name: str, old: str, new: str) -> None:
        file = self.package / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with Platform(tmp_path / "home", environment={"MODELPORT_START_TIMEOUT_S": str(TIMEOUT_S)}) as running:
        yield running


@pytest.fixture
def other(tmp_path: Path) -> Installation:
    return Installation(tmp_path / "other")


def upgrade(platform: Platform, python: Path | str = sys.executable) -> subprocess.Popen[str]:
    """Start `modelport upgrade` as a user of this interpreter types it."""
    program = (
        "import sys; sys.executable = sys.argv.pop(1); from modelport.cli.commands import run;"
        "sys.exit(run(sys.argv[1:]))"
    )
    return subprocess.Popen(
        [
            *(sys.executable, "-c", program, str(python)),
            *("upgrade", "--home", str(platform.layout.home), "--timeout", str(TIMEOUT_S)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(command: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the exit code of a command and what it told people."""
    _, told = command.communicate(timeout=TIMEOUT_S)
    return command.returncode, told


def running(command: subprocess.Popen[str]) -> bool:
    """Return whether a command is still not over a moment later."""
    try:
        command.wait(0.05)
    except subprocess.TimeoutExpired:
        return True
    return False


def answered(platform: Platform) -> int:
    totals = read_totals(platform.layout.metrics)
    return sum(values[0] for (name, _), values in totals.items() if name == metrics.REQUESTS)


def test_workers_that_are_asked_to_end_lose_no_request(platform: Platform) -> None:
    serve_truthfully(platform)
    with TruthfulLoad(platform.inference_url, ENDPOINT, pause_s=PAUSE_S) as load:
        for turn in range(rounds(2)):
            name = f"inference-{turn % 2}"
            pid = platform.pid(name)
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda name=name, pid=pid: platform.table()[name]["pid"] not in (pid, None), 30)  # type: ignore[misc]
            assert platform.table()[name]["last_exit"] == "exit 0"
            platform.pid(name)
    assert (load.report.failed, load.report.misrouted) == ({}, [])


def test_connections_wait_for_the_successor_of_the_only_worker(tmp_path: Path) -> None:
    with Platform(tmp_path / "home", workers=1) as platform:
        serve_truthfully(platform)
        with TruthfulLoad(platform.inference_url, ENDPOINT, pause_s=PAUSE_S) as load:
            before = load.report.answered
            os.kill(platform.pid("inference-0"), signal.SIGTERM)
            wait_for(lambda: platform.table()["inference-0"]["restarts"] == 1, 30)
            platform.pid("inference-0")
            wait_for(lambda: load.report.answered > before + 32)
        assert (load.report.failed, load.report.misrouted) == ({}, [])


@pytest.mark.timeout(600)  # minutes on a busy machine: five starts of everything
def test_an_upgrade_replaces_everything_and_loses_nothing(
    platform: Platform, other: Installation, tmp_path: Path
) -> None:
    serve_truthfully(platform)
    source, goal = write_rows(tmp_path / "in.csv", ROWS), tmp_path / "out.csv"
    start_job(platform, platform.register("batch", truthful_bundle(1)), "long", source, goal)
    job = wait_for(lambda: platform.job_pid("long"))
    before, endpoint = platform.pids(), platform.layout.endpoint_file.read_bytes()
    with TruthfulLoad(platform.inference_url, ENDPOINT, pause_s=PAUSE_S) as load:
        wait_for(lambda: answered(platform) > 0)
        counted = answered(platform)
        command = upgrade(platform, other.python)
        while running(command):
            now = answered(platform)
            assert now >= counted
            counted = now
        assert ended(command)[0] == 0
    assert (load.report.failed, load.report.misrouted) == ({}, [])
    after = platform.pids()
    assert set(after) == set(before)
    assert not set(after.values()) & set(before.values())
    assert platform.document()["version"] == "9.9.9"
    assert platform.document()["pid"] == platform.process.pid  # type: ignore[union-attr]
    assert platform.layout.endpoint_file.read_bytes() == endpoint
    assert all(line["restarts"] == 0 for line in platform.table().values())
    assert platform.ask("GET", "/status")["version"] == "9.9.9"
    found = wait_for(lambda: job_ended(platform, "long"), 120, what="the end of the job")
    assert found["transform_job_status"] == "Completed", found
    assert str(job) in (platform.layout.jobs / "long" / "process.json").read_text()
    assert platform.down() == 0


@pytest.mark.timeout(600)
def test_what_does_not_start_leaves_the_old_ones_serving(platform: Platform, other: Installation) -> None:
    serve_truthfully(platform)
    before = platform.pids()
    with TruthfulLoad(platform.inference_url, ENDPOINT, connections=4, fresh=2, pause_s=PAUSE_S) as load:
        code, told = ended(upgrade(platform, "/nowhere/python"))
        assert code == 1
        assert "cannot be started" in told
        assert "all runs on as it was" in told
        other.rewrite("bootstrap/inference.py", *BAD_BUILD)
        code, told = ended(upgrade(platform, other.python))
        assert code == 1
        assert "the new inference-0 does not start (exit 1)" in told
        assert "a bad build" in told
        assert platform.pids() == before
        other.rewrite("bootstrap/control.py", *NOT_INSTALLED)
        code, told = ended(upgrade(platform, other.python))
        assert code == 1
        assert "the new program does not start (exit 1)" in told
        assert "nothing_like_it" in told
        assert platform.pids() == before
        for name, (old, new) in (("inference", BAD_BUILD), ("control", NOT_INSTALLED)):
            other.rewrite(f"bootstrap/{name}.py", new, old)
        assert ended(upgrade(platform, other.python))[0] == 0
    assert (load.report.failed, load.report.misrouted) == ({}, [])
    assert not set(platform.pids().values()) & set(before.values())


@pytest.mark.timeout(600)
def test_killed_in_an_upgrade_the_supervisor_leaves_nothing_and_the_next_serves(platform: Platform) -> None:
    serve_truthfully(platform)
    command = upgrade(platform)
    wait_for(lambda: any(line["beside"] for line in platform.document()["processes"]), 60)
    platform.kill()
    code, told = ended(command)
    assert (code, "ended before the upgrade did" in told) == (1, True)
    platform.up()
    assert platform.invoke(ENDPOINT, [[1.0, 2.0]]).status_code == 200


@pytest.mark.timeout(600)
def test_down_in_an_upgrade_stops_everything(platform: Platform) -> None:
    serve_truthfully(platform)
    command = upgrade(platform)
    wait_for(lambda: any(line["beside"] for line in platform.document()["processes"]), 60)
    pids = [line["pid"] for line in platform.document()["processes"] if line["pid"]]
    assert platform.down() == 0
    assert not any(identify(pid) for pid in pids)
    code, told = ended(command)
    assert code == 1
    assert "asked to stop" in told or "ended before the upgrade did" in told


def test_nothing_runs_to_be_upgraded(tmp_path: Path) -> None:
    code, told = ended(upgrade(Platform(tmp_path / "home")))
    assert code == 7
    assert "no platform runs" in told


SAYS = "def model_fn(model_dir): pass\ndef transform_fn(model, body, content_type, accept): return 'hello'\n"
SKLEARN = "1.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


@pytest.mark.timeout(600)
def test_custom_code_answers_on_through_an_upgrade(platform: Platform, other: Installation) -> None:
    s3 = aws.client("s3", platform.control_url)
    s3.create_bucket(Bucket="code", CreateBucketConfiguration={"LocationConstraint": aws.REGION})
    s3.put_object(Bucket="code", Key="one", Body=script_archive(SAYS))
    sagemaker = aws.client("sagemaker", platform.control_url)
    aws.make(sagemaker, lambda name: f"s3://code/{name}", "one", SKLEARN, A=("one", 1))
    sagemaker.create_endpoint(EndpointName="one", EndpointConfigName="one")
    assert aws.settled(sagemaker, "one")["EndpointStatus"] == "InService"
    (name,) = (line for line in platform.table() if line.startswith("replica-"))
    pid = platform.pid(name)
    runtime = aws.client("sagemaker-runtime", platform.inference_url)
    answers = 0
    command = upgrade(platform, other.python)
    while running(command):
        assert runtime.invoke_endpoint(EndpointName="one", Body=b"x")["Body"].read() == b"hello"
        answers += 1
    assert ended(command)[0] == 0
    assert platform.document()["version"] == "9.9.9"
    assert answers > 0
    assert (platform.pid(name), platform.table()[name]["restarts"]) == (pid, 0)
