"""`quickstart`: the whole story on real data."""

from __future__ import annotations

import click

from modelport.cli.parameters import Command


@click.command(cls=Command)
@click.option("--keep", is_flag=True, help="Leave the platform running, with something to look at.")
@click.option("--fast", is_flag=True, help="The same steps on a sixth of the flights.")
def quickstart(*, keep: bool, fast: bool) -> None:
    """Tell the whole story on 336,776 real flights, on a private platform, in about a minute.

    Example: modelport quickstart --keep
    """
    from modelport.quickstart.story import tell

    tell(keep=keep, fast=fast)
