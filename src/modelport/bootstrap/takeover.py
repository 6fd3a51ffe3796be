"""One supervisor gives way to a newer one in the same process: what it leaves, how the next finds it."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modelport import __version__
from modelport.bootstrap import program
from modelport.bootstrap.home import write_json
from modelport.domain.errors import InvalidInput
from modelport.settings import HomeLayout, Settings
from modelport.supervisor.table import ProcessSpec
from modelport.supervisor.upgrade import Heirloom, Request, Upgrade
from modelport.supervisor.upgrading import Succession


@dataclass(frozen=True, slots=True)
class Takeover:
    """What a supervisor leaves: numbers of open descriptors, its processes, the upgrade that is on its way.

    Every later version must read this; add fields with a default, and never take one away.

    Args:
        descriptors: Numbers by what they are.
        processes: Its children.
        upgrade: How far it is.
    """

    descriptors: dict[str, list[int]]
    processes: list[Heirloom]
    upgrade: Upgrade


def write_takeover(path: Path, takeover: Takeover) -> None:
    """Write it."""
    write_json(
        path,
        {
            "descriptors": takeover.descriptors,
            "processes": [heirloom.document() for heirloom in takeover.processes],
            "upgrade": takeover.upgrade.document(),
        },
    )


def read_takeover(path: Path) -> Takeover:
    """Read what another version of this program wrote.

    Raises:
        InvalidInput: It cannot be understood.
    """
    try:
        document = json.loads(path.read_bytes())
        return Takeover(
            {name: list(document["descriptors"][name]) for name in document["descriptors"]},
            [Heirloom.from_document(one) for one in document["processes"]],
            Upgrade.from_document(document["upgrade"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"version {__version__} cannot take over what runs: {path} is not understood ({error!r})",
            hint="stop the platform with `modelport down` and start it with `modelport up`",
        ) from error


def ask_for_upgrade(layout: HomeLayout, python: str) -> str:
    """Leave a request for the supervisor, who reads it at its upgrade signal; return its id.

    Args:
        layout: The home's.
        python: The interpreter whose installed package takes over.
    """
    request = Request(secrets.token_hex(8), python)
    write_json(layout.upgrade_request_file, asdict(request))
    return request.id


def command_line(options: Mapping[str, Any]) -> list[str]:
    """Return the arguments that mean these options; None and False are left out."""
    arguments = []
    for name, value in options.items():
        if value is not None and value is not False:
            arguments.append(f"--{name.replace('_', '-')}")
            arguments += [] if value is True else [str(value)]
    return arguments


def make_succession(
    settings: Settings,
    descriptors: dict[str, list[int]],
    left: Takeover | None,
    arguments: Sequence[str],
) -> Succession:
    """Return how this supervisor gives way to the next.

    Args:
        settings: All of them.
        descriptors: What the next one gets, besides the processes' own.
        left: What the one before left to this one.
        arguments: The command line of this one; the next one gets it too.
    """
    layout = settings.layout
    upgrade = None if left is None else left.upgrade
    if upgrade is not None:
        upgrade.to_version = __version__
        layout.takeover_file.unlink(missing_ok=True)

    def command(python: str, *more: str) -> tuple[str, ...]:
        takeover = ("--takeover", str(layout.takeover_file))
        return (python, *program("supervisor", *arguments, *takeover, *more)[1:])

    def read_request() -> Request:
        try:
            return Request(**json.loads(layout.upgrade_request_file.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise InvalidInput(
                f"{layout.upgrade_request_file} holds no request ({error})", hint="use `modelport upgrade`"
            ) from error

    def leave(upgrade: Upgrade, heirlooms: Sequence[Heirloom]) -> None:
        write_takeover(layout.takeover_file, Takeover(descriptors, list(heirlooms), upgrade))

    def check(upgrade: Upgrade, heirlooms: Sequence[Heirloom]) -> ProcessSpec:
        leave(upgrade, heirlooms)
        log = layout.logs / "upgrade.log"
        return ProcessSpec("upgrade", command(upgrade.request.python, "--check"), log=log)

    def become(upgrade: Upgrade, heirlooms: Sequence[Heirloom]) -> None:
        leave(upgrade, heirlooms)
        argv = command(upgrade.request.python)
        numbers = [number for group in descriptors.values() for number in group]
        try:
            for number in numbers:
                os.set_inheritable(number, True)
            os.execv(argv[0], argv)  # noqa: S606 - a list, never a shell
        finally:
            for number in numbers:
                os.set_inheritable(number, False)

    return Succession(
        __version__,
        read_request,
        check,
        become,
        start_timeout_s=settings.start_timeout_s,
        upgrade=upgrade,
        inherited=() if left is None else left.processes,
    )
