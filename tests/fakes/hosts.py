"""The host of custom code as a process: on an inherited socket, told what to run by an inherited file."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from modelport.engines.replicas import HOST
from modelport.wire import sockets

TIMEOUT_S = 30.0


class OverSocket(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(str(self.path))


class Host:
    """A host that runs.

    Args:
        folder: Where its socket and its log lie; a short path.
        told: What it is to run, see `handlers/host.py`.
    """

    def __init__(self, folder: Path, **told: Any) -> None:
        self.path = folder / "socket"
        self.log = folder / "log"
        self.told = {"start_timeout_s": 30.0, "invocation_timeout_s": 30.0, **told}
        self.ready = False

    def __enter__(self) -> Self:
        ready, word = os.pipe()
        with (
            sockets.bind(self.path) as listener,
            tempfile.TemporaryFile() as file,
            self.log.open("wb") as log,
        ):
            told = {**self.told, "socket_fd": listener.fileno(), "ready_fd": word}
            file.write(json.dumps(told).encode())
            file.flush()
            self.process = subprocess.Popen(
                [sys.executable, "-I", str(HOST), str(file.fileno())],
                pass_fds=[file.fileno(), listener.fileno(), word],
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "LEAKED": "x"},
            )
        os.close(word)
        self.ready = os.read(ready, 1) == b"1"
        os.close(ready)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()

    def ended(self) -> int:
        """Return its exit code, once it has ended."""
        return self.process.wait(TIMEOUT_S)

    def said(self) -> str:
        """Return its log."""
        return self.log.read_text(errors="replace")

    def ask(self, body: bytes = b"x", path: str = "/invocations", **headers: str) -> tuple[int, str, bytes]:
        """Ask on a connection of its own; return status, media type and body."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(OverSocket(self.path)) as connection:
            connection.request("POST", path, body, fields)
            with connection.getresponse() as reply:
                return reply.status, reply.headers.get("content-type", ""), reply.read()
