"""`batch`, `monitor`, `jobs`, `logs`, `stop`: finite work."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal, get_args

import click
from click.exceptions import Exit

from modelport.cli.exits import FAILED, report
from modelport.cli.output import moment, print_facts, print_json, print_table, say
from modelport.cli.parameters import (
    PATH,
    Argument,
    Command,
    Output,
    endpoint_argument,
    output_option,
    timeout_option,
    version_argument,
)
from modelport.domain.errors import Conflict, NotFound
from modelport.sdk.client import Client
from modelport.sdk.jobs import Job
from modelport.wire.jobs import Progress

FileFormat = Literal["parquet", "csv", "jsonl"]
QUIET_LINE_S = 5.0
"""Seconds between two progress lines where they cannot be written over each other."""


job_argument = click.argument("job", cls=Argument, help="The job's name.")


@click.command(cls=Command)
@version_argument
@click.argument("source", cls=Argument, metavar="INPUT", help="File, folder or fsspec URL.")
@click.argument("target", cls=Argument, metavar="OUTPUT", help="File, folder or fsspec URL.")
@click.option("--join", is_flag=True, help="Write the input's columns before the predictions.")
@click.option(
    "--failed-rows-max", type=click.IntRange(min=0), default=0, help="Rows that may fail before the job does."
)
@click.option(
    "--input-format",
    type=click.Choice(get_args(FileFormat)),
    help="Of the input; told by the extension otherwise.",
)
@click.option(
    "--output-format",
    type=click.Choice(get_args(FileFormat)),
    help="Of the output; told by its extension, else as the input.",
)
@click.option("--name", help="Of the job; a fresh one otherwise.")
@click.option("--no-wait", is_flag=True, help="Return when the job was accepted.")
@click.option("--timeout", type=float, help="Seconds to wait; for ever otherwise.")
@output_option
def batch(  # noqa: PLR0913 - options of the command line
    *,
    reference: str,
    source: str,
    target: str,
    join: bool,
    failed_rows_max: int,
    input_format: FileFormat | None,
    output_format: FileFormat | None,
    name: str | None,
    no_wait: bool,
    timeout: float | None,
    output: Output,
) -> None:
    """Score Parquet, CSV or JSON Lines files as a job that survives restarts.

    Ctrl-C ends the waiting, not the job.

    Example: modelport batch flights:3 april.parquet scored.parquet
    """
    with Client() as client:
        job = client.batch(
            reference,
            source,
            target,
            join=join,
            failed_rows_max=failed_rows_max,
            input_format=input_format,
            output_format=output_format,
            name=name,
        )
        say(f"job {job.name}")
        if not no_wait:
            _wait(job, timeout)
    if output == "json":
        print_json(job.document)
    elif no_wait:
        click.echo(job.name)
    else:
        print_facts({"job": job.name, "status": job.status, **job.detail})


@click.command(cls=Command)
@endpoint_argument
@click.option("--since", metavar="TIME", help="Start, for example 2013-07-01T00:00:00Z.")
@click.option("--until", metavar="TIME", help="End; now otherwise.")
@click.option("--html", type=PATH, help="Save the report with plots here, too.")
@timeout_option(600.0)
@output_option
def monitor(
    endpoint: str, since: str | None, until: str | None, html: Path | None, timeout: float, output: Output
) -> None:
    """Compare captured traffic with the training data, and predictions with labels.

    Example: modelport monitor flights --since 2013-07-01T00:00:00Z
    """
    with Client() as client:
        try:
            job = client.monitor(endpoint, since=since, until=until, timeout_s=0)
        except Conflict as error:  # it captures nothing: a failure with a remedy, no conflict of names
            report(error)
            raise Exit(FAILED) from error
        say(f"job {job.name}")
        _wait(job, timeout)
        if html is not None and job.report:
            html.write_bytes(job.read_report())
        text = job.text if output == "table" else ""
    if output == "json":
        print_json(job.document)
        return
    click.echo(text)
    if job.report:
        say(f"report with plots: {html or job.report}")


@click.command(cls=Command)
@click.argument("name", cls=Argument, metavar="[JOB]", required=False, help="A job to describe.")
@output_option
def jobs(name: str | None, output: Output) -> None:
    """List the jobs, or describe one.

    Example: modelport jobs
    """
    with Client() as client:
        if name is not None:
            job = client.job(name)
            if output == "json":
                print_json(job.document)
            else:
                print_facts(_facts(job))
            return
        found = client.jobs()
    if output == "json":
        print_json([job.document for job in found])
        return
    rows = [
        {
            "name": job.name,
            "kind": job.kind,
            "status": job.status,
            "created": moment(job.document.get("created_at")),
        }
        for job in sorted(found, key=lambda job: str(job.document.get("created_at")))
    ]
    print_table(rows, empty="no jobs yet; begin with `modelport batch`")


@click.command(cls=Command)
@click.argument("name", cls=Argument, help="The job's name, or that of an endpoint with custom code.")
def logs(name: str) -> None:
    """Print the end of a job's log, or of the logs of an endpoint's replicas of custom code.

    Example: modelport logs flights-3-20130801-120000-ab12
    """
    with Client() as client:
        try:
            told = client.job(name).log()
        except NotFound as missing:
            try:
                told = client.endpoint(name).log()
            except NotFound:
                raise missing from None
    click.echo(told, nl=False)


@click.command(cls=Command)
@job_argument
def stop(job: str) -> None:
    """Ask a job to stop. What it has finished stays.

    Example: modelport stop flights-3-20130801-120000-ab12
    """
    with Client() as client:
        found = client.job(job).stop()
    say(f"job {found} is {found.status}")


def tell_progress(progress: Progress) -> str:
    """Return how far a job is, in a line."""
    parts = []
    if progress.rows_total:
        share = 100 * progress.rows_done / progress.rows_total
        parts.append(f"{progress.rows_done:,} of {progress.rows_total:,} rows ({share:.0f} %)")
    elif progress.rows_done:
        parts.append(f"{progress.rows_done:,} rows")
    if progress.rows_per_second:
        parts.append(f"{progress.rows_per_second:,.0f} rows/s")
    if progress.seconds_left:
        parts.append(f"{progress.seconds_left:.0f} s left")
    if progress.rows_failed:
        parts.append(f"{progress.rows_failed:,} rows failed")
    return " · ".join(parts) or progress.phase or "starting"


def _wait(job: Job, timeout_s: float | None) -> None:
    """Wait for a job, with its progress on stderr."""
    clock = job.client.clock
    live = sys.stderr.isatty()
    last = ""
    told_at = clock.monotonic()

    def tell(progress: Progress) -> None:
        nonlocal last, told_at
        line = tell_progress(progress)
        if line == last:
            return
        if live:
            click.echo(f"\r{line.ljust(len(last))}", nl=False, err=True)
        elif clock.monotonic() - told_at >= QUIET_LINE_S:
            told_at = clock.monotonic()
            say(line)
        else:
            return
        last = line

    try:
        job.wait(timeout_s=timeout_s, on_progress=tell)
    except KeyboardInterrupt:
        say(f"\nthe job goes on; stop it with: modelport stop {job.name}")
        raise
    finally:
        if live and last:
            say("")


def _facts(job: Job) -> dict[str, Any]:
    spec, status = job.spec, job.status_document
    source = spec.get("transform_input", {}).get("data_source", {}).get("s3_data_source", {})
    return {
        "job": job.name,
        "kind": job.kind,
        "status": job.status,
        "reason": job.failure_reason,
        "model": spec.get("model_name"),
        "input": source.get("s3_uri"),
        "output": spec.get("transform_output", {}).get("s3_output_path"),
        "progress": tell_progress(job.progress()),
        "result": job.message,
        "report": job.report,
        "created": moment(job.document.get("created_at")),
        "ended": moment(status.get("transform_end_time") or status.get("processing_end_time")),
    }
