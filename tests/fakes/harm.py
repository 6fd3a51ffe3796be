"""Faults done to a running platform, and what its users saw meanwhile. Tests assert, benches print."""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakes.bundles import truthful_bundle
from fakes.platform import Platform, wait_for
from fakes.truthful import Report, TruthfulLoad
from fakes.wishes import AcknowledgedWishes

ROUNDS = int(os.environ.get("MODELPORT_FAULT_ROUNDS", "0"))
"""How often each fault is done; 0: the quick edition's few times."""

ENDPOINT = "truthful"
CONNECTIONS = 16
SEED = 20130101
PAUSE_S = 0.005
"""Between requests while something is killed: work goes on, and whoever starts again finds a processor."""


@dataclass(slots=True)
class Harm:
    """What became of a platform that was harmed.

    Args:
        back_after_s: Seconds until the replacement was ready, for each kill.
        load: What a truthful client saw.
        lost: Acknowledged wishes that were not kept.
        acknowledged: How many wishes were acknowledged.
    """

    back_after_s: list[float] = field(default_factory=list)
    load: Report = field(default_factory=Report)
    lost: list[str] = field(default_factory=list)
    acknowledged: int = 0


@dataclass(slots=True)
class Changes:
    """What was changed on purpose under load, and what a truthful client saw.

    Args:
        switches: Versions that were given all traffic.
        weights: Times that weights were set.
        restarts: Workers that were told to end.
        load: What the client saw.
    """

    switches: int = 0
    weights: int = 0
    restarts: int = 0
    load: Report = field(default_factory=Report)


def rounds(quick: int) -> int:
    """Return how often to do a fault."""
    return ROUNDS or quick


def serve_truthfully(platform: Platform, versions: int = 2) -> list[str]:
    """Register versions of a truthful model and deploy the first; return the references."""
    references = [platform.register("truthful", truthful_bundle(number)) for number in range(1, versions + 1)]
    found = platform.deploy(references[0], ENDPOINT)
    assert found["status"]["endpoint_status"] == "InService", found
    return references


def kill_repeatedly(platform: Platform, name: str, times: int) -> Harm:
    """Kill -9 a process of the table at random moments, under load and while wishes come in."""
    chance, harm = random.Random(SEED), Harm()
    with (
        AcknowledgedWishes(platform, name) as wishes,
        TruthfulLoad(platform.inference_url, ENDPOINT, pause_s=PAUSE_S) as load,
    ):
        for _ in range(times):
            time.sleep(chance.uniform(0.05, 0.6))
            harm.back_after_s.append(platform.kill_process(name))
        time.sleep(0.2)
    harm.load, harm.lost, harm.acknowledged = load.report, wishes.lost(), len(wishes.acknowledged)
    return harm


def kill_supervisor_repeatedly(platform: Platform, times: int) -> Harm:
    """Kill -9 the supervisor at random moments and start the next; ready is its first right answer."""
    chance, harm = random.Random(SEED), Harm()
    with AcknowledgedWishes(platform, "supervisor") as wishes:
        for _ in range(times):
            with TruthfulLoad(platform.inference_url, ENDPOINT, connections=4, fresh=2, pause_s=PAUSE_S):
                time.sleep(chance.uniform(0.1, 0.8))
                platform.kill()
            started = time.monotonic()
            platform.up()
            wait_for(lambda: platform.invoke(ENDPOINT, [[1.0, 2.0]]).status_code == 200, what="an answer")
            harm.back_after_s.append(time.monotonic() - started)
    harm.lost, harm.acknowledged = wishes.lost(), len(wishes.acknowledged)
    return harm


def switch_repeatedly(platform: Platform, references: list[str], times: int) -> Report:
    """Deploy one version after the other under load; return what a truthful client saw."""
    with TruthfulLoad(
        platform.inference_url, ENDPOINT, connections=CONNECTIONS, fresh=CONNECTIONS // 2
    ) as load:
        for number in range(1, times + 1):
            found = platform.deploy(references[number % len(references)], ENDPOINT)
            assert found["status"]["endpoint_status"] == "InService", found
    return load.report


def change_repeatedly(platform: Platform, references: list[str], switches: int, requests: int) -> Changes:
    """Switch versions, shift weights and end workers politely, under load, until both counts are reached.

    Every fourth switch is a slow one: the new version gets a share, the weights are turned round, then it
    gets all. At every eighth a worker is told to end (SIGTERM) and replaced.
    """
    changes = Changes()
    with TruthfulLoad(
        platform.inference_url, ENDPOINT, connections=CONNECTIONS, fresh=CONNECTIONS // 2
    ) as load:
        while changes.switches < switches or load.report.answered < requests:
            reference = references[(changes.switches + 1) % len(references)]
            changes.switches += 1
            if changes.switches % 4 == 0:
                found = platform.deploy(reference, ENDPOINT, traffic_percent=30.0)
                names = [one["variant_name"] for one in found["status"]["production_variants"]]
                platform.ask("PUT", f"/endpoints/{ENDPOINT}/weights", dict.fromkeys(names, 1.0))
                platform.settled(ENDPOINT)
                changes.weights += 2
            found = platform.deploy(reference, ENDPOINT)
            assert found["status"]["endpoint_status"] == "InService", found
            if changes.switches % 8 == 0:
                platform.end_process(f"inference-{changes.restarts % platform.workers}")
                changes.restarts += 1
    changes.load = load.report
    return changes


def write_rows(path: Path, rows: int) -> Path:
    """Write a CSV file that a truthful model of two features can score; return its path."""
    with path.open("w") as file:
        file.write("x0,x1\n")
        file.writelines(f"{row % 500},{row % 7}\n" for row in range(rows))
    return path


def start_job(platform: Platform, reference: str, name: str, source: Path, goal: Path) -> None:
    """Wish that a version score a file."""
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


def job_ended(platform: Platform, name: str) -> dict[str, Any] | None:
    """Return a job's status once it has ended."""
    found = platform.ask("GET", f"/transform-jobs/{name}")["status"]
    return found if found["transform_job_status"] in ("Completed", "Failed", "Stopped") else None


def kill_job_repeatedly(platform: Platform, name: str, times: int) -> list[float]:
    """Kill -9 a running batch job at random moments; return the seconds until its next shard, for each."""
    chance, waits = random.Random(SEED), []
    shards = platform.layout.jobs / name / "shards"

    def done() -> set[str]:
        return {path.name for path in shards.iterdir()} if shards.is_dir() else set()

    for _ in range(times):
        wait_for(done, 20.0, what="a shard")
        time.sleep(chance.uniform(0.0, 0.1))
        assert job_ended(platform, name) is None, "the job ended before it could be killed"
        assert platform.kill_job(name)
        before, killed_at = done(), time.monotonic()
        wait_for(lambda before=before: done() - before, 20.0, what="the next shard")
        waits.append(time.monotonic() - killed_at)
    return waits
