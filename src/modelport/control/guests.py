"""What all hosted models share: judging them, beginning what they need, remembering what kept them away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from modelport.control.archives import Archives
from modelport.control.canary import Canaries
from modelport.domain.planning.endpoint import LookInto, Observed, TryModel, archive_key
from modelport.domain.planning.hosting import Guest, HostedKey, Outlook, judge_guest
from modelport.domain.planning.replicas import VariantReplicas
from modelport.domain.planning.routes import Place
from modelport.domain.registry import Step
from modelport.domain.routes import HostedRoute

PATIENCE_S = 5.0
PATIENCE_MAX_S = 600.0
"""A model that failed is not tried again for so long, four times longer each time, whoever asks for it."""


class Setback(NamedTuple):
    """What kept a model from being hosted.

    Args:
        reason: In plain words.
        times: How often, lately.
        until: Monotonic seconds; until then it is not tried again.
    """

    reason: str
    times: int
    until: float


@dataclass(slots=True)
class Look:
    """What came of one look: what every place is to host, and the replicas that are to run for it."""

    blamed: Mapping[HostedKey, str]  # for a table that failed
    places: set[Place] = field(default_factory=set)  # of the table that serves
    hosted: dict[Place, tuple[HostedRoute, ...]] = field(default_factory=dict)
    runs: list[VariantReplicas] = field(default_factory=list)
    outlooks: dict[str, Outlook] = field(default_factory=dict)  # of components, by name
    coming: int = 0  # models that somebody asked for, and that are not ready yet
    fixed: set[Place] = field(default_factory=set)  # what these host is on its way already


class Guests:
    """Models that are to be hosted.

    Args:
        archives: First looks into archives.
        canaries: First loads of models.
    """

    def __init__(self, archives: Archives, canaries: Canaries) -> None:
        self._archives = archives
        self._canaries = canaries
        self._setbacks: dict[HostedKey, Setback] = {}

    def judge(self, guest: Guest, observed: Observed) -> Outlook:
        """Return how it stands with one, and begin what it needs."""
        outlook = judge_guest(guest, observed, self._archives.found())
        if isinstance(outlook.needs, LookInto):
            self._archives.start(outlook.needs.model)
        elif isinstance(outlook.needs, TryModel):
            self._canaries.start(outlook.needs.digest)
        return outlook

    def found_in(self, guest: Guest) -> Step | None:
        """Return what the archive of one was found to hold; None: nobody has looked."""
        return self._archives.found().get(archive_key(guest.model))

    def forget_archive(self, guest: Guest) -> None:
        """Let the archive of one be looked into again."""
        self._archives.forget(archive_key(guest.model))

    def setback(self, key: HostedKey) -> Setback | None:
        """Return what kept a model away lately; None: nothing."""
        return self._setbacks.get(key)

    def note_setback(self, key: HostedKey, reason: str, now: float, *, first_s: float = PATIENCE_S) -> None:
        """Remember what kept a model away.

        Args:
            key: Which.
            reason: In plain words.
            now: Monotonic seconds.
            first_s: Seconds in which it is not tried again, where it is the first time.
        """
        known = self._setbacks.get(key)
        times = 1 if known is None else known.times + 1
        patience_s = first_s if times == 1 else min(PATIENCE_S * 4 ** (times - 2), PATIENCE_MAX_S)
        self._setbacks[key] = Setback(reason, times, now + patience_s)

    def clear_setback(self, key: HostedKey) -> None:
        """Begin anew with a model."""
        self._setbacks.pop(key, None)

    def forget_old(self, now: float) -> None:
        """Forget setbacks of long ago."""
        self._setbacks = {key: one for key, one in self._setbacks.items() if now < one.until + PATIENCE_MAX_S}
