"""The measurement: everybody is brought up, one runs while the others are paused, round after round."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from measuring.contestants import Contestant
from measuring.environments import NotInstalled, versions
from measuring.figures import Absence, Cell, Results, Sample, Standing, order_of_round
from measuring.models import Made
from measuring.running import NotStarted, Running, bring_up, requests_of, start
from measuring.wrk import drive, write_requests

SETTLE_S = 0.2
WARM_S = 1.0
LONGER = 5.0  # as long again for a server that answered hardly anything
ENOUGH = 2  # answers for each connection


@dataclass(frozen=True, slots=True)
class Layout:
    """Which cores are whose.

    Args:
        name: "split" or "shared".
        server: Core of the server; None: all.
        generator: Core of the generator; None: all.
        workers: Of each server.
        threads: Of the generator.
    """

    name: str
    server: int | None
    generator: int | None
    workers: int
    threads: int


SPLIT = Layout("split", 0, 1, 1, 1)


def shared(cores: int) -> Layout:
    """Return the layout in which everybody may use every core."""
    return Layout("shared", None, None, cores, cores)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Args:
        contestants: Who, in this order.
        cells: How each is asked.
        layout: On which cores.
        rounds: How often.
        seconds: Of each run of the generator.
        starts: How often each cold start is timed.
        environments: Where environments are kept.
    """

    contestants: Sequence[Contestant]
    cells: Sequence[Cell]
    layout: Layout
    rounds: int
    seconds: float
    starts: int
    environments: Path


def measure_model(plan: Plan, model: Made, results: Results) -> None:
    """Measure everybody with one model and add what was found."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mpb-")))
        running = dict(_bring_all_up(plan, model, folder, results, stack))
        _write_all_requests(plan, model, folder, running)
        for turn in range(plan.rounds):
            for name in order_of_round(list(running), turn):
                _measure_one(plan, model, running[name], turn, results)
        for name, one in running.items():
            with _awake(plan, model, one):
                memory = one.marked.pss_bytes()
            unsupported = {
                cell.name: reason for cell in plan.cells if (reason := _reason(model, one, cell)) is not None
            }
            results.standings.append(
                Standing(
                    model.name,
                    plan.layout.name,
                    name,
                    plan.layout.workers,
                    tuple(one.cold_s),
                    memory,
                    one.difference,
                    unsupported,
                )
            )


def say(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)


def _bring_all_up(
    plan: Plan, model: Made, folder: Path, results: Results, stack: contextlib.ExitStack
) -> Iterator[tuple[str, Running]]:
    for contestant in plan.contestants:
        if not contestant.takes(model):
            _miss(results, plan, model, contestant, "has no form for this model here")
            continue
        place = folder / contestant.name
        place.mkdir()
        try:
            one = bring_up(
                contestant,
                model,
                place,
                plan.environments,
                workers=plan.layout.workers,
                core=plan.layout.server,
                starts=plan.starts,
            )
        except (NotStarted, NotInstalled) as error:
            _miss(results, plan, model, contestant, str(error))
            continue
        except Exception as error:  # noqa: BLE001 - one contestant's trouble is reported, and ends nothing
            _miss(results, plan, model, contestant, repr(error))
            continue
        stack.callback(one.marked.stop)
        results.titles[contestant.name] = contestant.title
        results.versions[contestant.name] = _versions(plan, contestant)
        say(f"{model.name}: {contestant.name} serves after {min(one.cold_s):.2f} s")
        _send_to_sleep(one)
        yield contestant.name, one


def _miss(results: Results, plan: Plan, model: Made, contestant: Contestant, reason: str) -> None:
    say(f"{model.name}: {contestant.name} is not measured: {reason}")
    results.titles[contestant.name] = contestant.title
    results.absences.append(Absence(model.name, plan.layout.name, contestant.name, reason))


def _versions(plan: Plan, contestant: Contestant) -> dict[str, str]:
    from measuring.environments import make_environment

    if not contestant.requirements:
        python = Path(sys.executable)
        names = ("modelport", "onnxruntime", "uvloop", "httptools", "msgspec", "numpy")
        return dict(versions(python, names))
    python = make_environment(plan.environments, contestant.name, contestant.requirements)
    return dict(versions(python, contestant.told or contestant.requirements))


def _write_all_requests(plan: Plan, model: Made, folder: Path, running: dict[str, Running]) -> None:
    for name, one in running.items():
        dialects = {dialect.name: dialect for dialect in one.contestant.dialects(model)}
        for cell in plan.cells:
            if _reason(model, one, cell) is None:
                path = folder / f"{name}-{cell.name}.requests"
                write_requests(path, requests_of(dialects[cell.dialect], model, cell))
                one.requests[cell.name] = path


def _reason(model: Made, one: Running, cell: Cell) -> str | None:
    """Return why a server cannot be asked in this way; None when it can."""
    if cell.dialect in one.unsupported:
        return one.unsupported[cell.dialect]
    if all(dialect.name != cell.dialect for dialect in one.contestant.dialects(model)):
        return "has no such protocol"
    if not one.contestant.infers and cell.rows > 1:
        return "infers nothing"
    if model.heavy and cell.rows > 1:
        return "left out: a row costs milliseconds"
    return None


def _measure_one(plan: Plan, model: Made, one: Running, turn: int, results: Results) -> None:
    layout = plan.layout
    with _awake(plan, model, one):
        url = f"http://127.0.0.1:{one.port}"
        asked = [cell for cell in plan.cells if cell.name in one.requests]
        for cell in asked[:1]:  # caches, connections and lazy imports of a server that slept or just started
            drive(url, one.requests[cell.name], connections=16, seconds=WARM_S, core=layout.generator)
        pids = one.marked.pids()
        for cell in asked:
            for seconds in (plan.seconds, LONGER * plan.seconds):
                before = one.marked.processor_seconds(pids)
                told, share = drive(
                    url,
                    one.requests[cell.name],
                    connections=cell.connections,
                    seconds=seconds,
                    threads=layout.threads,
                    core=layout.generator,
                )
                used = one.marked.processor_seconds(pids) - before
                if told.requests >= ENOUGH * cell.connections:
                    break
            sample = Sample(
                model.name,
                layout.name,
                one.contestant.name,
                cell.name,
                turn,
                told.good_rate,
                told.p50_us,
                told.p99_us,
                used / max(1, told.requests) * 1e6,
                told.refused,
                told.broken,
                share,
            )
            results.samples.append(sample)
            say(
                f"{model.name} round {turn + 1} {one.contestant.name:18} {cell.title:32} "
                f"{sample.rate:10,.0f}/s {sample.cpu_us:10,.1f} us CPU  p99 {sample.p99_us / 1e3:8.2f} ms"
                + (f"  REFUSED {told.refused} BROKEN {told.broken}" if told.refused or told.broken else "")
            )


@contextlib.contextmanager
def _awake(plan: Plan, model: Made, one: Running) -> Iterator[None]:
    """Let a server run for the length of a block; one that cannot be paused is started for it."""
    if one.contestant.pausable:
        one.marked.resume()
    else:
        folder = one.marked.log.parent
        shutil.rmtree(folder / "session_latest", ignore_errors=True)
        dialect = one.contestant.dialects(model)[0]
        one.marked = start(
            one.contestant, one.command, folder, one.port, plan.layout.server, dialect, model
        ).marked
        one.marked.settle()
    time.sleep(SETTLE_S)
    try:
        yield
    finally:
        _send_to_sleep(one)


def _send_to_sleep(one: Running) -> None:
    if one.contestant.pausable:
        one.marked.pause()
    else:
        one.marked.stop()
