"""From samples to figures: medians over rounds, and ratios of the same round. Pure."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Cell:
    """How servers are asked in one measurement.

    Args:
        name: Short, unique.
        dialect: "json" or "binary".
        rows: In each body.
        connections: Open, each with one request under way.
    """

    name: str
    dialect: str
    rows: int
    connections: int

    @property
    def title(self) -> str:
        """Return it for people."""
        form = "JSON" if self.dialect == "json" else "binary V2"
        rows = "1 row" if self.rows == 1 else f"{self.rows} rows"
        return f"{form}, {rows}, {self.connections} connection{'s' if self.connections > 1 else ''}"


CELLS = (
    Cell("c1", "json", 1, 1),
    Cell("c16", "json", 1, 16),
    Cell("c64", "json", 1, 64),
    Cell("json256", "json", 256, 8),
    Cell("binary1", "binary", 1, 64),
    Cell("binary256", "binary", 256, 8),
)
CELL = {cell.name: cell for cell in CELLS}


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of the generator against one server.

    Args:
        model: Served.
        layout: "split" (server on one core, generator on the other) or "shared" (both on both).
        contestant: Asked.
        cell: How.
        round: Which round; samples of one round are compared with each other.
        rate: Good answers per second.
        p50_us: Median latency in microseconds, from sending.
        p99_us: 99th percentile.
        cpu_us: Processor time of all the server's processes for each request, microseconds.
        refused: Answers that were neither 2xx nor 3xx.
        broken: Connections that failed and requests that timed out.
        generator: Share of one core the generator took.
    """

    model: str
    layout: str
    contestant: str
    cell: str
    round: int
    rate: float
    p50_us: float
    p99_us: float
    cpu_us: float
    refused: int = 0
    broken: int = 0
    generator: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one server with one model, besides its samples.

    Args:
        model: Served.
        layout: As in `Sample`.
        contestant: Who.
        workers: Processes that score.
        cold_s: Seconds from exec to the first 200, for each start.
        pss_bytes: Proportional set size of all its processes after the load.
        difference: Largest difference of a probability from the original's, before the load.
        unsupported: Cells it cannot be asked in, with the reason.
    """

    model: str
    layout: str
    contestant: str
    workers: int
    cold_s: tuple[float, ...] = ()
    pss_bytes: int = 0
    difference: float | None = None
    unsupported: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Absence:
    """Why a contestant was not measured with a model."""

    model: str
    layout: str
    contestant: str
    reason: str


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when it was measured.

    Args:
        date: RFC 3339 date.
        processor: Its name.
        cores: How many this process may use.
        memory_gib: Of the machine.
        system: Kernel and release.
        python: Version of ours.
        load: Load average over a minute, before the first round; own processes idle.
    """

    date: str
    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    load: float


@dataclass(frozen=True, slots=True)
class Results:
    """One run of the program."""

    machine: Machine
    rounds: int
    seconds: float
    titles: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    standings: list[Standing] = field(default_factory=list)
    absences: list[Absence] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians of one server in one cell; counts are sums."""

    rate: float
    p50_us: float
    p99_us: float
    cpu_us: float
    generator: float
    refused: int
    broken: int
    rounds: int


def summarise(samples: Iterable[Sample]) -> dict[tuple[str, str, str, str], Figures]:
    """Return figures by (model, layout, contestant, cell)."""
    grouped: dict[tuple[str, str, str, str], list[Sample]] = defaultdict(list)
    for sample in samples:
        grouped[sample.model, sample.layout, sample.contestant, sample.cell].append(sample)
    return {key: _figures(found) for key, found in grouped.items()}


def paired_ratio(
    samples: Iterable[Sample], ours: str, theirs: str, value: Callable[[Sample], float]
) -> float | None:
    """Return the median over rounds of our value divided by theirs in the same round.

    Args:
        samples: Of one model, layout and cell.
        ours: Contestant above the line.
        theirs: Contestant below the line.
        value: Of a sample.

    Returns:
        The ratio; None when no round has both, or theirs is 0 in each.
    """
    first: dict[int, float] = {}
    second: dict[int, float] = {}
    for sample in samples:
        if sample.contestant == ours:
            first[sample.round] = value(sample)
        if sample.contestant == theirs:  # may be the same one
            second[sample.round] = value(sample)
    ratios = [first[turn] / second[turn] for turn in sorted(first.keys() & second.keys()) if second[turn]]
    return statistics.median(ratios) if ratios else None


def of_cell(samples: Iterable[Sample], model: str, layout: str, cell: str) -> list[Sample]:
    """Return the samples of one cell."""
    return [one for one in samples if (one.model, one.layout, one.cell) == (model, layout, cell)]


def order_of_round(names: Sequence[str], turn: int) -> list[str]:
    """Return in which order contestants are asked: forwards and backwards in turn, so that drift cancels."""
    return list(names) if turn % 2 == 0 else list(reversed(names))


def _figures(samples: Sequence[Sample]) -> Figures:
    def middle(name: str) -> float:
        return statistics.median(getattr(sample, name) for sample in samples)

    return Figures(
        rate=middle("rate"),
        p50_us=middle("p50_us"),
        p99_us=middle("p99_us"),
        cpu_us=middle("cpu_us"),
        generator=middle("generator"),
        refused=sum(sample.refused for sample in samples),
        broken=sum(sample.broken for sample in samples),
        rounds=len(samples),
    )
