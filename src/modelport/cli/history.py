"""`events`: what happened."""

from __future__ import annotations

import click

from modelport.cli.output import moment, print_json, print_table
from modelport.cli.parameters import Command, Output, output_option
from modelport.sdk.client import Client


@click.command(cls=Command)
@click.option("--name", help="Only of this resource.")
@click.option("--kind", help="Only of this kind, for example Endpoint.")
@click.option("--limit", type=click.IntRange(min=1), default=50, help="The newest so many.")
@output_option
def events(name: str | None, kind: str | None, limit: int, output: Output) -> None:
    """List what happened, who asked and why; the newest last.

    Example: modelport events --name flights --limit 20
    """
    with Client() as client:
        found = client.events(kind=kind, name=name)[-limit:]
    if output == "json":
        print_json(found)
        return
    rows = [
        {
            "at": moment(event["at"]),
            "who": event["principal"],
            "what": event["verb"],
            "kind": event["kind"],
            "name": event["name"],
            "why": event.get("message", ""),
        }
        for event in found
    ]
    print_table(rows, empty="nothing happened yet")
