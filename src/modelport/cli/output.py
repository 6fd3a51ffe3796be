"""How data is printed: a table for people, JSON for programs; always on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from modelport.cli.exits import is_colorful


def say(text: str) -> None:
    """Talk to the person, on stderr."""
    click.echo(text, err=True)


def print_json(document: Any, *, indent: int | None = 2) -> None:
    """Print a document as JSON; `indent` None puts it on one line."""
    click.echo(json.dumps(document, indent=indent, ensure_ascii=False))


def print_table(rows: Sequence[Mapping[str, Any]], *, empty: str) -> None:
    """Print rows as aligned columns under their names.

    Args:
        rows: All with the same keys: the columns' names.
        empty: Said, on stderr, when there are no rows.
    """
    if not rows:
        say(empty)
        return
    names = list(rows[0])
    cells = [[_text(row[name]) for name in names] for row in rows]
    widths = [max(len(name), *(len(row[place]) for row in cells)) for place, name in enumerate(names)]
    bold, plain = ("\x1b[1m", "\x1b[0m") if is_colorful(sys.stdout) else ("", "")
    titles = [name if "(" in name else name.upper() for name in names]  # labels keep their case
    head = "  ".join(title.ljust(width) for title, width in zip(titles, widths, strict=True))
    click.echo(f"{bold}{head.rstrip()}{plain}")
    for row in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_facts(facts: Mapping[str, Any]) -> None:
    """Print one thing as a list of names and values; what is None or empty is left out."""
    shown = {name: _text(value) for name, value in facts.items() if value not in (None, "", {}, [], ())}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        lines = value.splitlines() or [""]
        click.echo(f"{name.ljust(width)}  {lines[0]}")
        for line in lines[1:]:
            click.echo(f"{' ' * width}  {line}")


def moment(text: str | None) -> str:
    """Return an RFC 3339 time as people read it: to the second, in UTC."""
    return "" if not text else text[:19].replace("T", " ") + "Z"


def shares(weights: Mapping[str, float]) -> str:
    """Return relative weights as the shares they mean: `v1 90 %, v2 10 %`."""
    total = sum(weights.values())
    return ", ".join(
        f"{name} {100 * weight / total:.3g} %" if total else f"{name} 0 %" for name, weight in weights.items()
    )


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return "\n".join(_text(item) for item in value)
    return str(value)
