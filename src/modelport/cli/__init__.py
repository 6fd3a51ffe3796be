"""The command line: thin words around the SDK.

Belongs here: options, output, exit codes, help. Does not: a rule of the business, HTTP, statistics.
Data goes to stdout, talk and progress to stderr. Read `commands.py` first: it knows which file holds which
command, and loads no other.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run one command and exit with its code (see `exits.py`)."""
    from modelport.cli.commands import run

    sys.exit(run(sys.argv[1:]))
