"""A replica: reads what it is to run, prepares it, says that it is ready, and answers.

What to run comes as JSON in an inherited file that no other process can open, since it may hold secrets. The
socket is inherited bound but not listening: whoever connects before the model is loaded is refused at once.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .contract import describe, load_handler
from .server import Reply, Request, serve

SHIMS = Path(__file__).resolve().parent / "shims"
BACKLOG = 128
CODE_FOLDER = "code"
DEFAULT_PROGRAM = "inference.py"


class Config:
    """What a replica is to run.

    Args:
        document: As it was left.

    Attributes:
        socket_fd: Bound Unix socket.
        ready_fd: Where a byte says that it is ready; None: nobody waits.
        model: Folder of the unpacked model.
        source: Folder of the code; None: `code` in the model's folder.
        family: Framework whose defaults hold: sklearn, xgboost, pytorch.
        serve: Program and arguments that serve by themselves; None: handler functions.
        environment: Variables of the container.
        start_timeout_s: Seconds it may take to be ready.
        invocation_timeout_s: Seconds one request may take; then this process ends, and a new one starts.
        note: What to add to the reason when it cannot start.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.socket_fd: int = document["socket_fd"]
        self.ready_fd: int | None = document.get("ready_fd")
        self.model = Path(document["model"])
        self.source = Path(document["source"]) if document.get("source") else None
        self.family: str = document.get("family", "")
        self.serve: list[str] | None = document.get("serve")
        self.environment: dict[str, str] = document.get("environment", {})
        self.start_timeout_s: float = document["start_timeout_s"]
        self.invocation_timeout_s: float = document["invocation_timeout_s"]
        self.note: str = document.get("note", "")


def run(config_fd: int) -> int:
    """Be a replica until it is ended; return the exit code where it cannot begin.

    Args:
        config_fd: An inherited file with the configuration as JSON.
    """
    with os.fdopen(config_fd, "rb") as file:
        file.seek(0)
        config = Config(json.loads(file.read()))
    os.environ.clear()
    os.environ.update(config.environment)
    faulthandler.enable()
    faulthandler.register(signal.SIGALRM, all_threads=True, chain=True)
    signal.setitimer(signal.ITIMER_REAL, config.start_timeout_s)
    try:
        answer = _prepare(config)
    except BaseException as error:  # noqa: BLE001 - whatever the user's code raises, this is where it is told
        traceback.print_exc()
        print(f"error: {describe(error)}{config.note}", file=sys.stderr, flush=True)
        return 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    with socket.socket(fileno=config.socket_fd) as listener:
        listener.listen(BACKLOG)
        serve(listener, answer, timeout_s=config.invocation_timeout_s, on_ready=lambda: _tell_ready(config))
    return 0


def _prepare(config: Config) -> Callable[[Request], Reply]:
    if config.serve is not None:
        from .proxy import start_program

        return start_program(config.serve, config.model, dict(os.environ))
    folder = config.source if config.source is not None else config.model / CODE_FOLDER
    sys.path.insert(0, str(folder))
    sys.path.append(str(SHIMS))
    return load_handler(
        folder / os.environ.get("SAGEMAKER_PROGRAM", DEFAULT_PROGRAM), config.model, config.family
    )


def _tell_ready(config: Config) -> None:
    if config.ready_fd is not None:
        os.write(config.ready_fd, b"1")
        os.close(config.ready_fd)
