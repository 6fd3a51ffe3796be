"""`mp.start()`: a private platform for a notebook or a test."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from modelport.domain.errors import ModelportError, Unavailable
from modelport.sdk.client import Client
from modelport.sdk.default import using

STOP_TIMEOUT_S = 60.0


@contextlib.contextmanager
def start(*, home: str | os.PathLike[str] | None = None, workers: int | None = None) -> Iterator[Client]:
    """Run a private platform on free ports for the length of a block.

    Inside the block the functions of `import modelport as mp` speak to it. It ends with the block, and
    also when this process dies.

    Args:
        home: Its folder, kept afterwards; None makes one that is removed with the block.
        workers: Inference workers, at least 1; None: as `modelport up`.

    Yields:
        A client of it.

    Raises:
        Unavailable: It did not start; the message tells why.
    """
    with contextlib.ExitStack() as stack:
        folder = home or stack.enter_context(tempfile.TemporaryDirectory(prefix="modelport-"))
        urls = stack.enter_context(_running(Path(folder), workers))
        client = stack.enter_context(Client(urls["control_url"], inference_url=urls["inference_url"]))
        stack.enter_context(using(client))
        yield client


@contextlib.contextmanager
def _running(home: Path, workers: int | None) -> Iterator[dict[str, str]]:
    """Run `modelport up` as a child whose standard input ends with us, and yield its URLs."""
    command = [sys.executable, "-m", "modelport.bootstrap", "supervisor", "--output", "json", "--stop-on-eof"]
    command += ["--home", str(home), "--port", "0", "--inference-port", "0"]
    if workers is not None:
        command += ["--workers", str(workers)]
    with (
        tempfile.TemporaryFile("w+") as talk,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=talk,
            text=True,
            start_new_session=True,  # so that Ctrl-C in a notebook interrupts the cell, not the platform
        ) as process,
    ):
        try:
            assert process.stdout is not None  # noqa: S101 - PIPE was asked for
            line = process.stdout.readline()
            if not line:
                process.wait(STOP_TIMEOUT_S)
                talk.seek(0)
                raise Unavailable(f"the private platform did not start: {talk.read().strip()}")
            yield json.loads(line)
        finally:
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise ModelportError(
                    f"the private platform did not stop within {STOP_TIMEOUT_S:g} s and was killed"
                ) from None
