"""`bench`: how much an endpoint bears."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.exceptions import Exit

from modelport.cli.exits import CHECK
from modelport.cli.output import print_json, print_table, say
from modelport.cli.parameters import PATH, Command, Output, endpoint_argument, output_option
from modelport.sdk.client import Client
from modelport.sdk.quantities import parse_milliseconds, parse_rate

if TYPE_CHECKING:
    from modelport.evaluation.capacity import Knee, LoadPoint
    from modelport.sdk.benching import BenchReport


@click.command(cls=Command)
@endpoint_argument
@click.option(
    "--data", type=PATH, help="CSV, Parquet, JSON Lines or npy file of rows to send; otherwise made up."
)
@click.option("--rows", type=int, default=1, help="Rows in each request.")
@click.option("--target", metavar="RATE", help="What it is to carry, such as 2000/s: tells how many workers.")
@click.option("--p99", metavar="TIME", help="Goal for the 99th percentile of latency, such as 20ms.")
@click.option("--seconds", type=float, default=3.0, help="Of each load.")
@click.option("--svg", type=PATH, help="Write latency against load as a picture.")
@click.option("--html", type=PATH, help="Write picture and table as a page.")
@output_option
def bench(  # noqa: PLR0913, PLR0917 - options of the command line
    endpoint: str,
    data: Path | None,
    rows: int,
    target: str | None,
    p99: str | None,
    seconds: float,
    svg: Path | None,
    html: Path | None,
    output: Output,
) -> None:
    """Measure how much an endpoint bears: latency at rising loads, the knee, workers for a target.

    Requests leave when they are due, answered or not, and latency counts from then. This is real load: others
    are served worse meanwhile.

    Example: modelport bench flights --target 2000/s --p99 20ms
    """
    from modelport.sdk.example_files import read_example

    wanted = None if target is None else parse_rate(target)
    limit = None if p99 is None else parse_milliseconds(p99)
    given = None if data is None else read_example(data)
    with Client() as client:
        found = client.endpoint(endpoint).bench(
            given,
            rows=rows,
            target=wanted,
            p99_ms=limit,
            seconds=seconds,
            on_point=lambda point: say(
                f"{point.rate:8,.0f}/s  p50 {point.p50_ms:8.2f} ms  p99 {point.p99_ms:8.2f} ms"
            ),
        )
    words = tell(found)
    write_pictures(found, words, svg, html)
    if output == "json":
        print_json(document_of(found))
    else:
        print_table([row_of(point, found.knee) for point in found.points], empty="no load was tried")
        for sentence in words:
            say(sentence)
    if not found.knee.rate:
        raise Exit(CHECK)


def tell(found: BenchReport) -> list[str]:
    """Return what was found in plain words, the most important first."""
    knee, advice = found.knee, found.recommendation
    noun = "requests" if found.rows == 1 else f"requests of {found.rows} rows"
    workers = f"{found.workers} worker{'s' if found.workers > 1 else ''}"
    if not knee.rate:
        return [f"no load was carried: 99th percentiles above {knee.limit_ms:.3g} ms, or answers failed"]
    beyond = "" if knee.found else "at least "
    carried = f"{found.endpoint} carries {beyond}{knee.rate:,.0f} {noun} per second with {workers}"
    words = [f"{carried}: 99th percentile within {knee.limit_ms:.3g} ms"]
    if knee.generator_bound:
        words.append("beyond that this program was as busy as it can be: the endpoint may carry more")
    if advice is not None and found.target is not None:
        told = f"for {found.target:,.0f}/s: {advice.workers} worker{'s' if advice.workers > 1 else ''}"
        if advice.workers == 0:
            told = f"no number of workers helps: a lone request takes longer than {knee.limit_ms:.3g} ms"
        elif found.cores is None:
            told += f" of {advice.each:,.0f}/s each, filled to 80 %, each on a core of its own"
        elif advice.fits:
            told += f" of {advice.each:,.0f}/s each, filled to 80 %: modelport up --workers {advice.workers}"
        else:
            told += f" of {advice.each:,.0f}/s each, filled to 80 %; this machine has {found.cores} cores"
        words.append(told)
    return words


def row_of(point: LoadPoint, knee: Knee) -> dict[str, Any]:
    """Return a load as a line of the table."""
    from modelport.evaluation.capacity import carries

    return {
        "requests/s": f"{point.rate:,.0f}",
        "answered/s": f"{point.goodput:,.0f}",
        "p50 ms": f"{point.p50_ms:.2f}",
        "p99 ms": f"{point.p99_ms:.2f}",
        "refused": point.refused,
        "failed": point.failed,
        "carried": carries(point, knee.limit_ms),
    }


def document_of(found: BenchReport) -> dict[str, Any]:
    """Return the report as JSON holds it: what is not a number is null."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [plain(one) for one in value]
        return None if isinstance(value, float) and value != value else value  # noqa: PLR0124 - NaN

    document: dict[str, Any] = plain(asdict(found))
    return document


def write_pictures(found: BenchReport, words: list[str], svg: Path | None, html: Path | None) -> None:
    """Write what was asked for."""
    if svg is None and html is None:
        return
    from modelport.reports.load import draw_load, write_load_page

    title = f"{found.endpoint}: latency against load"
    if svg is not None:
        svg.write_text(draw_load(found.points, found.knee, title=title, standalone=True), "utf-8")
        say(f"picture: {svg}")
    if html is not None:
        html.write_text(write_load_page(found.points, found.knee, title=title, words=words), "utf-8")
        say(f"page: {html}")
