"""The first look into an archive, in a process that may die of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from modelport.bootstrap.engine import canary_limits
from modelport.bootstrap.home import saved_settings
from modelport.domain.errors import ModelportError
from modelport.engines.canary import limit_this_process


def run(home: Path, digest: str) -> int:
    """Store the bundle of the model in an archive; print its digest, or why there is none.

    Args:
        home: The platform's.
        digest: SHA-256 of the archive.
    """
    settings = saved_settings(home)
    limit_this_process(canary_limits(settings))
    from modelport.sdk.archives import bundle_from_archive
    from modelport.stores.artifacts.local import LocalArtifacts

    artifacts = LocalArtifacts(settings.layout.artifacts)
    answer: dict[str, str | None]
    try:
        bundle = bundle_from_archive(artifacts.path(digest), bytes_max=settings.artifact_bytes_max)
        for content in bundle.files.values():
            artifacts.put([content])
        answer = {"reason": None, "digest": artifacts.put([bundle.manifest])}
    except ModelportError as error:
        answer = {"reason": f"{error.message}; {error.hint}" if error.hint else error.message}
    except MemoryError:
        answer = {"reason": f"it needs more than {settings.canary_memory_bytes_max >> 20} MiB of memory"}
    print(json.dumps(answer), flush=True)
    # At once: whatever the archive started in this process ends here and now.
    os._exit(0 if answer["reason"] is None else 1)
