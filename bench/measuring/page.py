"""What was found as Markdown, ratios first, and its pictures. Pure but for `write_page`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from measuring.drawing import Bar, draw_bars
from measuring.figures import CELL, Figures, Results, of_cell, paired_ratio, summarise

OURS = "modelport"
BOUNDS = ("echo", "ceiling")
HEAD = "c64"  # the cell that is drawn and compared first
LAYOUTS = {
    "split": "Server on one core, generator on the other",
    "shared": "Server and generator on all cores, one worker for each core",
}
GENERATOR_BOUND = 0.97

METHOD = """\
Read the figures as ratios: they were taken side by side, and hold better than the absolute numbers.

- Everybody serves the same model and is asked the same rows; the probabilities of 256 rows were compared
  with the original's before anything was measured, and had to agree within 1e-6.
- Rows are fresh in each request (thousands of them in turn): repeated rows train the processor's branch
  predictor and flatter trees.
- modelport runs as `modelport up`: the router with its weights, metrics, every limit, and the check of each
  row against the signature are on, and the processor time counts all its processes, the control plane
  included. The *floor* reads a request and sends it back; the *ceiling* does the whole inference without
  anything that makes it a platform.
- Peers run as their documentation recommends for one model on this number of cores, without access logs, one
  thread for a call; with ONNX Runtime they load skl2onnx's float32 conversion.
- One server runs at a time, the others are paused; rounds go forwards and backwards through them; medians
  of rounds. A ratio is the median of the ratios within rounds.
- `wrk` asks in a closed loop, so latencies are those of a server that is as busy as the connections make
  it; under open load see `bench/overload.py`. Its own share of a core is shown where it may have been the
  limit.
- Processor time is Linux's schedstat of all processes of a server, divided by requests. Memory is their
  proportional set size after the load. Cold start is from exec to the first 200 (for modelport, of the
  whole platform with the endpoint deployed before).
"""


BUSY_SHARE = 0.5
BUSY = (
    " **The machine was busy with other work**: absolute figures are too low for everybody, latencies too "
    "long, and ratios under 1.5 mean nothing."
)
REPEAT = """\
```
.venv/bin/python bench/serving.py --quick          # does it work here?
.venv/bin/python bench/serving.py --page docs/explanation/performance.md
```"""


def write_page(results: Results, path: Path) -> None:
    """Write the page, and its pictures into `pictures` beside its folder."""
    pictures = path.parent.parent / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    drawn = draw_pictures(results)
    for name, drawing in drawn.items():
        (pictures / name).write_text(drawing)
    path.write_text(render_page(results, {name: f"../pictures/{name}" for name in drawn}))


def draw_pictures(results: Results) -> dict[str, str]:
    """Return file name to SVG: one chart for each model, on one core where that was measured."""
    found = summarise(results.samples)
    drawings = {}
    for model, title in results.models.items():
        for layout in ("split", "shared"):
            bars = [
                Bar(results.titles[name], figures.rate, f"{figures.rate:,.0f}", kind_of(name))
                for name in results.titles
                if (figures := found.get((model, layout, name, HEAD))) is not None
            ]
            if bars:
                bars.sort(key=lambda bar: -bar.value)
                where = "one core" if layout == "split" else "all cores"
                drawings[f"performance-{model}.svg"] = draw_bars(
                    bars,
                    title=f"{title}: {where}, 64 connections",
                    axis="requests per second, one row as JSON",
                )
                break
    return drawings


def kind_of(name: str) -> str:
    """Return how a contestant is drawn."""
    if name in BOUNDS:
        return "bound"
    return "ours" if name.startswith(OURS) else "peer"


def render_page(results: Results, pictures: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        results: What was found.
        pictures: File name of a drawing to where the page finds it.
    """
    parts = [
        "# Performance",
        _head(results),
        print_tables(results, pictures),
        "## Versions",
        _versions(results),
        "## How it was measured",
        METHOD.strip(),
        "## To repeat it",
        REPEAT,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(results: Results) -> str:
    machine = results.machine
    return (
        f"Written by `bench/serving.py --page`, measured on {machine.date}, {results.rounds} paired rounds "
        f"of {results.seconds:g} s. Machine: {machine.processor}, {machine.cores} cores, "
        f"{machine.memory_gib:g} GiB, {machine.system}, Python {machine.python}; load average "
        f"{machine.load:g} when it began." + (BUSY if machine.load > BUSY_SHARE * machine.cores else "")
    )


def print_tables(results: Results, pictures: Mapping[str, str] | None = None) -> str:
    """Return the ratios and the figures as Markdown."""
    layouts = [name for name in LAYOUTS if any(one.layout == name for one in results.samples)]
    parts = []
    for layout in layouts:
        parts += [f"## Ratios. {LAYOUTS[layout]}", _ratios(results, layout)]
    for model, title in results.models.items():
        parts.append(f"## {title[0].upper()}{title[1:]}")
        name = f"performance-{model}.svg"
        if pictures and name in pictures:
            parts.append(f"![Requests per second of each server]({pictures[name]})")
        for layout in layouts:
            table = _table(results, model, layout)
            if table:
                parts += [f"{LAYOUTS[layout]}:", table]
    parts.append(_absences(results))
    return "\n\n".join(part for part in parts if part)


def _ratios(results: Results, layout: str) -> str:
    """Return how many times our requests per second (processor time) everybody's are, by model."""
    models = [model for model in results.models if of_cell(results.samples, model, layout, HEAD)]
    names = [name for name in results.titles if not name.startswith(OURS)]
    rows = []
    for name in names:
        cells = []
        for model in models:
            samples = of_cell(results.samples, model, layout, HEAD)
            faster = paired_ratio(samples, OURS, name, lambda one: one.rate)
            spared = paired_ratio(samples, name, OURS, lambda one: one.cpu_us)
            cells.append("–" if faster is None or spared is None else f"{_times(faster)} ({_times(spared)})")
        rows.append([results.titles[name], *cells])
    own = []
    for name in results.titles:
        if name.startswith(OURS) and name != OURS:
            samples = {model: of_cell(results.samples, model, layout, HEAD) for model in models}
            shares = [paired_ratio(samples[model], name, OURS, lambda one: one.rate) for model in models]
            own.append([results.titles[name], *(("–" if one is None else _times(one)) for one in shares)])
    text = (
        f"modelport's requests per second as a multiple of each server's, {CELL[HEAD].title}; in brackets, "
        "how many times ours theirs is in processor time for each request."
    )
    told = [text, _markdown(["", *models], rows)] if rows else []
    if own:
        told += ["Our own variations, as a multiple of plain modelport's requests per second:"]
        told += [_markdown(["", *models], own)]
    return "\n\n".join(told)


def _table(results: Results, model: str, layout: str) -> str:
    found = summarise(results.samples)
    standings = {
        one.contestant: one for one in results.standings if (one.model, one.layout) == (model, layout)
    }
    names = [name for name in results.titles if name in standings]
    if not names:
        return ""

    def figures(name: str, cell: str) -> Figures | None:
        return found.get((model, layout, name, cell))

    columns = ["", "1 conn.", "16", "64", "p50 ms", "p99 ms", "CPU µs", "rows/s JSON", "rows/s binary"]
    columns += ["cold start s", "MiB"]
    names.sort(key=lambda name: -(figures(name, HEAD).rate if figures(name, HEAD) else 0.0))
    rows = []
    for name in names:
        head, standing = figures(name, HEAD), standings[name]
        told = [_rate(figures(name, cell)) for cell in ("c1", "c16", HEAD)]
        told += [
            "–" if head is None else f"{head.p50_us / 1e3:.2f}",
            "–" if head is None else f"{head.p99_us / 1e3:.2f}",
            "–" if head is None else f"{head.cpu_us:,.1f}",
        ]
        for cell in ("json256", "binary256"):
            many = figures(name, cell)
            if many is not None:
                told.append(f"{many.rate * CELL[cell].rows:,.0f}{_marks(many)}")
            elif cell in standing.unsupported:
                told.append("not supported" if "answers" in standing.unsupported[cell] else "–")
            else:
                told.append("–")
        told.append(f"{statistics.median(standing.cold_s):.2f}" if standing.cold_s else "–")
        told.append(f"{standing.pss_bytes / 2**20:,.0f}")
        title = f"**{results.titles[name]}**" if name == OURS else results.titles[name]
        rows.append([title, *told])
    notes = _notes(found, model, layout)
    return _markdown(columns, rows) + (f"\n\n{notes}" if notes else "")


def _notes(found: Mapping[tuple[str, str, str, str], Figures], model: str, layout: str) -> str:
    here = {key: value for key, value in found.items() if key[:2] == (model, layout)}
    notes = []
    if any(one.generator >= GENERATOR_BOUND for one in here.values()):
        notes.append("† the generator had no processor left: the server could answer more.")
    if any(one.refused or one.broken for one in here.values()):
        notes.append("‡ some requests failed; they are not counted as answers: ")
        notes[-1] += "; ".join(
            f"{key[2]} {CELL[key[3]].title}: {value.refused} refused, {value.broken} broken"
            for key, value in here.items()
            if value.refused or value.broken
        )
    return " ".join(notes)


def _rate(figures: Figures | None) -> str:
    return "–" if figures is None else f"{figures.rate:,.0f}{_marks(figures)}"


def _marks(figures: Figures) -> str:
    failed = " ‡" if figures.refused or figures.broken else ""
    return (" †" if figures.generator >= GENERATOR_BOUND else "") + failed


def _times(ratio: float) -> str:
    return f"{ratio:,.0f} ×" if ratio >= 20 else f"{ratio:.1f} ×" if ratio >= 3 else f"{ratio:.2f} ×"


def _absences(results: Results) -> str:
    """Tell who was not measured; a peer that has no form for a model is said once."""
    if not results.absences:
        return ""
    merged: dict[tuple[str, str], list[str]] = {}
    for one in results.absences:
        merged.setdefault((one.contestant, one.reason), []).append(f"{one.model} ({one.layout})")
    rows = [
        [results.titles[name], ", ".join(where), reason.replace("|", "¦").replace("\n", " ")]
        for (name, reason), where in merged.items()
    ]
    return "## Not measured\n\n" + _markdown(["", "with", "reason"], rows)


def _versions(results: Results) -> str:
    rows = [
        [results.titles[name], ", ".join(f"{what} {version}" for what, version in told.items())]
        for name, told in results.versions.items()
        if told
    ]
    return _markdown(["", "installed"], rows) if rows else ""


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    right = "|---" + "|--:" * (len(columns) - 1) + "|"
    lines = ["| " + " | ".join(columns) + " |", right]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
