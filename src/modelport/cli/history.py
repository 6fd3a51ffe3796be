"""`events`: what happened."""

from __future__ import annotations

from typing import Annotated

import typer

from modelport.cli.output import AsOutput, moment, print_json, print_table
from modelport.sdk.client import Client

app = typer.Typer()


@app.command()
def events(
    name: Annotated[str | None, typer.Option(help="Only of this resource.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only of this kind, for example Endpoint.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 50,
    output: AsOutput = "table",
) -> None:
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
