"""300,000 flights from Parquet to Parquet: `modelport batch` beside pandas + scikit-learn.

    .venv/bin/python bench/batch.py [--rounds 5] [--rows 300000] [--times 10]

Fresh processes, exec to exit, paired rounds, medians. All of them find their modules compiled, as pip leaves
those of an installed package. Ours is measured twice: the command (with a platform
running, from its exec to its exit) and its job's process alone, whose memory is the job's. Both outputs are
compared. Goals: at least 3 times faster, at most half the memory, within 10 % for a file ten times as long.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import joblib
import msgspec
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fakes.bundles import store_bundle
from fakes.platform import Platform
from modelport.bootstrap import program
from modelport.formats.converting import convert
from modelport.quickstart.flights import FEATURES, load_flights
from modelport.quickstart.story import train
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.wire import manifest as bundle
from modelport.wire.jobs import JOB_FILE, RESULT_FILE, JobFile, JobResult, TransformWork
from modelport.wire.signature import encode_signature

GOAL_SPEED, GOAL_MEMORY, GOAL_GROWTH = 3.0, 0.5, 1.10
PEER = """
import sys
import joblib
import pandas as pd

pipeline = joblib.load(sys.argv[1])
rows = pd.read_parquet(sys.argv[2])
probabilities = pipeline.predict_proba(rows)
answers = pd.DataFrame({"prediction": pipeline.classes_[probabilities.argmax(axis=1)]})
for column, label in enumerate(pipeline.classes_):
    answers[f"probability_{label}"] = probabilities[:, column]
answers.to_parquet(sys.argv[3])
"""


LAUNCHER = """
import os, sys, time
started = time.monotonic()
silent = [(os.POSIX_SPAWN_OPEN, handle, os.devnull, os.O_WRONLY, 0) for handle in (1, 2)]
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=silent)
_, status, usage = os.wait4(pid, 0)
print(time.monotonic() - started, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status))
"""  # small itself: a process's peak counts what its parent had when it was forked


def run(command: list[str], **environment: str) -> tuple[float, float]:
    """Return (seconds, peak MiB) of a process and those it waited for."""
    launch = [sys.executable, "-S", "-c", LAUNCHER, *command]
    told = subprocess.run(launch, env={**os.environ, **environment}, check=True, capture_output=True)
    seconds, peak, code = told.stdout.split()
    if int(code):
        raise SystemExit(f"{' '.join(command)} exited {int(code)}")
    return float(seconds), float(peak)


class Ours:
    """Our model on a platform."""

    def __init__(self, platform: Platform, files: dict[str, bytes]) -> None:
        self._platform = platform
        self._digest = store_bundle(LocalArtifacts(platform.layout.artifacts), files)
        self._reference = platform.register("flights", files)

    def command(self, source: Path, goal: Path) -> float:
        """Return the seconds of `modelport batch`."""
        words = [sys.executable, "-m", "modelport.cli", "batch", self._reference, str(source), str(goal)]
        return run(words, MODELPORT_URL=self._platform.control_url)[0]

    def job(self, source: Path, goal: Path) -> tuple[float, float]:
        """Return (seconds, peak MiB) of the job's process."""
        folder = self._platform.layout.jobs / "bench-alone"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        work = TransformWork(self._digest, self._reference, str(source), str(goal))
        (folder / JOB_FILE).write_bytes(msgspec.json.encode(JobFile(folder.name, work)))
        measured = run(list(program("job", str(folder))))
        result = msgspec.json.decode((folder / RESULT_FILE).read_bytes(), type=JobResult)
        if result.status != "Completed":
            raise SystemExit(str(result.failure_reason))
        return measured


def compare(ours: Path, theirs: Path) -> None:
    """End with an error when the outputs differ."""
    first, second = pd.read_parquet(ours), pd.read_parquet(theirs)
    numbers = [name for name in second.columns if name != "prediction"]
    difference = (first[numbers] - second[numbers]).abs().to_numpy().max()
    if list(first.columns) != list(second.columns) or difference > 1e-14:
        raise SystemExit(f"the outputs differ by {difference}")
    if not (first["prediction"] == second["prediction"]).all():
        raise SystemExit("the predictions differ")
    print(f"outputs equal: {len(first):,} rows, largest difference {difference:.1e}")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--rows", type=int, default=300_000)
    options.add_argument("--times", type=int, default=10)
    chosen = options.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # of the platform's processes, too
    flights = load_flights()
    training = flights[flights["month"] <= 3]
    pipeline = train(training)
    conversion = convert(pipeline, training[list(FEATURES)].head(1000))
    files = {
        bundle.SERVING_GRAPH: conversion.serving,
        bundle.SIGNATURE: encode_signature(conversion.signature),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        once, often = folder / "once.parquet", folder / "often.parquet"
        rows = flights[list(FEATURES)].head(chosen.rows)
        rows.to_parquet(once)
        pd.concat([rows] * chosen.times, ignore_index=True).to_parquet(often)
        joblib.dump(pipeline, folder / "pipeline.joblib")
        (folder / "peer.py").write_text(PEER)
        peer = [sys.executable, *map(str, (folder / "peer.py", folder / "pipeline.joblib", once))]
        commands, jobs, peers = [], [], []
        with Platform(folder / "home", workers=1) as platform:
            ours = Ours(platform, files)
            for _ in range(chosen.rounds):
                peers.append(run([*peer, str(folder / "theirs.parquet")]))
                commands.append(ours.command(once, folder / "ours.parquet"))
                jobs.append(ours.job(once, folder / "alone.parquet"))
            compare(folder / "ours.parquet", folder / "theirs.parquet")
            compare(folder / "alone.parquet", folder / "theirs.parquet")
            long_s, long_mib = ours.job(often, folder / "long.parquet")
    return print_ratios(peers, commands, jobs, long_s, long_mib, chosen.times)


def print_ratios(
    peers: list[tuple[float, float]],
    commands: list[float],
    jobs: list[tuple[float, float]],
    long_s: float,
    long_mib: float,
    times: int,
) -> int:
    """Print the medians and how they stand to the goals; return the exit code."""
    peer_s, peer_mib = (statistics.median(values) for values in zip(*peers, strict=True))
    job_s, job_mib = (statistics.median(values) for values in zip(*jobs, strict=True))
    command_s = statistics.median(commands)
    print(f"pandas + scikit-learn   {peer_s:6.2f} s  {peer_mib:6.0f} MiB")
    print(f"modelport batch         {command_s:6.2f} s  {peer_s / command_s:5.1f} times as fast")
    print(f"  its job alone         {job_s:6.2f} s  {job_mib:6.0f} MiB  {peer_s / job_s:5.1f} times as fast")
    print(f"  {times} times the rows    {long_s:6.2f} s  {long_mib:6.0f} MiB")
    checks = {
        f"speed {peer_s / command_s:.1f} (goal {GOAL_SPEED})": peer_s / command_s >= GOAL_SPEED,
        f"memory {job_mib / peer_mib:.2f} (goal {GOAL_MEMORY})": job_mib / peer_mib <= GOAL_MEMORY,
        f"growth {long_mib / job_mib:.2f} (goal {GOAL_GROWTH})": long_mib / job_mib <= GOAL_GROWTH,
    }
    for told, held in checks.items():
        print(f"{'held' if held else 'MISSED'}: {told}")
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
