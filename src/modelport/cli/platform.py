"""`up`, `down`, `status`, `open`, `worker`: the platform's own processes.

The client is imported where it is used: three of the five speak to no server, and httpx is half of a start.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
from click.exceptions import Exit

from modelport import bootstrap
from modelport.cli.exits import FAILED
from modelport.cli.output import print_facts, print_json, print_table, say
from modelport.cli.parameters import PATH, Argument, Command, Output, output_option, timeout_option
from modelport.domain.clock import Clock, SystemClock
from modelport.domain.errors import TimedOut, Unreachable
from modelport.engines.identity import ProcessIdentity, identify
from modelport.settings import HomeLayout, read_settings
from modelport.supervisor.lock import lock_holder

POLL_S = 0.05
home_option = click.option(
    "--home",
    type=PATH,
    help="Folder of all state; MODELPORT_HOME, else the XDG data directory.",
)


@click.command(cls=Command)
@home_option
@click.option("--host", help="Address to bind; anything but loopback needs tokens.")
@click.option("--port", type=int, help="Control port; 0 picks a free one.")
@click.option("--inference-port", type=int, help="Inference port; 0 picks a free one.")
@click.option("--grpc-port", type=int, help="Port for gRPC; 0 picks a free one. None where not given.")
@click.option("--workers", type=int, help="Inference workers; 0 means min(cores, 4).")
@click.option("--detach", is_flag=True, help="Return once it is ready; stop it with `modelport down`.")
@output_option
def up(
    *,
    home: Path | None,
    host: str | None,
    port: int | None,
    inference_port: int | None,
    grpc_port: int | None,
    workers: int | None,
    detach: bool,
    output: Output,
) -> None:
    """Start the platform. It is ready when it prints its URLs; Ctrl-C or SIGTERM drains it.

    Example: modelport up --workers 2
    """
    flags = {
        "--home": home,
        "--host": host,
        "--port": port,
        "--inference-port": inference_port,
        "--grpc-port": grpc_port,
        "--workers": workers,
        "--output": output,
    }
    given = [text for flag, value in flags.items() if value is not None for text in (flag, str(value))]
    command = bootstrap.program("supervisor", *given)
    if not detach:
        # This process becomes the supervisor: same pid, and none of the command line's libraries.
        sys.stdout.flush()
        os.execv(command[0], command)  # noqa: S606 - a list, never a shell
    raise Exit(_start_detached((*command, "--detached")))


def _start_detached(command: tuple[str, ...]) -> int:
    """Start a supervisor that outlives this process; return its exit code, 0 once it is ready."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None  # noqa: S101 - PIPE was asked for
        try:
            said = process.stdout.read()  # ends when it leaves the terminal, or dies
        except KeyboardInterrupt:
            process.send_signal(signal.SIGTERM)
            raise
        click.echo(said, nl=False)
        if not said:
            return process.wait()
        process.returncode = 0  # it lives on, and is not ours to wait for
        return 0


@click.command(cls=Command)
@home_option
@timeout_option(90.0)
def down(home: Path | None, timeout: float) -> None:
    """Stop the platform of a home: open requests finish, jobs are resumed by the next `up`.

    Example: modelport down --home ~/platform
    """
    layout, clock = _layout(home), SystemClock()
    pid = lock_holder(layout.lock)
    if pid is None:
        say(f"no platform runs on {layout.home}")
        return
    supervisor = identify(pid)
    os.kill(pid, signal.SIGTERM)
    _wait_until_gone(layout, supervisor, timeout, clock)
    say(f"stopped the platform on {layout.home}")


def _wait_until_gone(
    layout: HomeLayout, supervisor: ProcessIdentity | None, timeout_s: float, clock: Clock
) -> None:
    """Wait until the home is free, and the process that gave it up has ended, too."""
    deadline = clock.monotonic() + timeout_s
    while lock_holder(layout.lock) is not None or (supervisor and identify(supervisor.pid) == supervisor):
        if clock.monotonic() >= deadline:
            raise TimedOut(
                f"the platform on {layout.home} did not stop within {timeout_s:g} s",
                hint="wait longer with --timeout; `modelport status` shows what still runs",
            )
        clock.sleep(POLL_S)


@click.command(cls=Command)
@home_option
@output_option
def status(home: Path | None, output: Output) -> None:
    """Show what runs, what is unhealthy, and why. Exits 1 when something is, 7 when nothing runs.

    Example: modelport status -o json
    """
    found = _ask(_layout(home))
    problems = list_problems(found)
    if output == "json":
        print_json({**found, "problems": problems})
    else:
        print_facts({name: found.get(name) for name in ("version", "control_url", "inference_url")})
        print_table([_shown(line) for line in _processes(found)], empty="no processes are known")
        for problem in problems:
            say(f"unhealthy: {problem}")
    if problems:
        raise Exit(FAILED)


def _ask(layout: HomeLayout) -> dict[str, Any]:
    """Return the platform's own account; where control is down, what the supervisor wrote."""
    from modelport.sdk.client import Client

    try:
        with Client(control_url(layout)) as client:
            return client.status()
    except Unreachable as error:
        if lock_holder(layout.lock) is None:
            raise
        urls, processes = (
            json.loads(path.read_bytes()) for path in (layout.endpoint_file, layout.processes_file)
        )
        return {**urls, "processes": processes, "not_ready": error.message}


def control_url(layout: HomeLayout) -> str:
    """Return where control listens: `MODELPORT_URL`, else the home's platform, else the default."""
    from modelport.sdk.client import DEFAULT_URL, URL_VARIABLE

    if url := os.environ.get(URL_VARIABLE):
        return url
    try:
        return str(json.loads(layout.endpoint_file.read_bytes())["control_url"])
    except (FileNotFoundError, KeyError, json.JSONDecodeError):
        return DEFAULT_URL


def list_problems(status: dict[str, Any]) -> list[str]:
    """Return a line for each thing that is not as it should be.

    Args:
        status: What `GET /api/v1/status` answers, or the part of it that the supervisor wrote.
    """
    problems = [
        f"{line['name']} is {line['state']}" + (f" ({line['last_exit']})" if line.get("last_exit") else "")
        for line in _processes(status)
        if line["state"] != "running" and not line.get("beside")
    ]
    problems += [f"control: {status['not_ready']}"] if status.get("not_ready") else []
    problems += [f"token file: {problem}" for problem in status.get("token_problems", ())]
    for worker in status.get("workers", ()):
        for digest, reason in worker.get("failed", {}).items():
            problems.append(f"inference-{worker['index']} cannot load model {digest[:12]}…: {reason}")
    for unsettled in status.get("unsettled", ()):
        reason = f": {unsettled['reason']}" if unsettled.get("reason") else ""
        problems.append(f"{unsettled['kind']} {unsettled['name']} is {unsettled['status']}{reason}")
    for request in status.get("quarantined", ()):
        where = ", ".join(request["endpoints"])
        problems.append(
            f"endpoint {where}: a request took {request['crashes']} workers down and is not run again "
            f"({request['model_version']}, rows {request['request'][:12]}…)"
        )
    return problems


def _processes(status: dict[str, Any]) -> list[dict[str, Any]]:
    return list((status.get("processes") or {}).get("processes", ()))


def _shown(line: dict[str, Any]) -> dict[str, Any]:
    return {
        "process": line["name"],
        "state": line["state"],
        "pid": line["pid"],
        "restarts": line["restarts"],
        "last exit": line["last_exit"],
    }


@click.command("open", cls=Command)
@home_option
def open_console(home: Path | None) -> None:
    """Open the console in a browser.

    Example: modelport open
    """
    import webbrowser

    from modelport.sdk.client import Client

    url = control_url(_layout(home))
    with Client(url) as client:
        client.status()  # a browser's error page would not say what to do
    click.echo(url)
    webbrowser.open(url)


@click.command(cls=Command)
@click.argument("folder", cls=Argument, type=PATH, help="Folder of the job, with its job.json.")
def worker(folder: Path) -> None:
    """Do the work of one job here and leave its result in its folder, as the platform's engine does.

    Example: modelport worker ~/.local/share/modelport/jobs/nightly
    """
    from modelport.bootstrap import job

    raise Exit(job.run(folder))


def _layout(home: Path | None) -> HomeLayout:
    return read_settings({"home": home}).layout
