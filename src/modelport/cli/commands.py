"""Which file holds which command. Only the file of the command that was typed is imported."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from modelport import __version__
from modelport.cli.exits import INTERRUPTED, exit_code, report
from modelport.domain.errors import ModelportError

# httpx brings a command line of its own, with Rich and Pygments: 40 ms of every command, and never used here.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None: "cannot be imported"

MODULES: dict[str, tuple[str, ...]] = {
    "modelport.cli.platform": ("up", "down", "status", "open", "worker"),
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
    "modelport.cli.jobs": ("batch", "monitor", "jobs", "logs", "stop"),
    "modelport.cli.history": ("events",),
    "modelport.cli.quickstart": ("quickstart",),
}
"""Module to its commands, in the order of the help. Each module has an `app` that declares them."""


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Args:
        arguments: What was typed after `modelport`.

    Returns:
        The exit code.
    """
    try:
        build(arguments)(args=list(arguments), prog_name="modelport")
    except ModelportError as error:
        report(error)
        return exit_code(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `modelport events | head` is no failure
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    return 0


def build(arguments: Sequence[str] = ()) -> typer.Typer:
    """Return the application; with all commands unless the first argument names one of them."""
    root = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        help="Take a trained model to production and keep it healthy there.",
    )
    root.callback()(_root)
    wanted = arguments[0] if arguments else ""
    chosen = [module for module, names in MODULES.items() if wanted in names] or list(MODULES)
    for module in chosen:
        root.add_typer(importlib.import_module(module).app)
    return root


def _print_version(asked: bool) -> None:  # noqa: FBT001 - Typer's callback
    if asked:
        typer.echo(f"modelport {__version__}")
        raise typer.Exit


def _root(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
