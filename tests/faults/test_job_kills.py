"""kill -9 of a batch job, again and again: it goes on where it was, with the output of a quiet run."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.bundles import truthful_bundle
from fakes.harm import job_ended, kill_job_repeatedly, rounds, start_job, write_rows
from fakes.platform import Platform, wait_for

pytestmark = pytest.mark.processes
NEXT_SHARD_WITHIN_S = 15.0  # three times the promise, for a busy machine; bench/kills.py measures it
ROWS = 400_000


@pytest.fixture
def platform(tmp_path: Path):
    environment = {"MODELPORT_BATCH_MEMORY_BYTES": str(4 << 20)}  # small pieces, many shards
    with Platform(tmp_path / "home", workers=1, environment=environment) as running:
        yield running


def wait_completed(platform: Platform, name: str) -> None:
    found = wait_for(lambda: job_ended(platform, name), 120, what=f"the end of {name}")
    assert found["transform_job_status"] == "Completed", found


@pytest.mark.timeout(600)  # the long edition kills twenty times
def test_killed_job_goes_on_and_ends_with_the_same_output(platform: Platform, tmp_path: Path) -> None:
    times = rounds(2)
    source = write_rows(tmp_path / "in.csv", ROWS * (times + 1))
    reference = platform.register("truthful", truthful_bundle(1))
    start_job(platform, reference, "quiet", source, tmp_path / "quiet.csv")
    wait_completed(platform, "quiet")
    start_job(platform, reference, "harmed", source, tmp_path / "harmed.csv")
    assert max(kill_job_repeatedly(platform, "harmed", times)) < NEXT_SHARD_WITHIN_S
    wait_completed(platform, "harmed")
    assert (tmp_path / "harmed.csv").read_bytes() == (tmp_path / "quiet.csv").read_bytes()


def test_a_job_outlives_control_and_supervisor_and_is_found_again(platform: Platform, tmp_path: Path) -> None:
    source, goal = write_rows(tmp_path / "in.csv", 3 * ROWS), tmp_path / "out.csv"
    reference = platform.register("truthful", truthful_bundle(1))
    start_job(platform, reference, "long", source, goal)
    pid = wait_for(lambda: platform.job_pid("long"))
    platform.kill()
    assert platform.job_pid("long") == pid
    platform.up()
    wait_completed(platform, "long")
    assert str(pid) in (platform.layout.jobs / "long" / "process.json").read_text()
    assert goal.read_bytes().count(b"\n") == 3 * ROWS + 1


def test_down_interrupts_a_job_and_the_next_up_resumes_it(platform: Platform, tmp_path: Path) -> None:
    source, goal = write_rows(tmp_path / "in.csv", 3 * ROWS), tmp_path / "out.csv"
    reference = platform.register("truthful", truthful_bundle(1))
    start_job(platform, reference, "long", source, goal)
    pid = wait_for(lambda: platform.job_pid("long"))
    assert platform.down() == 0
    assert platform.job_pid("long") is None
    platform.up()
    assert wait_for(lambda: platform.job_pid("long")) != pid
    wait_completed(platform, "long")
    assert goal.read_bytes().count(b"\n") == 3 * ROWS + 1
