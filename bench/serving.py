"""modelport beside its peers, in one run: requests per second, latency, processor time, memory, cold start.

    .venv/bin/python bench/serving.py --quick
    .venv/bin/python bench/serving.py --models tiny,boosting --peers fastapi-ort,mlserver --save found.json
    .venv/bin/python bench/serving.py --save found.json --page docs/explanation/performance.md
    .venv/bin/python bench/serving.py --from tiny.json,others.json --page docs/explanation/performance.md

Each peer is installed in an environment of its own (kept under --environments), started as its docs
recommend, and checked: its probabilities must be the original's within 1e-6. wrk asks all of them, with
fresh rows in every request; one server runs at a time, the others are paused; rounds are paired, medians
are shown. A peer that cannot be installed or started, or answers wrongly, is reported with its reason.
Needs Linux, `wrk` and `taskset`.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from measuring.contestants import BY_NAME
from measuring.figures import CELL, Machine, Results
from measuring.models import MAKERS
from measuring.page import print_tables, write_page
from measuring.rounds import SPLIT, Plan, measure_model, say, shared

QUICK_PEERS = ("modelport", "echo", "ceiling", "fastapi-ort")
ALWAYS = ("modelport",)


def main() -> int:
    chosen = read_options()
    if chosen.read:
        results = merge([load(Path(name)) for name in chosen.read.split(",")])
    else:
        signal.signal(
            signal.SIGTERM, lambda *_: sys.exit(143)
        )  # so that every server is ended, not left paused
        missing = [name for name in ("wrk", "taskset") if shutil.which(name) is None]
        if missing:
            print(f"not found: {', '.join(missing)}; on Debian: apt install wrk util-linux", file=sys.stderr)
            return 1
        results = measure(chosen)
    if chosen.save:
        save(results, Path(chosen.save))
    print(print_tables(results))
    if chosen.page:
        write_page(results, Path(chosen.page))
    return 0


def measure(chosen: argparse.Namespace) -> Results:
    """Measure what was asked for."""
    results = Results(machine(), chosen.rounds, chosen.seconds)
    names = list(dict.fromkeys((*ALWAYS, *chosen.peers)))
    layouts = {"split": SPLIT, "shared": shared(os.cpu_count() or 1)}
    with tempfile.TemporaryDirectory(prefix="mpb-models-") as folder:
        for name in chosen.models:
            say(f"making {name}")
            model = MAKERS[name](Path(folder) / name)
            results.models[name] = model.title
            for layout in chosen.layouts:
                plan = Plan(
                    [BY_NAME[one] for one in names],
                    [CELL[cell] for cell in chosen.cells],
                    layouts[layout],
                    chosen.rounds,
                    chosen.seconds,
                    chosen.starts,
                    Path(chosen.environments).expanduser(),
                )
                measure_model(plan, model, results)
                if chosen.save:  # a long run that is interrupted keeps what it has
                    save(results, Path(chosen.save))
    return results


def read_options() -> argparse.Namespace:
    """Return what was asked for on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = {
        "models": list(MAKERS),
        "peers": list(BY_NAME),
        "cells": list(CELL),
        "layouts": ["split", "shared"],
    }
    for name, words in known.items():
        parser.add_argument(f"--{name}", help=f"some of: {', '.join(words)}; all by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each run of wrk, at least 1")
    parser.add_argument("--starts", type=int, default=3, help="how often each cold start is timed")
    parser.add_argument("--environments", default="~/.cache/modelport-bench", help="kept between runs")
    parser.add_argument("--quick", action="store_true", help="tiny, few peers, short: does it work?")
    parser.add_argument("--save", help="write what was found as JSON")
    parser.add_argument("--from", dest="read", help="read results of --save instead of measuring")
    parser.add_argument("--page", help="write Markdown here and pictures to ../pictures beside it")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rounds, chosen.seconds, chosen.starts = 1, 1.0, 1
        chosen.models = chosen.models or "tiny"
        chosen.peers = chosen.peers or ",".join(QUICK_PEERS)
        chosen.layouts = chosen.layouts or "split"
    for name, words in known.items():
        given = getattr(chosen, name)
        wanted = words if given is None else [word for word in given.split(",") if word]
        unknown = sorted(set(wanted) - set(words))
        if unknown:
            parser.error(f"--{name}: found {', '.join(unknown)}, expected some of {', '.join(words)}")
        setattr(chosen, name, wanted)
    return chosen


def machine() -> Machine:
    """Return where this runs."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return Machine(
        date=datetime.now(UTC).date().isoformat(),
        processor=named or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        load=round(os.getloadavg()[0], 2),
    )


def save(results: Results, path: Path) -> None:
    """Write results for `--from`."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))


def load(path: Path) -> Results:
    """Read what `--save` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def merge(found: list[Results]) -> Results:
    """Put runs together that measured different models or layouts; the last one names the machine."""
    last = found[-1]
    whole = Results(last.machine, last.rounds, last.seconds)
    for one in found:
        for name in ("titles", "models", "versions"):
            getattr(whole, name).update(getattr(one, name))
        for name in ("samples", "standings", "absences"):
            getattr(whole, name).extend(getattr(one, name))
    return whole


if __name__ == "__main__":
    sys.exit(main())
