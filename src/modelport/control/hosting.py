"""Lets variants host models: those that are asked for, and those of components.

What is hosted stands in the route table, so workers serve it while this process is away, and it goes on from
there when it comes back.
"""

from __future__ import annotations

from collections.abc import Mapping

from modelport.control.archives import Archives
from modelport.control.asked_models import AskedModels, News
from modelport.control.buckets import Buckets
from modelport.control.canary import Canaries
from modelport.control.guests import Guests, Look
from modelport.control.hosted_components import HostedComponents
from modelport.control.ownership import Ownership
from modelport.control.snapshot import Snapshot
from modelport.domain.clock import Clock
from modelport.domain.planning.components import by_place
from modelport.domain.planning.endpoint import Observed
from modelport.domain.planning.hosting import HostedKey, Limits, blamed, coming_to
from modelport.domain.planning.routes import places_in
from modelport.domain.routes import HostedBy

MODELS_MAX = 1_000
"""Of one Model of many, in one place, so many stand in the table; those asked last."""

FAILED_TABLE_S = 60.0
"""One that a table failed for is not tried again for so long: while workers tried it, no other could come."""


class HostedModels:
    """The models that variants host.

    Args:
        news: What workers say.
        buckets: Where the models of folders lie.
        archives: First looks into archives.
        canaries: First loads of models.
        ownership: Which components this process may write back.
        clock: Time.
        replicas_max: Processes that run because somebody asked.
        idle_s: Seconds after which a serverless variant that nobody asks has none.
    """

    def __init__(
        self,
        news: News,
        buckets: Buckets,
        archives: Archives,
        canaries: Canaries,
        ownership: Ownership,
        *,
        clock: Clock,
        replicas_max: int,
        idle_s: float,
    ) -> None:
        self._clock = clock
        self._guests = Guests(archives, canaries)
        self._asked = AskedModels(self._guests, news, buckets, Limits(replicas_max, MODELS_MAX, idle_s))
        self._components = HostedComponents(self._guests, ownership, clock)
        self._lost: frozenset[str] = frozenset()  # what some worker does not have

    def look(self, snapshot: Snapshot, observed: Observed) -> Look:
        """See what is to be hosted, and do what that needs.

        Args:
            snapshot: The records.
            observed: What is so.
        """
        now = self._clock.monotonic()
        self._asked.hear(now)
        look = Look(self._note_setbacks(observed, now))
        wished = by_place(snapshot.components())
        for route in observed.active.endpoints:
            for place, _, hosting in places_in(route):
                look.places.add(place)
                if hosting.by is HostedBy.COMPONENT:
                    self._components.look_at(place, hosting, wished.get(place, ()), snapshot, observed, look)
                else:
                    self._asked.look_at(place, hosting, snapshot, observed, look, now)
                coming = coming_to(place, observed.rollout)
                if coming is not None:  # one change after the other
                    look.hosted[place] = coming
                    look.fixed.add(place)
        self._asked.let_leave(look, snapshot, observed, now)
        self._asked.forget(look, now)
        self._guests.forget_old(now)
        return look

    def settle(self, snapshot: Snapshot, observed: Observed, look: Look) -> bool:
        """Write back the components whose wish has come true, or will not; return whether there was one."""
        return self._components.settle(snapshot, observed, look)

    def _note_setbacks(self, observed: Observed, now: float) -> Mapping[HostedKey, str]:
        """Give up on what a table failed for, and on what a worker lost; return the former."""
        blame = blamed(observed.rollout, observed.served)
        for key, reason in blame.items():
            self._asked.give_up(key, reason, now, first_s=FAILED_TABLE_S)
        lost = {digest: why for digest, why in observed.broken.items() if digest not in self._lost}
        self._lost = frozenset(observed.broken)
        for route in observed.active.endpoints if lost else ():
            for place, _, hosting in places_in(route):
                for model in hosting.models:
                    if model.digest in lost:  # once it may come back at once
                        self._asked.give_up(
                            HostedKey(place, model.name), lost[model.digest], now, first_s=0.0
                        )
        return blame
