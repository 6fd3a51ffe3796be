"""What came of the requests of each model version: what the built-in alarms of an update judge by."""

from __future__ import annotations

from collections.abc import Mapping

from modelport.domain.deployment import Tally
from modelport.telemetry import metrics
from modelport.telemetry.slots import Totals

NOT_COUNTED = ("429", "499", "503")
"""Shed, or not waited for: that says nothing of a model."""

FIRST_ERROR = "400"


def tally(totals: Totals) -> Mapping[str, Mapping[str, Tally]]:
    """Return the tally of each model version of each endpoint.

    Args:
        totals: Of all workers.
    """
    found: dict[str, dict[str, Tally]] = {}

    def add(endpoint: str, version: str, more: Tally) -> None:
        versions = found.setdefault(endpoint, {})
        versions[version] = versions.get(version, Tally()).plus(more)

    for (name, labels), values in totals.items():
        if name == metrics.REQUESTS:
            endpoint, _, version, _, code = labels
            if code not in NOT_COUNTED:
                failed = values[0] if code >= FIRST_ERROR else 0
                add(endpoint, version, Tally(requests=values[0], failed=failed))
        elif name == metrics.REQUEST_DURATION:
            endpoint, _, version = labels
            seconds = values[-1] / metrics.NANOSECONDS
            add(endpoint, version, Tally(answered=sum(values[:-1]), seconds=seconds))
        elif name == metrics.NONFINITE:
            endpoint, _, version = labels
            add(endpoint, version, Tally(nonfinite=values[0]))
    return found
