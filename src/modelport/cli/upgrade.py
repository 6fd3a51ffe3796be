"""`upgrade`: the installed code takes the place of what runs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from modelport.bootstrap.takeover import ask_for_upgrade
from modelport.cli.output import print_json, print_table, say
from modelport.cli.parameters import Command, Output, output_option, timeout_option
from modelport.cli.platform import POLL_S, home_option
from modelport.domain.clock import Clock, SystemClock
from modelport.domain.errors import Conflict, ModelportError, TimedOut, Unreachable
from modelport.settings import HomeLayout, read_settings
from modelport.supervisor.lock import lock_holder
from modelport.supervisor.upgrade import UpgradeState
from modelport.supervisor.upgrading import UPGRADE_SIGNAL


@click.command(cls=Command)
@home_option
@timeout_option(600.0)
@output_option
def upgrade(home: Path | None, timeout: float, output: Output) -> None:
    """Let the modelport that this command belongs to take over a running platform. No request is lost.

    Its settings are read again; addresses stay. What does not start leaves the old processes serving.

    Example: pip install --upgrade modelport && modelport upgrade
    """
    layout, clock = read_settings({"home": home}).layout, SystemClock()
    pid = lock_holder(layout.lock)
    if pid is None:
        raise Unreachable(
            f"no platform runs on {layout.home}", hint="start it with `modelport up`, or give --home"
        )
    if "upgrade" not in _table(layout):  # its supervisor would take the signal for its end
        raise Conflict(
            f"the platform on {layout.home} is too old to be upgraded while it runs",
            hint="stop it with `modelport down` and start it with `modelport up`",
        )
    asked = ask_for_upgrade(layout, sys.executable)
    os.kill(pid, UPGRADE_SIGNAL)
    found = _wait_until_over(layout, asked, timeout, clock)
    if found["state"] == UpgradeState.FAILED:
        raise ModelportError(
            f"the upgrade failed: {found['error']}",
            hint=f"{_list_replaced(found)}; see {layout.logs}, and try again",
        )
    if output == "json":
        print_json(found)
    else:
        print_table([_shown(one) for one in found["replaced"]], empty="nothing ran")
    say(f"the platform on {layout.home} was upgraded from {found['from_version']} to {found['to_version']}")


def _wait_until_over(layout: HomeLayout, asked: str, timeout_s: float, clock: Clock) -> dict[str, Any]:
    """Return an upgrade's account once nothing more will happen."""
    deadline = clock.monotonic() + timeout_s
    while True:
        found: dict[str, Any] = _table(layout).get("upgrade") or {}
        if found and found["request"]["id"] == asked and found["state"] in ("done", "failed"):
            return found
        if lock_holder(layout.lock) is None:
            raise ModelportError(
                f"the platform on {layout.home} ended before the upgrade did",
                hint="start it with `modelport up`",
            )
        if clock.monotonic() >= deadline:
            raise TimedOut(
                f"the upgrade was not over within {timeout_s:g} s; it goes on",
                hint="`modelport status` shows how far it is; wait longer with --timeout",
            )
        clock.sleep(POLL_S)


def _table(layout: HomeLayout) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(layout.processes_file.read_bytes())
    except FileNotFoundError:  # it has just begun to start
        return {"upgrade": None}
    return found


def _list_replaced(upgrade: dict[str, Any]) -> str:
    names = ", ".join(one["name"] for one in upgrade["replaced"])
    return f"replaced before: {names}; the others run on as they were" if names else "all runs on as it was"


def _shown(one: dict[str, Any]) -> dict[str, Any]:
    return {"process": one["name"], "old pid": one["from_pid"], "new pid": one["to_pid"]}
