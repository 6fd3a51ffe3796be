"""A platform for the benches of our own promises: models registered as users do, processes bound to cores."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from measuring.models import Made

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

import modelport
from fakes.platform import Platform


@contextlib.contextmanager
def serving(
    home: Path, models: list[Made], *, workers: int, core: int | None, **environment: str
) -> Iterator[Platform]:
    """Run a platform with an endpoint for each model, named like it.

    Args:
        home: Empty.
        models: To register and deploy.
        workers: Inference workers.
        core: Core all its processes are bound to; None leaves them free.
        environment: Settings, as `MODELPORT_…` variables.
    """
    with Platform(home, workers=workers, environment=environment) as platform:
        with modelport.connect(platform.control_url) as client:
            for model in models:
                version = client.register(model.original, model.name, example=model.example)
                client.deploy(version, model.name)
        if core is not None:
            for pid in pids_of(platform).values():
                bind(pid, core)
        yield platform


def pids_of(platform: Platform) -> dict[str, int]:
    """Return the pids of the supervisor and its children, by name."""
    assert platform.process is not None
    found = {name: line["pid"] for name, line in platform.table().items() if line["pid"]}
    return {"supervisor": platform.process.pid, **found}


def bind(pid: int, core: int) -> None:
    """Bind all threads of a process to a core; what it starts later inherits that."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), {core})


def port_of(url: str) -> int:
    """Return the port of a URL."""
    return int(url.rsplit(":", 1)[1])
