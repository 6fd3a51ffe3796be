"""The first look into an archive, in a process that may die of it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from modelport.bootstrap.engine import canary_limits
from modelport.bootstrap.home import saved_settings
from modelport.domain.errors import ModelportError
from modelport.durable import crash_point, fsync_folder
from modelport.engines.canary import limit_this_process
from modelport.settings import Settings


def run(home: Path, digest: str, code: str) -> int:
    """Store the bundle of the model in an archive, or leave it unpacked where it is code; print which.

    Args:
        home: The platform's.
        digest: SHA-256 of the archive.
        code: When it is code, see `domain.registry.CodeUse`.
    """
    settings = saved_settings(home)
    limit_this_process(canary_limits(settings))
    answer: dict[str, Any]
    try:
        answer = {"reason": None, **_look(settings, digest, code)}
    except ModelportError as error:
        answer = {"reason": f"{error.message}; {error.hint}" if error.hint else error.message}
    except MemoryError:
        answer = {"reason": f"it needs more than {settings.canary_memory_bytes_max >> 20} MiB of memory"}
    print(json.dumps(answer), flush=True)
    # At once: whatever the archive started in this process ends here and now.
    os._exit(0 if answer["reason"] is None else 1)


def _look(settings: Settings, digest: str, code: str) -> dict[str, Any]:
    from modelport.domain.registry import CodeUse
    from modelport.sdk.archives import read_archive
    from modelport.stores.artifacts.local import LocalArtifacts

    artifacts = LocalArtifacts(settings.layout.artifacts)
    unpacked = settings.layout.unpacked
    folder = Path(tempfile.mkdtemp(prefix=".fresh-", dir=unpacked))
    try:
        bundle = read_archive(
            artifacts.path(digest), folder, CodeUse(code), bytes_max=settings.artifact_bytes_max
        )
        if bundle is None:
            _keep(folder, unpacked / digest)
            return {"code": True}
        for content in bundle.files.values():
            artifacts.put([content])
        return {"digest": artifacts.put([bundle.manifest])}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _keep(fresh: Path, goal: Path) -> None:
    """Let an unpacked archive be found, whole; one of its digest that is there already is the same."""
    if goal.is_dir():
        return
    for path in sorted(fresh.rglob("*")):
        if path.is_dir():
            fsync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
    fsync_folder(fresh)
    crash_point("archive.unpacked")
    fresh.rename(goal)
    fsync_folder(goal.parent)
    crash_point("archive.kept")
