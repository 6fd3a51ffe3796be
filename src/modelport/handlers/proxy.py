"""A `serve` program: started as in its container, waited for until it answers `/ping`, then asked.

Source: SageMaker, "Use your own inference code with hosting services": the program is called with `serve`,
listens on port 8080 (or `SAGEMAKER_BIND_TO_PORT`), and answers `GET /ping` and `POST /invocations`.
"""

from __future__ import annotations

import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from .server import Reply, Request

PORT = "8080"
PR_SET_PDEATHSIG = 1
POLL_S = 0.05
PASSED_BACK = ("x-amzn-sagemaker-custom-attributes",)


def start_program(
    command: list[str], model_dir: Path, environment: dict[str, str]
) -> Callable[[Request], Reply]:
    """Start a program and return what asks it, once it answers.

    When it ends, so does this process: another replica takes its place.

    Args:
        command: Program and arguments.
        model_dir: The folder of its model, which it expects at /opt/ml/model.
        environment: Its variables.

    Raises:
        OSError: It cannot be started.
    """
    port = environment.setdefault("SAGEMAKER_BIND_TO_PORT", _free_port())
    environment.setdefault("MODEL_PATH", str(model_dir))
    environment.setdefault("SM_MODEL_DIR", str(model_dir))
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - there is one thread
    )
    threading.Thread(target=_end_with, args=(process, command[0]), daemon=True).start()
    while _ping(int(port)) != 200:  # whoever waits for this process has set an alarm
        time.sleep(POLL_S)
    return _Program(int(port))


def _die_with_parent() -> None:
    """Let the kernel end the program when this process is: it may be killed where no sandbox sees to that."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class _Program:
    """Asks a program on a port of this machine.

    Args:
        port: Where it listens.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port)

    def __call__(self, request: Request) -> Reply:
        """Pass a request on; a kept connection that has gone is opened anew."""
        kept = self._connection.sock is not None
        try:
            return self._ask(request)
        except (ConnectionError, http.client.RemoteDisconnected, http.client.CannotSendRequest) as error:
            self._connection.close()
            if kept and not isinstance(error, ConnectionResetError):
                return self._ask(request)
            return Reply(f"the program does not answer: {error}".encode(), "text/plain", 502)

    def _ask(self, request: Request) -> Reply:
        passed = {
            name: value
            for name, value in request.headers.items()
            if name not in ("host", "content-length", "connection")
        }
        self._connection.request(request.method, request.path, request.body, passed)
        found = self._connection.getresponse()
        body = found.read()
        back = {name: value for name, value in found.getheaders() if name.lower() in PASSED_BACK}
        return Reply(body, found.headers.get("content-type", "application/octet-stream"), found.status, back)


def _ping(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _free_port() -> str:
    """Return the port of a container, or another where this machine's ports are shared and it is taken."""
    for wanted in (int(PORT), 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", wanted))
                return str(probe.getsockname()[1])
            except OSError:
                continue
    return PORT


def _end_with(process: subprocess.Popen[bytes], program: str) -> None:
    code = process.wait()
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    print(f"error: the program {program} ended with {how}", file=sys.stderr, flush=True)
    os._exit(1)
