"""Which file holds which command. Only the file of the command that was typed is imported."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click
from click.exceptions import Exit

from modelport import __version__
from modelport.cli.exits import INTERRUPTED, OK, USAGE, exit_code, report
from modelport.domain.errors import ModelportError

# httpx brings a command line of its own, with Rich and Pygments: 40 ms of every command, and never used here.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None: "cannot be imported"

MODULES: dict[str, tuple[str, ...]] = {
    "modelport.cli.platform": ("up", "down", "status", "open", "worker"),
    "modelport.cli.upgrade": ("upgrade",),
    "modelport.cli.registry": (
        "register",
        "verify",
        "models",
        "approve",
        "reject",
        "alias",
        "delete",
    ),
    "modelport.cli.endpoints": (
        "deploy",
        "endpoints",
        "traffic",
        "promote",
        "rollback",
        "undeploy",
    ),
    "modelport.cli.inference": ("predict", "feedback"),
    "modelport.cli.bench": ("bench",),
    "modelport.cli.jobs": ("batch", "monitor", "jobs", "logs", "stop"),
    "modelport.cli.history": ("events",),
    "modelport.cli.aws": ("sdk-config",),
    "modelport.cli.quickstart": ("quickstart",),
}
"""Module to its commands, in the order of the help."""
MODULE_OF = {name: module for module, names in MODULES.items() for name in names}
HELP_WIDTH_MAX = 100
"""Columns of the help on a wide terminal; Click's own 80 would break most examples."""


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Args:
        arguments: What was typed after `modelport`.

    Returns:
        The exit code.
    """
    try:
        # Not Click's `main`: there Ctrl-C is "Aborted!" and 1, and a closed pipe a failure.
        with root.make_context("modelport", list(arguments)) as context:
            root.invoke(context)
    except Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ModelportError as error:
        report(error)
        return exit_code(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `modelport events | head` is no failure
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return OK


def load(name: str) -> click.Command:
    """Import the file of a command and return the command."""
    declared = vars(importlib.import_module(MODULE_OF[name])).values()
    return next(each for each in declared if isinstance(each, click.Command) and each.name == name)


class Commands(click.Group):
    """All commands, in the order of `MODULES`; each is loaded when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - Click's signature
        """Return the commands' names."""
        return list(MODULE_OF)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - same
        """Return a command; None where there is none of that name."""
        return load(cmd_name) if cmd_name in MODULE_OF else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that was typed and the rest; suggest one where it is misspelled."""
        if args[0] not in MODULE_OF:
            import difflib

            similar = ", ".join(map(repr, difflib.get_close_matches(args[0], MODULE_OF)))
            ctx.fail(f"No such command {args[0]!r}." + (f" Did you mean {similar}?" if similar else ""))
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"max_content_width": HELP_WIDTH_MAX, "show_default": True},
)
@click.version_option(__version__, message="modelport %(version)s", help="Print the version.")
@click.pass_context
def root(context: click.Context) -> None:
    """Take a trained model to production and keep it healthy there."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        context.exit(USAGE)
