"""kill -9 of a worker, the control process, the supervisor and a batch job, 20 times each, during work.

.venv/bin/python bench/kills.py [ROUNDS]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fakes.bundles import truthful_bundle
from fakes.harm import (
    Harm,
    job_ended,
    kill_job_repeatedly,
    kill_repeatedly,
    kill_supervisor_repeatedly,
    serve_truthfully,
    start_job,
    write_rows,
)
from fakes.platform import Platform, wait_for

ROWS_EACH_KILL = 400_000


def main(rounds: int) -> None:
    for name in ("inference-0", "control", "supervisor"):
        with tempfile.TemporaryDirectory() as folder, Platform(Path(folder) / "home") as platform:
            serve_truthfully(platform)
            if name == "supervisor":
                print_harm(name, kill_supervisor_repeatedly(platform, rounds))
            else:
                print_harm(name, kill_repeatedly(platform, name, rounds))
    kill_job(rounds)


def kill_job(rounds: int) -> None:
    small = {"MODELPORT_BATCH_MEMORY_BYTES": str(4 << 20)}
    with (
        tempfile.TemporaryDirectory() as name,
        Platform(Path(name) / "home", workers=1, environment=small) as platform,
    ):
        folder = Path(name)
        source = write_rows(folder / "in.csv", ROWS_EACH_KILL * (rounds + 1))
        reference = platform.register("truthful", truthful_bundle(1))
        for job, kills in (("quiet", 0), ("harmed", rounds)):
            start_job(platform, reference, job, source, folder / f"{job}.csv")
            waits = kill_job_repeatedly(platform, job, kills)
            wait_for(lambda job=job: job_ended(platform, job), 600)
        same = (folder / "quiet.csv").read_bytes() == (folder / "harmed.csv").read_bytes()
    print(
        f"job: {rounds} kills; next shard after {statistics.median(waits):.2f} s, at most {max(waits):.2f} s"
    )
    print(f"  output {'identical to' if same else 'DIFFERENT from'} that of a quiet run")


def print_harm(name: str, harm: Harm) -> None:
    times = sorted(harm.back_after_s)
    print(
        f"{name}: {len(times)} kills; ready again after {statistics.median(times):.2f} s, "
        f"at most {times[-1]:.2f} s"
    )
    print(f"  wishes acknowledged {harm.acknowledged}, lost {len(harm.lost)}")
    load = harm.load
    if load.answered:
        print(
            f"  requests answered {load.answered} ({load.per_second:.0f}/s), "
            f"failed {load.failed.total()} {dict(load.failed)}, misrouted {len(load.misrouted)}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
