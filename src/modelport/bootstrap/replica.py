"""One replica of custom code: makes its socket, then becomes its sandbox.

What the code is told is in a file without a name: it may hold secrets, and no other process can open it.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from modelport.bootstrap.home import saved_settings
from modelport.domain.errors import InvalidInput, NotFound
from modelport.engines.images import find_environment
from modelport.engines.isolation import find_isolation
from modelport.engines.replicas import check_isolation, plan_launch
from modelport.settings import HomeLayout
from modelport.supervisor.child import READY_VARIABLE
from modelport.wire.replicas import EMPTY, STARTED, ReplicaSpec, read_replicas
from modelport.wire.sockets import bind

FIRST_TO_GO = "500"  # of a machine that runs out of memory, before what is our own


def run(home: Path, name: str) -> NoReturn:
    """Become a replica.

    Args:
        home: The platform's.
        name: Which.

    Raises:
        NotFound: Nobody wants it, or nothing stands for its image.
        InvalidInput: Its environment does not work, or its files are gone.
        Refused: It may not run in the isolation that there is.
    """
    settings = saved_settings(home)
    layout = settings.layout
    spec = _find(layout, name)
    environment = find_environment(spec.image, settings.image_table)
    isolation = find_isolation()
    check_isolation(isolation, settings.replica_isolation)
    launch = plan_launch(
        environment,
        isolation,
        model=_unpacked(layout, spec.archive),
        source=_unpacked(layout, spec.source) if spec.source else None,
        variables=spec.environment,
    )
    network = "; the network is allowed" if environment.network else ""
    place = f"{spec.endpoint}/{spec.variant}"
    print(f"{STARTED}{place} in {isolation.value} ({isolation.meaning}){network}", flush=True)
    listener = bind(layout.replicas / name)
    told = {
        **launch.told,
        "socket_fd": listener.fileno(),
        "ready_fd": int(os.environ[READY_VARIABLE]) if READY_VARIABLE in os.environ else None,
        "start_timeout_s": spec.start_timeout_s,
        "invocation_timeout_s": spec.invocation_timeout_s or settings.request_timeout_s,
    }
    _limit()
    _become(launch.command, told, listener)


def _find(layout: HomeLayout, name: str) -> ReplicaSpec:
    for spec in read_replicas(layout.replicas_file):
        if spec.name == name:
            return spec
    raise NotFound(f"no replica {name!r} is wanted")


def _unpacked(layout: HomeLayout, digest: str) -> Path:
    folder = layout.unpacked / (digest or EMPTY)
    if not digest:
        folder.mkdir(parents=True, exist_ok=True)
    elif not folder.is_dir():
        raise InvalidInput(
            f"the files of archive {digest[:12]} are not there any more", hint="create the Model again"
        )
    return folder


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)


def _become(command: tuple[str, ...], told: dict[str, object], listener: socket.socket) -> NoReturn:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the program it becomes has it open
    file.write(json.dumps(told).encode("utf-8"))
    file.flush()
    for descriptor in (file.fileno(), listener.fileno()):
        os.set_inheritable(descriptor, True)
    sys.stdout.flush()
    os.execvpe(  # noqa: S606 - no shell is wanted
        command[0], [*command, str(file.fileno())], {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    )
