"""`quickstart`: the whole story on real data."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def quickstart(
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the platform running, with something to look at.")
    ] = False,
    fast: Annotated[bool, typer.Option("--fast", help="The same steps on a sixth of the flights.")] = False,
) -> None:
    """Tell the whole story on 336,776 real flights, on a private platform, in about a minute.

    Example: modelport quickstart --keep
    """
    from modelport.quickstart.story import tell

    tell(keep=keep, fast=fast)
