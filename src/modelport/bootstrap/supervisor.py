"""The supervisor: what it starts, and whom it tells."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from modelport.access.principals import check_bind
from modelport.bootstrap import program
from modelport.bootstrap.engine import local_engine
from modelport.bootstrap.home import make_folders, save_settings, write_json
from modelport.domain.clock import SystemClock
from modelport.runtime.trees.code_file import code_file
from modelport.settings import HomeLayout, Settings, read_settings
from modelport.supervisor.listeners import bind_listener, listener_url
from modelport.supervisor.lock import HomeLock
from modelport.supervisor.loop import Hooks, Supervisor
from modelport.supervisor.table import ProcessSpec, ProcessView, table_document

WORKERS_MAX = 4
GRACE_BEYOND_DRAIN_S = 5.0
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
"""A worker per core is faster than workers whose libraries each start a thread per core."""


def run(*, output: str, detached: bool, stop_on_eof: bool, **flags: Any) -> int:
    """Run a platform until it is asked to stop.

    Args:
        output: "json" prints one line with both URLs when it is ready, "table" prints them for people.
        detached: Leave the terminal alone once they are printed; later talk goes to a log.
        stop_on_eof: Stop when standard input ends.
        flags: Settings given on the command line; None: not given.

    Returns:
        The exit code.

    Raises:
        Conflict: A platform runs on this home, or a port is taken.
        Refused: The address needs tokens.
        ModelportError: A process does not start.
    """
    settings = read_settings(flags)
    check_bind(settings.host, tokens_configured=bool(settings.token_file))
    layout, clock = settings.layout, SystemClock()
    make_folders(layout)
    with (
        HomeLock(layout.lock, clock),
        bind_listener(settings.host, settings.port, setting="--port") as control,
        bind_listener(settings.host, settings.inference_port, setting="--inference-port") as inference,
    ):
        urls = {
            "control_url": listener_url(control),
            "inference_url": listener_url(inference),
            "pid": os.getpid(),
        }
        save_settings(settings)
        write_json(layout.endpoint_file, urls)
        try:
            Supervisor(
                process_table(settings, control, inference),
                clock=clock,
                hooks=make_hooks(layout, urls, output, detached=detached),
                grace_s=settings.drain_timeout_s + GRACE_BEYOND_DRAIN_S,
                stop_on_eof=sys.stdin.fileno() if stop_on_eof else None,
            ).run()
        finally:
            layout.endpoint_file.unlink(missing_ok=True)
            # Last, so that no control process is left that would start them again.
            local_engine(settings).interrupt(sorted(layout.jobs.iterdir()))
    return 0


def process_table(
    settings: Settings, control: socket.socket, inference: socket.socket
) -> Sequence[ProcessSpec]:
    """Return what runs: the inference workers, one control process, for a moment a compiler.

    Args:
        settings: All of them.
        control: Listens on the control port.
        inference: Listens on the inference port; all workers share it.
    """
    home, logs = str(settings.home), settings.layout.logs
    workers = [
        ProcessSpec(
            f"inference-{index}",
            program("inference", "--home", home, "--index", str(index), "--fd", str(inference.fileno())),
            fds=(inference.fileno(),),
            env=ONE_THREAD,
            log=logs / f"inference-{index}.log",
        )
        for index in range(worker_count(settings))
    ]
    return [
        *workers,
        ProcessSpec(
            "control",
            program("control", "--home", home, "--fd", str(control.fileno())),
            fds=(control.fileno(),),
            log=logs / "control.log",
        ),
        *_compiler(settings),
    ]


def _compiler(settings: Settings) -> Sequence[ProcessSpec]:
    """Return the process that compiles the kernel for trees, where it is wanted and not there yet."""
    if find_spec("llvmlite") is None or code_file(settings.kernels).exists():
        return ()
    return (
        ProcessSpec(
            "kernel",
            program("kernel", "--folder", str(settings.kernels)),
            log=settings.layout.logs / "kernel.log",
            once=True,
        ),
    )


def worker_count(settings: Settings) -> int:
    """Return how many inference workers these settings mean."""
    return settings.workers or min(os.cpu_count() or 1, WORKERS_MAX)


def make_hooks(layout: HomeLayout, urls: dict[str, Any], output: str, *, detached: bool) -> Hooks:
    """Return whom the supervisor tells: the table's file, standard output, the log.

    Args:
        layout: Where the files lie.
        urls: What is printed when everything is ready.
        output: "json" or "table".
        detached: Leave the terminal once they are printed.
    """

    def publish(views: list[ProcessView]) -> None:
        try:
            write_json(layout.processes_file, table_document(os.getpid(), views))
        except OSError as error:  # a full disk costs the table, never the processes in it
            say(f"cannot write {layout.processes_file}: {error}")

    def ready() -> None:
        if output == "json":
            print(json.dumps(urls), flush=True)
        else:
            print(f"control    {urls['control_url']}\ninference  {urls['inference_url']}", flush=True)
        if detached:
            _leave_terminal(layout.logs / "supervisor.log")

    def say(line: str) -> None:
        with contextlib.suppress(OSError):  # the terminal may be gone
            print(f"modelport: {line}", file=sys.stderr, flush=True)

    return Hooks(publish, ready, say)


def _leave_terminal(log: Path) -> None:
    with log.open("ab") as file, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
