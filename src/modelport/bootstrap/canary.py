"""The first load of a model, in a process that may die of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from modelport.bootstrap.engine import canary_limits
from modelport.bootstrap.home import saved_settings
from modelport.domain.errors import ModelportError
from modelport.engines.canary import limit_this_process


def run(home: Path, digest: str) -> int:
    """Load a model and let it answer once, within limits; print what became of it.

    Args:
        home: The platform's.
        digest: SHA-256 of the model's manifest.
    """
    settings = saved_settings(home)
    limit_this_process(canary_limits(settings))
    from modelport.runtime.model import LoadedModel
    from modelport.stores.artifacts.local import LocalArtifacts

    reason: str | None = None
    try:
        LoadedModel.load(LocalArtifacts(settings.layout.artifacts), digest, settings.kernels).warm_up()
    except ModelportError as error:
        reason = error.message
    except MemoryError:
        reason = f"it needs more than {settings.canary_memory_bytes_max >> 20} MiB of memory to load"
    print(json.dumps({"reason": reason}), flush=True)
    # At once: whatever the model started in this process ends here and now.
    os._exit(0 if reason is None else 1)
