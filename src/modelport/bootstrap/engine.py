"""The local engine, as control, workers and the supervisor use it."""

from __future__ import annotations

from modelport.bootstrap import program
from modelport.domain.clock import SystemClock
from modelport.engines.canary import CanaryLimits
from modelport.engines.local import LocalEngine
from modelport.settings import Settings


def local_engine(settings: Settings) -> LocalEngine:
    """Return the engine of a home."""
    return LocalEngine(
        clock=SystemClock(),
        job_command=program("job"),
        canary_command=program("canary", "--home", str(settings.home)),
        archive_command=program("archive", "--home", str(settings.home)),
        canary_limits=canary_limits(settings),
    )


def canary_limits(settings: Settings) -> CanaryLimits:
    """Return what the first load of a model may use."""
    return CanaryLimits(settings.canary_timeout_s, settings.canary_memory_bytes_max)
