"""A heavy model and a light one on the same worker: what each has left of its stand-alone throughput.

    .venv/bin/python bench/isolation.py [--rounds 3] [--seconds 5] [--pin]

A residual network (milliseconds a picture) is saturated while the small linear model is asked; rounds
alternate alone and together. The small model's latency is measured twice: in a closed loop of 4
connections, and by an open-loop generator at a steady rate, from the moment each request was due. Needs
`wrk`.

Goals: the small model's p99 ≤ 10 ms; each keeps ≥ 0.4 of its stand-alone throughput.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from measuring.models import Made, make_cnn, make_tiny
from measuring.platforms import port_of, serving
from measuring.wrk import Told, drive, write_requests
from overload import load_of, p99_ms, requests_of

from modelport.sdk.open_loop import offer

GOAL_P99_MS, GOAL_SHARE = 10.0, 0.4
CONNECTIONS = {"tiny": 4, "cnn": 2}
STEADY_RATE = 200.0


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=5.0)
    options.add_argument("--pin", action="store_true", help="platform on core 0, generators on core 1")
    chosen = options.parse_args()
    server, generator = (0, 1) if chosen.pin else (None, None)
    with tempfile.TemporaryDirectory(prefix="mpb-") as name, ThreadPoolExecutor(2) as pool:
        folder = Path(name)
        models = {"tiny": make_tiny(folder / "tiny"), "cnn": make_cnn(folder / "cnn")}
        for model in models.values():
            write_requests(folder / f"{model.name}.requests", requests_of(model))
        with serving(folder / "home", list(models.values()), workers=1, core=server) as platform:
            url = platform.inference_url

            def ask(model: Made) -> Told:
                path, connections = folder / f"{model.name}.requests", CONNECTIONS[model.name]
                return drive(url, path, connections=connections, seconds=chosen.seconds, core=generator)[0]

            alone: dict[str, list[Told]] = {"tiny": [], "cnn": []}
            together: dict[str, list[Told]] = {"tiny": [], "cnn": []}
            steady: dict[str, list[float]] = {"alone": [], "together": []}
            for _ in range(chosen.rounds):
                for model in models.values():
                    alone[model.name].append(ask(model))
                for model, told in zip(models.values(), pool.map(ask, models.values()), strict=True):
                    together[model.name].append(told)
                load = load_of(port_of(url), models["tiny"], STEADY_RATE, chosen.seconds)
                steady["alone"].append(p99_ms(offer(load).answered_s))
                heavy = pool.submit(ask, models["cnn"])
                steady["together"].append(p99_ms(offer(load).answered_s))
                heavy.result()
    return judge(alone, together, steady)


def judge(
    alone: dict[str, list[Told]], together: dict[str, list[Told]], steady: dict[str, list[float]]
) -> int:
    """Print the medians and how they stand to the goals; return the exit code."""
    shares = {}
    for name, by_itself in alone.items():
        shares[name] = statistics.median(
            b.good_rate / a.good_rate for a, b in zip(by_itself, together[name], strict=True)
        )
        for told, found in (("alone", by_itself), ("together", together[name])):
            print(
                f"{name:5} {told:9} {statistics.median(one.good_rate for one in found):10,.0f}/s"
                f"  p50 {statistics.median(one.p50_us for one in found) / 1e3:8.2f} ms"
                f"  p99 {statistics.median(one.p99_us for one in found) / 1e3:8.2f} ms"
                f"  refused {sum(one.refused for one in found)}  broken {sum(one.broken for one in found)}"
            )
    for told, values in steady.items():
        print(f"tiny  {told:9} {STEADY_RATE:10,.0f}/s open loop, p99 {statistics.median(values):8.2f} ms")
    p99 = statistics.median(one.p99_us for one in together["tiny"]) / 1e3
    open_p99 = statistics.median(steady["together"])
    checks = {
        f"the small model's p99 {p99:.1f} ms in a closed loop (goal {GOAL_P99_MS})": p99 <= GOAL_P99_MS,
        f"the small model's p99 {open_p99:.1f} ms in an open loop (goal {GOAL_P99_MS})": open_p99
        <= GOAL_P99_MS,
        **{
            f"{name} keeps {share:.2f} of its throughput (goal {GOAL_SHARE})": share >= GOAL_SHARE
            for name, share in shares.items()
        },
    }
    for told, held in checks.items():
        print(f"{'held' if held else 'MISSED'}: {told}")
    return 0 if all(checks.values()) else 3


if __name__ == "__main__":
    sys.exit(main())
