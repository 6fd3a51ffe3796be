"""A contestant brought up: its environment, its start timed, its answers checked before it is measured."""

from __future__ import annotations

import socket
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from measuring.asking import Dialect, ask
from measuring.contestants import Command, Contestant, Setting
from measuring.environments import make_environment
from measuring.figures import Cell
from measuring.models import Made
from measuring.processes import Marked

POLL_S = 0.005
CHECKED_ROWS = 256
CHECKED_HEAVY_ROWS = 8
BODIES_BYTES = 24 << 20
BODIES_MIN = 8
PORTS_EACH = 3  # MLServer takes the next two for gRPC and metrics
FIRST_PORT = 21_000


class NotStarted(Exception):
    """A contestant does not serve, or not rightly; the message tells why."""


@dataclass
class Running:
    """A contestant that serves a model.

    Args:
        contestant: Who.
        marked: Its processes.
        port: Where it listens.
        command: How it was started, to start it again.
        cold_s: Seconds from exec to the first 200 of each start.
        difference: Largest difference from the original; None: not compared.
        unsupported: Dialect to the reason why it cannot be asked so.
        requests: Cell to the file of its requests.
    """

    contestant: Contestant
    marked: Marked
    port: int
    command: Command
    cold_s: list[float] = field(default_factory=list)
    difference: float | None = None
    unsupported: dict[str, str] = field(default_factory=dict)
    requests: dict[str, Path] = field(default_factory=dict)


def bring_up(
    contestant: Contestant,
    model: Made,
    folder: Path,
    environments: Path,
    *,
    workers: int,
    core: int | None,
    starts: int,
) -> Running:
    """Start a contestant `starts` times, leave it running, and check what it answers.

    Args:
        contestant: Who.
        model: What it serves.
        folder: Empty, for what it needs.
        environments: Where environments are kept.
        workers: Processes that score.
        core: Core it is bound to; None leaves it free.
        starts: How often its cold start is timed.

    Raises:
        NotStarted: It does not answer, or not as the original does.
        NotInstalled: Its environment cannot be made.
        RuntimeError: It cannot be prepared.
    """
    needs = contestant.requirements
    python = make_environment(environments, contestant.name, needs) if needs else Path(sys.executable)
    port = free_ports()
    command = contestant.command(Setting(model, python, port, workers, folder))
    dialects = contestant.dialects(model)
    cold = []
    for turn in range(max(1, starts)):
        running = start(contestant, command, folder, port, core, dialects[0], model)
        cold.append(running.cold_s[0])
        if turn < starts - 1:
            running.marked.stop()
    running.cold_s = cold
    try:
        check(running, dialects, model)
        running.marked.settle()
    except BaseException:
        running.marked.stop()
        raise
    return running


def start(
    contestant: Contestant,
    command: Command,
    folder: Path,
    port: int,
    core: int | None,
    dialect: Dialect,
    model: Made,
) -> Running:
    """Start it and wait for its first 200.

    Raises:
        NotStarted: There was none in time, or it ended.
    """
    started = time.monotonic()
    marked = Marked(
        command.words,
        core=core,
        log=folder / "log.txt",
        environment=dict(command.environment),
        folder=command.folder,
    )
    try:
        last = _first_answer(contestant, marked, port, dialect, model)
    except BaseException:
        marked.stop()
        raise
    if last is None:
        return Running(contestant, marked, port, command, [time.monotonic() - started])
    marked.stop()
    raise NotStarted(f"no 200 within {contestant.start_timeout_s:g} s ({last}): {marked.last_words()}")


def _first_answer(
    contestant: Contestant, marked: Marked, port: int, dialect: Dialect, model: Made
) -> str | None:
    """Ask until there is a 200; return None then, and what there was instead when time is over."""
    last = "nothing listened"
    deadline = time.monotonic() + contestant.start_timeout_s
    while time.monotonic() < deadline and marked.process.poll() is None:
        try:
            reply = ask(port, dialect, model.rows[:1])
        except OSError as error:
            last = type(error).__name__
        else:
            if reply.status == 200:
                return None
            last = f"{reply.status} {reply.body[:120].decode(errors='replace')}"
        time.sleep(POLL_S)
    return last


def check(running: Running, dialects: tuple[Dialect, ...], model: Made) -> None:
    """Compare what it answers with the original, in each dialect.

    A further dialect may be unsupported; the first must be right, and none may be wrong.

    Raises:
        NotStarted: An answer is wrong, or the first dialect is refused.
    """
    rows = model.rows[: CHECKED_HEAVY_ROWS if model.heavy else CHECKED_ROWS]
    for number, dialect in enumerate(dialects):
        reply = ask(running.port, dialect, rows)
        if reply.status != 200:
            told = f"answers {reply.status}"
            if number == 0:
                raise NotStarted(f"{told}: {reply.body[:200].decode(errors='replace')}")
            running.unsupported[dialect.name] = told
            continue
        try:
            answers = dialect.read(reply.body, reply.headers)
        except Exception as error:  # a peer may answer anything
            raise NotStarted(f"its answer cannot be read: {error!r}: {reply.body[:120]!r}") from error
        if answers is None:
            continue
        expected = model.expected(dialect.sent(rows))
        if answers.shape != expected.shape:
            raise NotStarted(f"answers {answers.shape}, expected {expected.shape}")
        difference = float(np.abs(answers - expected).max())
        if not difference <= running.contestant.tolerance:
            raise NotStarted(f"its probabilities differ from the original's by {difference:.2g}")
        running.difference = max(difference, running.difference or 0.0)


def requests_of(dialect: Dialect, model: Made, cell: Cell) -> list[bytes]:
    """Return whole requests of fresh rows: thousands of one row, or as many longer ones as fit in memory."""
    count = len(model.rows)
    if cell.rows == 1:
        return [dialect.request(model.rows[at : at + 1]) for at in range(count)]
    first = dialect.request(_some(model, cell.rows, 0))
    wanted = max(BODIES_MIN, min(256, BODIES_BYTES // len(first)))
    return [first, *(dialect.request(_some(model, cell.rows, turn)) for turn in range(1, wanted))]


def free_ports() -> int:
    """Return a port that is free together with the ones after it."""
    for port in range(FIRST_PORT, 32_000, PORTS_EACH):
        try:
            for offset in range(PORTS_EACH):
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port + offset))
        except OSError:
            continue
        return port
    raise NotStarted("no free ports")


def middle(values: list[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def _some(model: Made, count: int, turn: int):
    chosen = np.random.default_rng(turn).integers(0, len(model.rows), count)
    if model.records:
        return [model.rows[at] for at in chosen]
    return model.rows[chosen]
