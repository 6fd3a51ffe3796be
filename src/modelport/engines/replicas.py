"""How a replica of custom code is run: its sandbox, what it sees there, what it is told."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelport import handlers
from modelport.domain.errors import InvalidInput, Refused
from modelport.engines.images import Environment
from modelport.engines.isolation import (
    MOUNTED_UNDER,
    Isolation,
    bubblewrap_command,
    mounting_command,
    unshare_command,
)

HOST = Path(handlers.__file__).parent
MODEL = "/opt/ml/model"
SOURCE = "/opt/ml/code"
NAMES = ("/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf", "/etc/mime.types", "/etc/fonts")
NETWORK_NAMES = ("/etc/resolv.conf", "/etc/ssl")
ASK_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Launch:
    """A replica, ready to be run.

    Args:
        command: Program and arguments; the number of the descriptor that holds `told` is still to be added.
        told: What the host is told, without the descriptors that it gets.
    """

    command: tuple[str, ...]
    told: Mapping[str, Any]


def plan_launch(
    environment: Environment,
    isolation: Isolation,
    *,
    model: Path,
    source: Path | None,
    variables: Mapping[str, str],
) -> Launch:
    """Return how a replica is run.

    Args:
        environment: What stands for its image.
        isolation: What stands between it and this machine.
        model: Folder of its unpacked archive.
        source: Folder of its code, where that is another one.
        variables: Of its container.

    Raises:
        InvalidInput: The environment's interpreter or program does not work.
    """
    seen = _seen_by(environment)
    mounts = {MODEL: model} | ({SOURCE: source} if source is not None else {})
    shown = {str(folder): goal for goal, folder in mounts.items()}
    if isolation is Isolation.BUBBLEWRAP:
        names = NAMES + (NETWORK_NAMES if environment.network else ())
        before = bubblewrap_command((*seen, *names, str(HOST)), network=environment.network)
        for goal, folder in mounts.items():
            before += ["--ro-bind", str(folder), goal]
        before += ["--chdir", "/tmp", "--"]  # noqa: S108 - the sandbox's own
    elif isolation is Isolation.NAMESPACES and not _hides(seen):
        before = [*unshare_command(network=environment.network), *mounting_command(mounts)]
    else:  # the folders are where they are, and the code is told where that is
        before = [*unshare_command(network=environment.network)] if isolation is Isolation.NAMESPACES else []
        shown = {str(folder): str(folder) for folder in mounts.values()}
    told = {
        "model": shown[str(model)],
        "source": None if source is None else shown[str(source)],
        "family": environment.family,
        "serve": list(environment.serve) or None,
        "environment": _variables(variables, environment, model_dir=shown[str(model)]),
    }
    return Launch((*before, environment.python, "-I", str(HOST)), told)


def check_wanted(wanted: str) -> None:
    """Let the setting of an isolation pass.

    Args:
        wanted: `best`, or the name of an isolation.

    Raises:
        InvalidInput: It is neither.
    """
    known = ("best", *Isolation)
    if wanted not in known:
        raise InvalidInput(f"replica_isolation is {wanted[:80]!r}, expected one of {', '.join(known)}")


def check_isolation(isolation: Isolation, wanted: str) -> None:
    """Let custom code run only where it is kept in as it should be.

    Args:
        isolation: What works here.
        wanted: The setting: `best`, or the name of the isolation without which none is run.

    Raises:
        Refused: It would not be.
    """
    if wanted not in ("best", isolation.value):
        raise Refused(
            f"custom code may run in {wanted!r} only (replica_isolation); here works {isolation.value}",
            hint="install bubblewrap, or allow the best there is: MODELPORT_REPLICA_ISOLATION=best",
        )


def _seen_by(environment: Environment) -> list[str]:
    """Return the folders that an interpreter and a program need."""
    script = "import json, sys; print(json.dumps([sys.prefix, sys.base_prefix, *sys.path]))"
    try:
        done = subprocess.run(
            [environment.python, "-I", "-c", script],
            capture_output=True,
            check=True,
            timeout=ASK_TIMEOUT_S,
            text=True,
        )
        folders = [entry for entry in json.loads(done.stdout) if entry and Path(entry).exists()]
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise InvalidInput(
            f"the interpreter {environment.python!r} does not work: {error}",
            hint="name another one for this image",
        ) from error
    if environment.serve:
        program = Path(environment.serve[0])
        if not program.is_file():
            raise InvalidInput(
                f"there is no program {str(program)!r}", hint="name another one for this image"
            )
        folders.append(str(program.resolve().parent))
    home = str(Path.home())
    return [folder for folder in folders if folder not in ("/", home)]


def _hides(seen: list[str]) -> bool:
    """Return whether something it needs lies where its model is to be seen."""
    return any(folder.startswith(MOUNTED_UNDER + "/") for folder in seen)


def _variables(variables: Mapping[str, str], environment: Environment, *, model_dir: str) -> dict[str, str]:
    interpreter = str(Path(environment.python).parent)
    return {
        "PATH": f"{interpreter}:/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp",  # noqa: S108 - where the code may write
        "USER": "model",
        "LANG": "C.UTF-8",
        "SM_MODEL_DIR": model_dir,
        "PYTHONUNBUFFERED": "1",
        **variables,
    }
