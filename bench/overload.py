"""What becomes of a model that is asked for more than it can do, and of its neighbour meanwhile.

    .venv/bin/python bench/overload.py [--seconds 60] [--times 5] [--pin]

A model whose rows cost half a millisecond each is asked by an open-loop generator, whose latencies count
from the moment a request was due: at 80 % of its capacity, then at 5 times it. A small model on the same
worker is asked at a steady rate all along. Then the small model's plateau: requests per second as
connections rise. `--pin` binds the platform to core 0 and the generators to core 1. Needs `wrk`.

Goals: goodput ≥ 90 % of the peak (the better of before and afterwards, for machines drift); p99 of what is
accepted ≤ 2 × that at 80 % load; p99 of refusals ≤ 10 ms; the neighbour's p99 rises by ≤ 50 % with 0
failures.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from measuring.asking import json_dialect
from measuring.models import Made, make_slow, make_tiny
from measuring.platforms import port_of, serving
from measuring.wrk import Told, drive, write_requests

from modelport.sdk.open_loop import Load, Offered, offer, percentile

CAPACITY_MAX = 2000
NEIGHBOUR_RATE = 200.0
PEAK_CONNECTIONS = 32
PLATEAU = (16, 64, 256, 1024)
GOODPUT, ACCEPTED_P99, REFUSED_P99_MS, NEIGHBOUR_P99 = 0.9, 2.0, 10.0, 1.5


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seconds", type=float, default=60.0, help="of the overload; the rest takes less")
    options.add_argument("--times", type=float, default=5.0, help="the capacity that is asked for")
    options.add_argument("--workers", type=int, default=1)
    options.add_argument("--pin", action="store_true", help="platform on core 0, generators on core 1")
    chosen = options.parse_args()
    server, generator = (0, 1) if chosen.pin else (None, None)
    short = max(2.0, min(10.0, chosen.seconds / 3))
    with (
        tempfile.TemporaryDirectory(prefix="mpb-") as name,
        ProcessPoolExecutor(
            2, mp_context=multiprocessing.get_context("spawn"), initializer=bind_self, initargs=(generator,)
        ) as pool,
    ):
        folder = Path(name)
        slow, tiny = make_slow(folder / "slow"), make_tiny(folder / "tiny")
        with serving(folder / "home", [slow, tiny], workers=chosen.workers, core=server) as platform:
            port = port_of(platform.inference_url)
            peak = closed(port, slow, folder, PEAK_CONNECTIONS, short, generator)
            if peak.good_rate > CAPACITY_MAX:
                print(
                    f"this machine does {peak.good_rate:,.0f}/s of the slow model: more than {CAPACITY_MAX}"
                )
            print(f"capacity: {peak.good_rate:,.0f} requests/s at {PEAK_CONNECTIONS} connections")

            def both(rate: float, seconds: float) -> tuple[Offered, Offered]:
                asked = pool.submit(offer, load_of(port, slow, rate, seconds))
                beside = pool.submit(offer, load_of(port, tiny, NEIGHBOUR_RATE, seconds))
                return asked.result(), beside.result()

            alone = pool.submit(offer, load_of(port, tiny, NEIGHBOUR_RATE, short)).result()
            tell("neighbour alone", alone)
            normal, beside = both(0.8 * peak.good_rate, short)
            tell("80 % of capacity", normal)
            tell("  neighbour", beside)
            over, meanwhile = both(chosen.times * peak.good_rate, chosen.seconds)
            tell(f"{chosen.times:g} × capacity", over)
            tell("  neighbour", meanwhile)
            after = pool.submit(offer, load_of(port, tiny, NEIGHBOUR_RATE, short)).result()
            tell("neighbour afterwards", after)
            again = closed(port, slow, folder, PEAK_CONNECTIONS, short, generator)
            print(f"capacity afterwards: {again.good_rate:,.0f} requests/s")
            plateau = [(count, closed(port, tiny, folder, count, short, generator)) for count in PLATEAU]
    print(f"{tiny.title}, closed loop, by connections:")
    for count, told in plateau:
        print(
            f"  {count:5} {told.good_rate:10,.0f}/s  p50 {told.p50_us / 1e3:7.2f} ms"
            f"  p99 {told.p99_us / 1e3:7.2f} ms  refused {told.refused}  broken {told.broken}"
        )
    return judge(max(peak.good_rate, again.good_rate), normal, over, beside, meanwhile)


def bind_self(core: int | None) -> None:
    """Bind a generator's process."""
    if core is not None:
        os.sched_setaffinity(0, {core})


def closed(port: int, model: Made, folder: Path, connections: int, seconds: float, core: int | None) -> Told:
    """Ask in a closed loop: what can be had at most."""
    path = folder / f"{model.name}.requests"
    if not path.exists():
        write_requests(path, requests_of(model))
    return drive(f"http://127.0.0.1:{port}", path, connections=connections, seconds=seconds, core=core)[0]


def requests_of(model: Made) -> list[bytes]:
    """Return whole requests of one fresh row each."""
    dialect = json_dialect(f"/endpoints/{model.name}/invocations")
    return [dialect.request(model.rows[at : at + 1]) for at in range(len(model.rows))]


def load_of(port: int, model: Made, rate: float, seconds: float) -> Load:
    """Return an open load of a model."""
    return Load("127.0.0.1", port, requests_of(model), rate, seconds)


def p99_ms(values) -> float:
    """Return the 99th percentile in milliseconds."""
    return percentile(values, 0.99) * 1e3


def tell(name: str, found: Offered) -> None:
    """Print what became of a load."""
    answered, refused = found.answered_s, found.refused_s
    print(
        f"{name:24} due {found.rate:8,.0f}/s  good {found.goodput:8,.0f}/s"
        f"  p50 {percentile(answered, 0.5) * 1e3:8.2f}  p99 {p99_ms(answered):8.2f} ms"
        f"  refused {len(refused):,} (p99 {p99_ms(refused):.2f} ms)"
        f"  failed {dict(found.failed)}  unanswered {found.unanswered}"
        f"  generator late p99 {p99_ms(found.late_s):.2f} ms",
        flush=True,
    )


def judge(peak: float, normal: Offered, over: Offered, beside: Offered, meanwhile: Offered) -> int:
    """Print how the figures stand to the goals; return the exit code."""
    goodput = over.goodput / peak
    accepted = p99_ms(over.answered_s) / p99_ms(normal.answered_s)
    neighbour = p99_ms(meanwhile.answered_s) / p99_ms(beside.answered_s)
    broken = meanwhile.failed.total() + meanwhile.unanswered + len(meanwhile.refused_s)
    refused = p99_ms(over.refused_s)
    checks = {
        f"goodput {goodput:.2f} of the peak (goal {GOODPUT})": goodput >= GOODPUT,
        f"accepted p99 {accepted:.2f} × that at 80 % (goal {ACCEPTED_P99})": accepted <= ACCEPTED_P99,
        f"refusals' p99 {refused:.1f} ms (goal {REFUSED_P99_MS})": refused <= REFUSED_P99_MS,
        f"neighbour's p99 {neighbour:.2f} × that at 80 % (goal {NEIGHBOUR_P99})": neighbour <= NEIGHBOUR_P99,
        f"neighbour's failures {broken} (goal 0)": broken == 0,
        f"overload's failures other than refusals {over.failed.total() + over.unanswered} (goal 0)": not (
            over.failed.total() + over.unanswered
        ),
    }
    for told, held in checks.items():
        print(f"{'held' if held else 'MISSED'}: {told}")
    return 0 if all(checks.values()) else 3


if __name__ == "__main__":
    sys.exit(main())
