"""The supervisor: what it starts, and whom it tells."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from modelport import __version__
from modelport.access.principals import check_bind, check_files
from modelport.bootstrap import program
from modelport.bootstrap.engine import local_engine
from modelport.bootstrap.home import make_folders, save_settings, write_json
from modelport.bootstrap.inference_grpc import check_installed
from modelport.bootstrap.takeover import Takeover, command_line, make_succession, read_takeover
from modelport.domain.clock import Clock, SystemClock
from modelport.engines.replicas import check_wanted
from modelport.runtime.compiled.code_file import missing_kernels
from modelport.settings import HomeLayout, Settings, read_settings
from modelport.supervisor.inboxes import Inboxes
from modelport.supervisor.listeners import address_of, bind_listener, bind_local, hold_port, listener_url
from modelport.supervisor.lock import HomeLock
from modelport.supervisor.loop import Hooks, Supervisor
from modelport.supervisor.table import ProcessSpec, ProcessView, table_document
from modelport.supervisor.upgrade import Upgrade
from modelport.supervisor.upgrading import GUESTS_SIGNAL, UPGRADE_SIGNAL
from modelport.wire.replicas import PREFIX, read_replicas

GRACE_BEYOND_DRAIN_S = 5.0
KINDS = ("inference", "inference_grpc", "control", "job", "canary", "archive", "replica")
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
"""A worker per core is faster than workers whose libraries each start a thread per core."""


def run(
    *,
    output: str,
    detached: bool,
    stop_on_eof: bool,
    takeover: Path | None = None,
    check: bool = False,
    **flags: Any,
) -> int:
    """Run a platform until it is asked to stop.

    Args:
        output: "json" prints one line with both URLs when it is ready, "table" prints them for people.
        detached: Leave the terminal alone once they are printed; later talk goes to a log.
        stop_on_eof: Stop when standard input ends.
        takeover: What another program left to this one in the same process; None: start afresh.
        check: Only find out whether it would start and take over.
        flags: Settings given on the command line; None: not given.

    Returns:
        The exit code.

    Raises:
        Conflict: A platform runs on this home, or a port is taken.
        InvalidInput: A setting is wrong, or what was left cannot be read.
        Refused: The address needs tokens.
        ModelportError: A process does not start.
    """
    # Until somebody listens to them.
    signal.pthread_sigmask(signal.SIG_BLOCK, (UPGRADE_SIGNAL, GUESTS_SIGNAL))
    settings = read_settings(flags)
    check_bind(settings.host, tokens_configured=bool(settings.token_file))
    check_wanted(settings.replica_isolation)
    check_files(tokens_configured=bool(settings.token_file), keys_configured=bool(settings.key_file))
    if settings.grpc_port >= 0:
        check_installed()
    left = None if takeover is None else read_takeover(takeover)
    if check:
        return _import_everything()
    layout, clock = settings.layout, SystemClock()
    make_folders(layout)
    with ExitStack() as stack:
        held = (
            _start_holding(settings, clock, stack) if left is None else _go_on_holding(settings, left, stack)
        )
        urls = {
            "control_url": listener_url(held.control),
            "inference_url": listener_url(held.inference),
            "inference_socket": str(layout.inference_socket),
            **({"grpc_url": address_of(held.grpc)} if held.grpc else {}),
            "pid": os.getpid(),
        }
        with contextlib.suppress(*(() if left is None else (OSError,))):  # those that lie there are right
            save_settings(settings)
            write_json(layout.endpoint_file, urls)
        options = {"output": output, "detached": detached, "stop_on_eof": stop_on_eof, **flags}
        try:
            Supervisor(
                process_table(settings, held),
                clock=clock,
                hooks=replace(
                    make_hooks(layout, urls, output, detached=detached), stopping=held.inboxes.shut
                ),
                guests=lambda: guest_table(settings),
                grace_s=settings.drain_timeout_s + GRACE_BEYOND_DRAIN_S,
                stop_on_eof=sys.stdin.fileno() if stop_on_eof else None,
                succession=make_succession(settings, held.descriptors(), left, command_line(options)),
            ).run()
        finally:
            layout.endpoint_file.unlink(missing_ok=True)
            layout.inference_socket.unlink(missing_ok=True)
            # Last, so that no control process is left that would start them again.
            local_engine(settings).interrupt(sorted(layout.jobs.iterdir()))
    return 0


@dataclass(frozen=True, slots=True)
class Held:
    """What the supervisor holds for all processes, and for whoever takes its place.

    Args:
        lock: The home's.
        control: Listens on the control port.
        inference: Listens on the inference port; all workers share it.
        local: Listens on the inference workers' Unix socket; all workers share it.
        inboxes: Where workers hand connections to each other.
        grpc: Holds the port of the gRPC process; None where that is not asked for.
    """

    lock: HomeLock
    control: socket.socket
    inference: socket.socket
    local: socket.socket
    inboxes: Inboxes
    grpc: socket.socket | None = None

    def descriptors(self) -> dict[str, list[int]]:
        """Return the descriptors to leave open, by what they are."""
        return {
            "lock": [self.lock.fileno()],
            "control": [self.control.fileno()],
            "inference": [self.inference.fileno()],
            "local": [self.local.fileno()],
            "inboxes": list(self.inboxes.descriptors),
            **({"grpc": [self.grpc.fileno()]} if self.grpc else {}),
        }


def _start_holding(settings: Settings, clock: Clock, stack: ExitStack) -> Held:
    lock = stack.enter_context(HomeLock(settings.layout.lock, clock))
    control = bind_listener(settings.host, settings.port, setting="--port")
    stack.enter_context(control)
    inference = bind_listener(settings.host, settings.inference_port, setting="--inference-port")
    stack.enter_context(inference)
    local = stack.enter_context(bind_local(settings.layout.inference_socket))
    inboxes = Inboxes.make(settings.worker_count, settings.layout.run)
    return Held(lock, control, inference, local, inboxes, _hold_grpc(settings, stack))


def _go_on_holding(settings: Settings, left: Takeover, stack: ExitStack) -> Held:
    descriptors = left.descriptors
    names = ("control", "inference", "local")
    control, inference, local = (socket.socket(fileno=descriptors[name][0]) for name in names)
    for listener in (control, inference, local):
        listener.set_inheritable(False)
        stack.enter_context(listener)
    lock = stack.enter_context(HomeLock.inherit(descriptors["lock"][0]))
    inboxes = Inboxes.inherit(descriptors["inboxes"], settings.worker_count)
    return Held(
        lock, control, inference, local, inboxes, _hold_grpc(settings, stack, *descriptors.get("grpc", ()))
    )


def _hold_grpc(settings: Settings, stack: ExitStack, *left: int) -> socket.socket | None:
    """Return what holds the port of gRPC: what another program left, else a new one."""
    holders = [socket.socket(fileno=number) for number in left]
    if settings.grpc_port < 0:
        for holder in holders:
            holder.close()
        return None
    holder = holders[0] if holders else hold_port(settings.host, settings.grpc_port, setting="--grpc-port")
    holder.set_inheritable(False)
    return stack.enter_context(holder)


def process_table(settings: Settings, held: Held) -> Sequence[ProcessSpec]:
    """Return what runs: the inference workers, one control process, gRPC if wanted, for a moment a compiler.

    Args:
        settings: All of them.
        held: What the processes are given of it.
    """
    home, logs = str(settings.home), settings.layout.logs
    listening = (held.inference.fileno(), held.local.fileno())
    workers = [
        ProcessSpec(
            f"inference-{index}",
            program(
                *("inference", "--home", home, "--index", str(index), "--fd", *map(str, listening)),
                *("--handover", ",".join(str(number) for number in held.inboxes.descriptors_for(index))),
            ),
            fds=(*listening, *held.inboxes.descriptors_for(index)),
            env=ONE_THREAD,
            overlaps=True,
            log=logs / f"inference-{index}.log",
        )
        for index in range(settings.worker_count)
    ]
    return [
        *workers,
        *_grpc(settings, held.grpc),
        ProcessSpec(
            "control",
            program("control", "--home", home, "--fd", str(held.control.fileno())),
            fds=(held.control.fileno(),),
            log=logs / "control.log",
        ),
        *_compiler(settings),
    ]


def guest_table(settings: Settings) -> Sequence[ProcessSpec]:
    """Return the replicas of custom code that control wants.

    Raises:
        InvalidInput: Its list is damaged.
    """
    return [
        ProcessSpec(
            PREFIX + spec.name,
            program("replica", "--home", str(settings.home), spec.name),
            log=settings.layout.logs / f"{PREFIX}{spec.name}.log",
            guest=True,
        )
        for spec in read_replicas(settings.layout.replicas_file)
    ]


def _grpc(settings: Settings, holder: socket.socket | None) -> Sequence[ProcessSpec]:
    """Return the process for gRPC, where it is wanted. grpcio listens by itself, hence no descriptor."""
    if holder is None:
        return ()
    return (
        ProcessSpec(
            "grpc",
            program("inference_grpc", "--home", str(settings.home), "--address", address_of(holder)),
            log=settings.layout.logs / "grpc.log",
        ),
    )


def _compiler(settings: Settings) -> Sequence[ProcessSpec]:
    """Return the process that compiles the kernels, where that can be done and one is not there yet."""
    if find_spec("llvmlite") is None or not missing_kernels(settings.kernels):
        return ()
    return (
        ProcessSpec(
            "kernel",
            program("kernel", "--folder", str(settings.kernels)),
            log=settings.layout.logs / "kernel.log",
            once=True,
        ),
    )


def make_hooks(layout: HomeLayout, urls: dict[str, Any], output: str, *, detached: bool) -> Hooks:
    """Return whom the supervisor tells: the table's file, standard output, the log.

    Args:
        layout: Where the files lie.
        urls: What is printed when everything is ready.
        output: "json" or "table".
        detached: Leave the terminal once they are printed.
    """

    def publish(views: list[ProcessView], upgrade: Upgrade | None) -> None:
        try:
            write_json(layout.processes_file, table_document(os.getpid(), __version__, views, upgrade))
        except OSError as error:  # a full disk costs the table, never the processes in it
            say(f"cannot write {layout.processes_file}: {error}")

    def ready() -> None:
        if output == "json":
            print(json.dumps(urls), flush=True)
        else:
            shown = {name: urls.get(f"{name}_url") for name in ("control", "inference", "grpc")}
            print("\n".join([f"{name:<9}  {url}" for name, url in shown.items() if url]), flush=True)
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


def _import_everything() -> int:
    for kind in KINDS:
        importlib.import_module(f"modelport.bootstrap.{kind}")
    return 0
