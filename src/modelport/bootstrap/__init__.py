"""Assembles each process: the only room that names concrete classes.

    python -m modelport.bootstrap supervisor [--home H] [--host A] [--port N] [--inference-port N] …
    python -m modelport.bootstrap control    --home H --fd N
    python -m modelport.bootstrap inference  --home H --index I --fd N
    python -m modelport.bootstrap inference_grpc --home H --address HOST:PORT
    python -m modelport.bootstrap job        FOLDER [--lock-fd N]
    python -m modelport.bootstrap canary     --home H DIGEST
    python -m modelport.bootstrap archive    --home H DIGEST
    python -m modelport.bootstrap replica    --home H NAME
    python -m modelport.bootstrap kernel     --folder F

Belongs here: one file for each kind of process, which imports what that kind needs and nothing else: the
supervisor no model library, a canary no database. Does not: a decision, or anything another room could do.
Read `supervisor.py` first. It merges the settings once and leaves them in `run/settings.json`, where the
others read them (`home.py`), so that no secret stands in a command line.
"""

from __future__ import annotations

import sys


def program(kind: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that starts a process of this kind."""
    return (sys.executable, "-m", "modelport.bootstrap", kind, *arguments)
