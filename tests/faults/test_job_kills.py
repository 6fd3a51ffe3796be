"""kill -9 of a batch job, again and again: it goes on where it was, with the output of a quiet run."""

from __future__ import annotations

import hashlib
import random
import time
from pathlib import Path
from typing import Any

import pytest

from fakes.bundles import truthful_bundle
from fakes.harm import SEED, rounds
from fakes.platform import Platform, wait_for

pytestmark = pytest.mark.processes
NEXT_SHARD_WITHIN_S = 5.0
ROWS_EACH_ROUND = 400_000


@pytest.fixture
def platform(tmp_path: Path):
    environment = {"MODELPORT_BATCH_MEMORY_BYTES": str(4 << 20)}  # small pieces, many shards
    with Platform(tmp_path / "home", workers=1, environment=environment) as running:
        yield running


def start(platform: Platform, reference: str, name: str, source: Path, goal: Path) -> None:
    platform.ask(
        "POST",
        "/transform-jobs",
        {
            "transform_job_name": name,
            "model_name": reference,
            "transform_input": {"data_source": {"s3_data_source": {"s3_uri": str(source)}}},
            "transform_output": {"s3_output_path": str(goal)},
        },
    )


def ended(platform: Platform, name: str) -> dict[str, Any] | None:
    found = platform.ask("GET", f"/transform-jobs/{name}")["status"]
    return found if found["transform_job_status"] in ("Completed", "Failed", "Stopped") else None


def test_killed_job_goes_on_and_ends_with_the_same_output(platform: Platform, tmp_path: Path) -> None:
    times = rounds(2)
    source, quiet, harmed = tmp_path / "in.csv", tmp_path / "quiet.csv", tmp_path / "harmed.csv"
    with source.open("w") as file:
        file.write("x0,x1\n")
        file.writelines(f"{row % 500},{row % 7}\n" for row in range(ROWS_EACH_ROUND * (times + 1)))
    reference = platform.register("truthful", truthful_bundle(1))

    start(platform, reference, "quiet", source, quiet)
    assert wait_for(lambda: ended(platform, "quiet"), 120)["transform_job_status"] == "Completed"

    start(platform, reference, "harmed", source, harmed)
    chance = random.Random(SEED)
    shards = platform.layout.jobs / "harmed" / "shards"
    for _ in range(times):
        wait_for(lambda: names(shards), 20, what="a shard")
        time.sleep(chance.uniform(0.0, 0.1))
        assert ended(platform, "harmed") is None, "the job ended before it could be killed"
        assert platform.kill_job("harmed")
        before, killed_at = names(shards), time.monotonic()
        wait_for(lambda before=before: names(shards) - before, NEXT_SHARD_WITHIN_S, what="the next shard")
        assert time.monotonic() - killed_at < NEXT_SHARD_WITHIN_S
    found = wait_for(lambda: ended(platform, "harmed"), 120)
    assert found["transform_job_status"] == "Completed", found
    assert digest(harmed) == digest(quiet)


def test_a_job_outlives_control_and_supervisor_and_is_found_again(platform: Platform, tmp_path: Path) -> None:
    source, goal = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("x0,x1\n" + "1,2\n" * 3 * ROWS_EACH_ROUND)
    reference = platform.register("truthful", truthful_bundle(1))
    start(platform, reference, "long", source, goal)
    pid = wait_for(lambda: platform.job_pid("long"))
    platform.kill()
    assert platform.job_pid("long") == pid
    platform.up()
    assert wait_for(lambda: ended(platform, "long"), 120)["transform_job_status"] == "Completed"
    assert (platform.layout.jobs / "long" / "process.json").read_text().count(str(pid)) == 1
    assert goal.read_bytes().count(b"\n") == 3 * ROWS_EACH_ROUND + 1


def test_down_interrupts_a_job_and_the_next_up_resumes_it(platform: Platform, tmp_path: Path) -> None:
    source, goal = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("x0,x1\n" + "1,2\n" * 3 * ROWS_EACH_ROUND)
    reference = platform.register("truthful", truthful_bundle(1))
    start(platform, reference, "long", source, goal)
    pid = wait_for(lambda: platform.job_pid("long"))
    assert platform.down() == 0
    assert platform.job_pid("long") is None
    platform.up()
    assert wait_for(lambda: platform.job_pid("long")) != pid
    assert wait_for(lambda: ended(platform, "long"), 120)["transform_job_status"] == "Completed"
    assert goal.read_bytes().count(b"\n") == 3 * ROWS_EACH_ROUND + 1


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
