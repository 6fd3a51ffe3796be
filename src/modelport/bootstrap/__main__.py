"""The command line of the platform's own processes; people use `modelport`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from modelport.domain.errors import Conflict, InvalidInput, ModelportError, NotFound, Refused

EXIT_CODES: dict[type[ModelportError], int] = {InvalidInput: 2, Refused: 4, NotFound: 5, Conflict: 6}
"""What a start that failed exits with; the codes of the command line. Anything else: 1."""


def main(argv: Sequence[str] | None = None) -> int:
    """Be one process.

    Args:
        argv: Kind and arguments; None reads the command line.

    Returns:
        The exit code.
    """
    arguments = vars(_parser().parse_args(argv))
    kind = arguments.pop("kind")
    try:
        return int(importlib.import_module(f"modelport.bootstrap.{kind}").run(**arguments))
    except ModelportError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return next((code for family, code in EXIT_CODES.items() if isinstance(error, family)), 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m modelport.bootstrap", allow_abbrev=False)
    kinds = parser.add_subparsers(dest="kind", required=True)

    supervisor = kinds.add_parser("supervisor")
    supervisor.add_argument("--home", type=Path)
    supervisor.add_argument("--host")
    supervisor.add_argument("--port", type=int)
    supervisor.add_argument("--inference-port", type=int)
    supervisor.add_argument("--grpc-port", type=int)
    supervisor.add_argument("--workers", type=int)
    supervisor.add_argument("--output", choices=("table", "json"), default="table")
    supervisor.add_argument("--detached", action="store_true")
    supervisor.add_argument("--stop-on-eof", action="store_true")
    supervisor.add_argument("--takeover", type=Path)
    supervisor.add_argument("--check", action="store_true")

    control = kinds.add_parser("control")
    control.add_argument("--home", type=Path, required=True)
    control.add_argument("--fd", type=int, required=True)

    inference = kinds.add_parser("inference")
    inference.add_argument("--home", type=Path, required=True)
    inference.add_argument("--index", type=int, required=True)
    inference.add_argument("--fd", type=int, nargs="+", required=True)
    inference.add_argument("--handover")

    inference_grpc = kinds.add_parser("inference_grpc")
    inference_grpc.add_argument("--home", type=Path, required=True)
    inference_grpc.add_argument("--address", required=True)

    job = kinds.add_parser("job")
    job.add_argument("folder", type=Path)
    job.add_argument("--lock-fd", type=int)

    canary = kinds.add_parser("canary")
    canary.add_argument("--home", type=Path, required=True)
    canary.add_argument("digest")

    archive = kinds.add_parser("archive")
    archive.add_argument("--home", type=Path, required=True)
    archive.add_argument("digest")
    archive.add_argument("--code", default="asked")

    replica = kinds.add_parser("replica")
    replica.add_argument("--home", type=Path, required=True)
    replica.add_argument("name")

    kernel = kinds.add_parser("kernel")
    kernel.add_argument("--folder", type=Path, required=True)
    return parser


def _leave(code: int) -> NoReturn:
    """End this process at once.

    What a process of the platform did is durable or told when its `run` returns. Taking modules and
    native libraries apart frees nothing that the kernel would not, and somebody waits for the 0.1 s it takes.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    _leave(main())
