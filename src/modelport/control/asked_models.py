"""Hosted models that come when they are asked for: those of a folder, and serverless ones.

Only since when somebody waits, and who was asked when, is kept in memory here: workers say it again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import structlog

from modelport.control.buckets import Buckets
from modelport.control.guests import PATIENCE_S, Guests, Look
from modelport.control.snapshot import Snapshot
from modelport.domain.errors import ModelportError, NotFound
from modelport.domain.planning.endpoint import Observed
from modelport.domain.planning.hosting import (
    Guest,
    HostedKey,
    Limits,
    Outlook,
    Use,
    choose_leaving,
    unrecorded,
)
from modelport.domain.planning.replicas import serverless_copies
from modelport.domain.planning.routes import Place, places_in, source_of
from modelport.domain.registry import Model, ModelNotes
from modelport.domain.routes import HostedBy, Hosting
from modelport.wire.feed import HostedName

ASK_S = 5.0
"""A request that waits is spoken of every second; what nobody spoke of for so long, nobody waits for."""

COMING_MAX = 8
"""Models that are looked into, tried and started at one time; others that are asked for have their turn."""

_log = structlog.get_logger("modelport.hosting")


class News(Protocol):
    """What workers say of hosted models, and the way to answer them."""

    def take_news(self) -> tuple[set[HostedName], set[HostedName]]:
        """Return the models that requests wait for, and those that were asked, since the last call."""
        ...

    def refuse(self, model: HostedName, reason: str, *, known: bool) -> None:
        """Tell every worker that nobody need wait for a model any more."""
        ...


class AskedModels:
    """Models that requests wait for, or were there for.

    Args:
        guests: Judges models.
        news: What workers say.
        buckets: Where the models of folders lie.
        limits: How much is hosted.
    """

    def __init__(self, guests: Guests, news: News, buckets: Buckets, limits: Limits) -> None:
        self._guests = guests
        self._news = news
        self._buckets = buckets
        self._limits = limits
        self._asked: dict[HostedKey, float] = {}  # and when somebody last said so
        self._used: dict[HostedKey, float] = {}
        self._found: dict[HostedKey, Guest] = {}  # of those asked for

    def hear(self, now: float) -> None:
        """Take note of what workers said since the last call."""
        asked, used = self._news.take_news()
        for name in asked:
            key = _key_of(name)
            self._asked[key] = self._used[key] = now
        for name in used:
            self._used[_key_of(name)] = now

    def look_at(
        self,
        place: Place,
        hosting: Hosting,
        snapshot: Snapshot,
        observed: Observed,
        look: Look,
        now: float,
    ) -> None:
        """See what a place is to host, and do what that needs."""
        there = {model.name: model for model in hosting.models if model.digest not in observed.broken}
        for key in [key for key in self._asked if key.place == place]:
            if key.name in there:
                del self._asked[key]
                self._found.pop(key, None)
                continue
            outlook = self._judge(key, hosting, snapshot, observed, now)
            if outlook is None:
                continue
            if outlook.run is not None:
                look.runs.append(outlook.run)
            if outlook.route is not None:
                there[key.name] = outlook.route
            else:
                look.coming += 1
                if look.coming >= COMING_MAX:
                    break
        look.hosted[place] = tuple(there[name] for name in sorted(there))

    def _judge(
        self, key: HostedKey, hosting: Hosting, snapshot: Snapshot, observed: Observed, now: float
    ) -> Outlook | None:
        """Return how it stands with a model that requests wait for; None: they need not any more."""
        setback = self._guests.setback(key)
        if setback is not None and now < setback.until:
            self._refuse(key, setback.reason, known=True)
            return None
        guest = self._found.get(key)
        if guest is None:
            try:
                guest = self._find(key, hosting, snapshot)
            except NotFound as error:
                self._refuse(key, error.message, known=False)
                return None
            except ModelportError as error:  # no fault of the model's: the next request may find it
                self._refuse(key, f"{key.name!r} cannot be read: {error.message}", known=True)
                return None
            if guest is None:
                return Outlook()
            self._found[key] = guest
        outlook = self._guests.judge(guest, observed)
        if outlook.problem is not None:
            self.give_up(key, f"{key.name!r} cannot be served: {outlook.problem}", now)
            return None
        return outlook

    def _find(self, key: HostedKey, hosting: Hosting, snapshot: Snapshot) -> Guest | None:
        """Return the model of a name; None: it is on its way.

        Raises:
            NotFound: There is none, any more or at all.
            ModelportError: It cannot be read.
        """
        endpoint, variant, source = key.place
        owner = snapshot.model(source.rpartition("@")[0])
        if owner is None or source_of(owner) != source:
            raise NotFound(f"the model of variant {variant!r} of endpoint {endpoint!r} was deleted")
        item = snapshot.variant(endpoint, variant)
        timeout_s = None if item is None else item.container_startup_health_check_timeout_in_seconds
        if hosting.by is HostedBy.TARGET_MODEL:
            model = self._find_in_folder(key.name, owner)
            return None if model is None else Guest(key, model, start_timeout_s=timeout_s)
        if item is None or item.serverless_config is None:
            raise NotFound(f"the config of variant {variant!r} of endpoint {endpoint!r} was deleted")
        return Guest(key, owner, serverless_copies(item.serverless_config), timeout_s)

    def _find_in_folder(self, name: str, owner: Model) -> Model | None:
        url = f"{owner.modelport.models}{name}"
        bucket, _, object_key = url.removeprefix("s3://").partition("/")
        try:
            digest = self._buckets.find(bucket, object_key)
        except NotFound as error:
            raise NotFound(
                f"Failed to download model data(bucket: {bucket}, key: {object_key}). Please ensure that "
                "there is an object located at the URL"
            ) from error
        if digest is None:
            return None
        container = replace(owner.spec.primary_container, model_data_url=url, mode=None)
        notes = ModelNotes(digest="", model_version=owner.name)
        return unrecorded(f"{owner.name}/{name}@{digest}", container, notes, owner.created_at)

    def give_up(self, key: HostedKey, reason: str, now: float, *, first_s: float = PATIENCE_S) -> None:
        """Let nobody wait for a model any more; see `Guests.note_setback`."""
        self._let_go(key)
        self._guests.note_setback(key, reason, now, first_s=first_s)
        self._refuse(key, reason, known=True)

    def _let_go(self, key: HostedKey) -> None:
        guest = self._found.pop(key, None)
        if guest is not None:
            self._guests.forget_archive(guest)

    def _refuse(self, key: HostedKey, reason: str, *, known: bool) -> None:
        if self._asked.pop(key, None) is not None:
            _log.warning("hosted.refused", place=key.place[:2], model=key.name, reason=reason)
            self._news.refuse(HostedName(*key.place, key.name), reason, known=known)

    def let_leave(self, look: Look, snapshot: Snapshot, observed: Observed, now: float) -> None:
        """Take out what nobody asked for long, and what is too much; never what could not come back."""
        hostings = {
            place: hosting
            for route in observed.active.endpoints
            for place, _, hosting in places_in(route)
            if hosting.by is not HostedBy.COMPONENT and place not in look.fixed
        }
        uses = {
            HostedKey(place, model.name): Use(
                hostings[place].by, model, self._used.setdefault(HostedKey(place, model.name), now)
            )
            for place, models in look.hosted.items()
            if place in hostings
            for model in models
        }
        for key in choose_leaving(uses, now, self._limits):
            if uses[key].by is HostedBy.SERVERLESS and not self._can_return(
                key, hostings[key.place], snapshot
            ):
                continue
            models = tuple(model for model in look.hosted[key.place] if model.name != key.name)
            look.hosted[key.place] = models

    def _can_return(self, key: HostedKey, hosting: Hosting, snapshot: Snapshot) -> bool:
        try:
            self._find(key, hosting, snapshot)
        except NotFound:  # its Model or its config was deleted: it serves on, as it is
            return False
        return True

    def forget(self, look: Look, now: float) -> None:
        """Forget what nobody speaks of any more."""
        for key in [key for key, at in self._asked.items() if now - at > ASK_S]:
            del self._asked[key]
        for key in [key for key in self._found if key not in self._asked]:
            self._let_go(key)
        there = {HostedKey(place, model.name) for place, models in look.hosted.items() for model in models}
        self._used = {key: at for key, at in self._used.items() if key in there or key in self._asked}


def _key_of(name: HostedName) -> HostedKey:
    return HostedKey((name.endpoint, name.variant, name.source), name.name)
