"""Arguments and options that several commands have, and the help that Click does not give arguments.

`click.argument(..., cls=Argument)` takes a `help`, and `click.command(cls=Command)` shows it. Click does so
itself from 8.5 on; older releases, which other packages may hold back, do not.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import click

Output = Literal["table", "json"]
PATH = click.Path(path_type=Path)
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class Argument(click.Argument):
    """An argument that says what it is."""

    def __init__(self, param_decls: Sequence[str], *, help: str, **settings: Any) -> None:  # noqa: A002 - as in click.option
        super().__init__(param_decls, **settings)
        self.help = help


class Command(click.Command):
    """A command that lists its arguments in its help, and tells its whole first paragraph in a list."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write usage, text, arguments and options."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        arguments = [
            (parameter.human_readable_name, parameter.help or "")
            for parameter in self.params
            if isinstance(parameter, Argument)
        ]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl(arguments)
        self.format_options(ctx, formatter)

    def get_short_help_str(self, limit: int = 0) -> str:  # noqa: ARG002 - Click's; a cut sentence says nothing
        """Return the first paragraph of the help."""
        return inspect.cleandoc(self.help or "").partition("\n\n")[0].replace("\n", " ")


version_argument = click.argument(
    "reference", cls=Argument, metavar="NAME:VERSION", help="A version, or NAME@ALIAS."
)
endpoint_argument = click.argument("endpoint", cls=Argument, help="The endpoint's name.")
output_option = click.option(
    "--output", "-o", type=click.Choice(get_args(Output)), default="table", help="How to print data."
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Tell what would happen; change nothing.")


def timeout_option(seconds: float) -> Callable[[Decorated], Decorated]:
    """Return `--timeout` with its default."""
    return click.option("--timeout", type=float, default=seconds, help="Seconds to wait.")
