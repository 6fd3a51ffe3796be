"""Assembles each process: the only file that names concrete classes.

    python -m modelport.bootstrap supervisor [--home H] [--host A] [--port N] [--inference-port N] …
    python -m modelport.bootstrap control    --home H --fd N
    python -m modelport.bootstrap inference  --home H --index I --fd N
    python -m modelport.bootstrap job        FOLDER [--lock-fd N]
    python -m modelport.bootstrap canary     --home H DIGEST

Each kind imports only what it needs, when it starts: the supervisor no model library, a canary no
database. The supervisor merges the settings once and leaves them in `run/settings.json`; the others read
them there, so that no secret stands in a command line.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelport.domain.clock import Clock, SystemClock
from modelport.domain.errors import Conflict, InvalidInput, ModelportError, Refused
from modelport.durable import write_durably
from modelport.settings import HomeLayout, Settings, read_settings

if TYPE_CHECKING:
    from modelport.access.tokens import TokenFile
    from modelport.engines.canary import CanaryLimits
    from modelport.engines.local import LocalEngine
    from modelport.supervisor.table import ProcessSpec, ProcessView

PRIVATE_FOLDER = 0o700
WORKERS_MAX = 4
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
"""A worker per core is faster than workers whose libraries each start a thread per core."""

EXIT_CODES: dict[type[ModelportError], int] = {InvalidInput: 2, Refused: 4, Conflict: 6}
"""What a start that failed exits with; the codes of the command line. Anything else: 1."""


def program(kind: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that starts a process of this kind."""
    return (sys.executable, "-m", "modelport.bootstrap", kind, *arguments)


def run_supervisor(
    settings: Settings, *, output: str = "table", detached: bool = False, stop_on_eof: bool = False
) -> None:
    """Run a platform until it is asked to stop.

    Args:
        settings: All of them.
        output: "json" prints one line with both URLs when ready, "table" prints them for people.
        detached: Leave the terminal alone once that line is printed; later talk goes to a log.
        stop_on_eof: Stop when standard input ends.

    Raises:
        Conflict: A platform runs on this home, or a port is taken.
        Refused: The address needs tokens.
        ModelportError: A process does not start.
    """
    from modelport.access.principals import check_bind
    from modelport.supervisor.listeners import bind_listener, listener_url
    from modelport.supervisor.lock import HomeLock
    from modelport.supervisor.loop import Hooks, Supervisor
    from modelport.supervisor.table import table_document

    check_bind(settings.host, tokens_configured=bool(settings.token_file))
    layout = settings.layout
    _make_folders(layout)
    with (
        HomeLock(layout.lock),
        bind_listener(settings.host, settings.port, setting="--port") as control,
        bind_listener(settings.host, settings.inference_port, setting="--inference-port") as inference,
    ):
        urls = {
            "control_url": listener_url(control),
            "inference_url": listener_url(inference),
            "pid": os.getpid(),
        }

        def publish(views: list[ProcessView]) -> None:
            _write_json(layout.processes_file, table_document(os.getpid(), views))

        def ready() -> None:
            _print_urls(urls, output)
            if detached:
                _leave_terminal(layout.logs / "supervisor.log")

        def say(line: str) -> None:
            print(f"modelport: {line}", file=sys.stderr, flush=True)

        _save_settings(settings)
        _write_json(layout.endpoint_file, urls)
        try:
            Supervisor(
                _process_table(settings, control, inference),
                clock=SystemClock(),
                hooks=Hooks(publish, ready, say),
                grace_s=settings.drain_timeout_s + 5.0,
                stop_on_eof=sys.stdin.fileno() if stop_on_eof else None,
            ).run()
        finally:
            layout.endpoint_file.unlink(missing_ok=True)
            # Last, so that no control process is left that would start them again.
            _engine(settings).interrupt(sorted(layout.jobs.iterdir()))


def _process_table(settings: Settings, control: socket.socket, inference: socket.socket) -> list[ProcessSpec]:
    from modelport.supervisor.table import ProcessSpec

    home, logs = str(settings.home), settings.layout.logs
    specs = [
        ProcessSpec(
            f"inference-{index}",
            program("inference", "--home", home, "--index", str(index), "--fd", str(inference.fileno())),
            fds=(inference.fileno(),),
            env=ONE_THREAD,
            log=logs / f"inference-{index}.log",
        )
        for index in range(worker_count(settings))
    ]
    specs.append(
        ProcessSpec(
            "control",
            program("control", "--home", home, "--fd", str(control.fileno())),
            fds=(control.fileno(),),
            log=logs / "control.log",
        )
    )
    return specs


def worker_count(settings: Settings) -> int:
    """Return how many inference workers these settings mean."""
    return settings.workers or min(os.cpu_count() or 1, WORKERS_MAX)


def run_inference(home: Path, index: int, fd: int) -> int:
    """Be one inference worker on an inherited listening socket."""
    _tether()
    from modelport.access.hosts import parse_allowed
    from modelport.access.principals import authenticate
    from modelport.dataplane.config import WorkerConfig
    from modelport.dataplane.worker import run_worker

    settings, clock = _saved_settings(home), SystemClock()
    tokens = _tokens(settings, clock)
    config = WorkerConfig(
        settings,
        index,
        allowed_hosts=parse_allowed(settings.allowed_hosts, settings.host),
        authenticate=functools.partial(authenticate, tokens=tokens) if tokens else None,
        try_model=_engine(settings).try_model,
    )
    with socket.socket(fileno=fd) as listener:
        run_worker(config, [listener], clock, on_ready=_announce_ready)
    return 0


def _tokens(settings: Settings, clock: Clock) -> TokenFile | None:
    from modelport.access.tokens import TokenFile

    return TokenFile(Path(settings.token_file), clock) if settings.token_file else None


def run_canary(home: Path, digest: str) -> int:
    """Load a model and let it answer once, within limits; print what became of it."""
    from modelport.engines.canary import limit_this_process

    settings = _saved_settings(home)
    limit_this_process(_canary_limits(settings))
    from modelport.runtime.model import LoadedModel
    from modelport.stores.artifacts.local import LocalArtifacts

    reason: str | None = None
    try:
        LoadedModel.load(LocalArtifacts(settings.layout.artifacts), digest).warm_up()
    except ModelportError as error:
        reason = error.message
    except MemoryError:
        reason = f"it needs more than {settings.canary_memory_bytes_max >> 20} MiB of memory to load"
    print(json.dumps({"reason": reason}), flush=True)
    # At once: whatever the model started in this process ends here and now.
    os._exit(0 if reason is None else 1)


def _canary_limits(settings: Settings) -> CanaryLimits:
    from modelport.engines.canary import CanaryLimits

    return CanaryLimits(settings.canary_timeout_s, settings.canary_memory_bytes_max)


def _engine(settings: Settings) -> LocalEngine:
    from modelport.engines.local import LocalEngine

    return LocalEngine(
        clock=SystemClock(),
        job_command=program("job"),
        canary_command=program("canary", "--home", str(settings.home)),
        canary_limits=_canary_limits(settings),
    )


def _make_folders(layout: HomeLayout) -> None:
    try:
        layout.home.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        for folder in (
            layout.artifacts,
            layout.run,
            layout.routes,
            layout.marks,
            layout.metrics,
            layout.captures,
            layout.labels,
            layout.jobs,
            layout.logs,
        ):
            folder.mkdir(exist_ok=True, mode=PRIVATE_FOLDER)
        layout.run.chmod(PRIVATE_FOLDER)
    except OSError as error:
        raise InvalidInput(
            f"cannot use {layout.home} as home: {error.strerror or error}", hint="give another --home"
        ) from error


def _settings_file(home: Path) -> Path:
    return HomeLayout(home).run / "settings.json"


def _save_settings(settings: Settings) -> None:
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    _write_json(_settings_file(settings.home), {**values, "home": str(settings.home)})


def _saved_settings(home: Path) -> Settings:
    """Return what the home's supervisor was started with; without one, what a new one would be."""
    try:
        values = json.loads(_settings_file(home).read_bytes())
    except FileNotFoundError:
        return read_settings({"home": home})
    return Settings(**{**values, "home": home})


def _write_json(path: Path, document: dict[str, Any]) -> None:
    write_durably(path, json.dumps(document).encode())


def _print_urls(urls: dict[str, Any], output: str) -> None:
    if output == "json":
        print(json.dumps(urls), flush=True)
    else:
        print(f"control    {urls['control_url']}\ninference  {urls['inference_url']}", flush=True)


def _leave_terminal(log: Path) -> None:
    with log.open("ab") as file, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def _announce_ready() -> None:
    """Tell the supervisor that this process serves now; nothing happens without one."""
    from modelport.supervisor.child import READY_VARIABLE

    told = os.environ.pop(READY_VARIABLE, None)
    if told is not None:
        with contextlib.suppress(OSError):
            os.write(int(told), b"1")
        os.close(int(told))


def _tether() -> None:
    from modelport.supervisor.child import TETHER_VARIABLE
    from modelport.supervisor.tether import watch

    watched = os.environ.pop(TETHER_VARIABLE, None)
    if watched is not None:
        watch(int(watched))


def main(argv: Sequence[str] | None = None) -> int:
    """Be one process.

    Args:
        argv: Kind and arguments; None reads the command line.

    Returns:
        The exit code.
    """
    arguments = vars(_parser().parse_args(argv))
    run: Callable[..., int] = arguments.pop("run")
    try:
        return run(**arguments)
    except ModelportError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)


def _supervisor(*, output: str, detached: bool, stop_on_eof: bool, **flags: Any) -> int:
    settings = read_settings(flags)
    run_supervisor(settings, output=output, detached=detached, stop_on_eof=stop_on_eof)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="modelport.bootstrap", allow_abbrev=False)
    kinds = parser.add_subparsers(required=True, metavar="KIND")

    supervisor = kinds.add_parser("supervisor")
    supervisor.set_defaults(run=_supervisor)
    supervisor.add_argument("--home", type=Path)
    supervisor.add_argument("--host")
    supervisor.add_argument("--port", type=int)
    supervisor.add_argument("--inference-port", type=int)
    supervisor.add_argument("--workers", type=int)
    supervisor.add_argument("--output", choices=("table", "json"), default="table")
    supervisor.add_argument("--detached", action="store_true")
    supervisor.add_argument("--stop-on-eof", action="store_true")

    inference = kinds.add_parser("inference")
    inference.set_defaults(run=run_inference)
    inference.add_argument("--home", type=Path, required=True)
    inference.add_argument("--index", type=int, required=True)
    inference.add_argument("--fd", type=int, required=True)

    canary = kinds.add_parser("canary")
    canary.set_defaults(run=run_canary)
    canary.add_argument("--home", type=Path, required=True)
    canary.add_argument("digest")
    return parser


if __name__ == "__main__":
    sys.exit(main())
