"""Lets variants host models: hears what requests wait for, and finds, tries, starts and ends it.

What is hosted stands in the route table, so workers serve it while this process is away, and it goes on from
there when it comes back. Only since when somebody waits, and who was asked when, is kept in memory here:
workers say it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from modelport.control.archives import Archives
from modelport.control.canary import Canaries
from modelport.control.ownership import Ownership
from modelport.control.snapshot import Snapshot
from modelport.domain.clock import Clock
from modelport.domain.errors import NotFound
from modelport.domain.inference_component import InferenceComponent
from modelport.domain.planning import components
from modelport.domain.planning.endpoint import LookInto, Observed, TryModel, archive_key
from modelport.domain.planning.hosting import (
    Guest,
    HostedKey,
    Limits,
    Outlook,
    Use,
    blamed,
    choose_leaving,
    judge_guest,
    unrecorded,
)
from modelport.domain.planning.replicas import VariantReplicas, serverless_copies
from modelport.domain.planning.rollout import RolloutState
from modelport.domain.planning.routes import Place, places_in, source_of
from modelport.domain.registry import Model, ModelNotes, Step
from modelport.domain.routes import HostedBy, HostedRoute, Hosting
from modelport.durable import crash_point
from modelport.wire.feed import HostedName

MODELS_MAX = 1_000
"""Of one Model of many, in one place, so many stand in the table; those asked last."""

ASK_S = 5.0
"""A request that waits is spoken of every second; what nobody spoke of for so long, nobody waits for."""

PATIENCE_S = 5.0
"""A model that could not be hosted is not tried again for so long, however often it is asked for."""

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


class Objects(Protocol):
    """The object store, as far as the models of a folder need it."""

    def digest_of(self, bucket: str, key: str) -> str:
        """Return the SHA-256 of an object's bytes.

        Raises:
            NotFound: There is no such object.
        """
        ...


@dataclass(slots=True)
class Look:
    """What came of one look: what every place is to host, and the replicas that are to run for it."""

    blamed: Mapping[HostedKey, str]  # for a table that failed
    hosted: dict[Place, tuple[HostedRoute, ...]] = field(default_factory=dict)
    runs: list[VariantReplicas] = field(default_factory=list)
    outlooks: dict[str, Outlook] = field(default_factory=dict)  # of components, by name
    coming: int = 0  # models that somebody asked for, and that are not ready yet
    fixed: set[Place] = field(default_factory=set)  # what these host is on its way already


class HostedModels:
    """The models that variants host.

    Args:
        news: What workers say.
        objects: Where the models of folders lie.
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
        objects: Objects,
        archives: Archives,
        canaries: Canaries,
        ownership: Ownership,
        *,
        clock: Clock,
        replicas_max: int,
        idle_s: float,
    ) -> None:
        self._news = news
        self._objects = objects
        self._archives = archives
        self._canaries = canaries
        self._ownership = ownership
        self._clock = clock
        self._limits = Limits(replicas_max, MODELS_MAX, idle_s)
        self._asked: dict[HostedKey, float] = {}  # and when somebody last said so
        self._used: dict[HostedKey, float] = {}
        self._guests: dict[HostedKey, Guest] = {}  # of those asked for
        self._hopeless: dict[HostedKey, tuple[str, float]] = {}  # why, and until when

    def look(self, snapshot: Snapshot, observed: Observed) -> Look:
        """See what is to be hosted, and do what that needs.

        Args:
            snapshot: The records.
            observed: What is so.
        """
        now = self._clock.monotonic()
        self._hear(now)
        look = Look(blamed=blamed(observed.rollout, observed.served))
        for key, reason in look.blamed.items():
            self._give_up(key, reason, now)
        for route in observed.active.endpoints:
            for place, _, hosting in places_in(route):
                coming = _coming(place, observed)
                if hosting.by is HostedBy.COMPONENT:
                    self._look_at_components(place, hosting, snapshot, observed, look)
                else:
                    self._look_at_asked(place, hosting, snapshot, observed, look)
                if coming is not None:  # one change after the other
                    look.hosted[place] = coming
                    look.fixed.add(place)
        self._let_leave(look, observed, now)
        self._forget(look, now)
        return look

    def settle(self, snapshot: Snapshot, observed: Observed, look: Look) -> bool:
        """Write back the components whose wish has come true, or will not; return whether there was one."""
        served = {
            (place, model.name): model
            for route in observed.active.endpoints
            for place, _, hosting in places_in(route)
            for model in hosting.models
        }
        changed = False
        for component in snapshot.components():
            if component.settled and components.key_of(component) not in look.blamed:
                continue
            serving = served.get(components.key_of(component))
            if component.modelport.deleting:
                if serving is None and not observed.lagging and self._ownership.hold(component):
                    crash_point("component.before_remove")
                    changed |= self._ownership.remove(component, "gone")
                continue
            settled = components.settle(
                component,
                self._outlook_of(component, snapshot, look),
                serving,
                self._found_in(component),
                everywhere=observed.everywhere,
                now=self._clock.now(),
            )
            if settled is not None and self._ownership.hold(component):
                crash_point("component.before_settle")
                status = settled.status
                told = status.failure_reason or f"InService with {status.current_copy_count} copies"
                changed |= self._ownership.write_back(settled, told)
        return changed

    def _outlook_of(self, component: InferenceComponent, snapshot: Snapshot, look: Look) -> Outlook:
        known = look.outlooks.get(component.name)
        if known is not None:
            return known
        endpoints = {endpoint.name for endpoint in snapshot.endpoints()}
        if component.spec.endpoint_name not in endpoints:
            return Outlook(problem=f"endpoint {component.spec.endpoint_name!r} does not exist")
        return Outlook()  # its endpoint does not serve yet

    def _found_in(self, component: InferenceComponent) -> Step | None:
        """Return what the container of a component was found to hold."""
        guest = components.guest_of(component, None)
        return None if guest is None else self._archives.found().get(archive_key(guest.model))

    def _hear(self, now: float) -> None:
        asked, used = self._news.take_news()
        for name in asked:
            key = _key_of(name)
            self._asked[key] = self._used[key] = now
        for name in used:
            self._used[_key_of(name)] = now

    # ── Models that come when they are asked for ────────────────────────────────────────────────

    def _look_at_asked(
        self, place: Place, hosting: Hosting, snapshot: Snapshot, observed: Observed, look: Look
    ) -> None:
        there = {model.name: model for model in hosting.models if model.digest not in observed.broken}
        for key in [key for key in self._asked if key.place == place]:
            if key.name in there:
                del self._asked[key]
                self._guests.pop(key, None)
                continue
            outlook = self._judge(key, hosting, snapshot, observed)
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
        self, key: HostedKey, hosting: Hosting, snapshot: Snapshot, observed: Observed
    ) -> Outlook | None:
        """Return how it stands with a model that requests wait for; None: they need not any more."""
        now = self._clock.monotonic()
        hopeless = self._hopeless.get(key)
        if hopeless is not None and now < hopeless[1]:
            self._refuse(key, hopeless[0], known=True)
            return None
        guest = self._guests.get(key)
        if guest is None:
            try:
                guest = self._guests[key] = self._find(key, hosting, snapshot)
            except NotFound as error:
                self._give_up(key, error.message, now, known=False)
                return None
        outlook = judge_guest(guest, observed, self._archives.found())
        if outlook.problem is not None:
            self._give_up(key, f"{key.name!r} cannot be served: {outlook.problem}", now)
            return None
        self._start(outlook)
        return outlook

    def _find(self, key: HostedKey, hosting: Hosting, snapshot: Snapshot) -> Guest:
        """Return the model of a name.

        Raises:
            NotFound: There is none, any more or at all.
        """
        endpoint, variant, source = key.place
        owner = snapshot.model(source.rpartition("@")[0])
        if owner is None or source_of(owner) != source:
            raise NotFound(f"the model of variant {variant!r} of endpoint {endpoint!r} was deleted")
        if hosting.by is HostedBy.SERVERLESS:
            return self._find_serverless(key, owner, snapshot)
        return Guest(key, self._find_in_folder(key.name, owner))

    def _find_serverless(self, key: HostedKey, owner: Model, snapshot: Snapshot) -> Guest:
        endpoint, variant, _ = key.place
        config = snapshot.config(snapshot.serving_config(endpoint) or "")
        for item in () if config is None else config.spec.production_variants:
            if item.variant_name == variant and item.serverless_config is not None:
                timeout_s = item.container_startup_health_check_timeout_in_seconds
                return Guest(key, owner, serverless_copies(item.serverless_config), timeout_s)
        raise NotFound(f"the config of variant {variant!r} of endpoint {endpoint!r} was deleted")

    def _find_in_folder(self, name: str, owner: Model) -> Model:
        url = f"{owner.modelport.models}{name}"
        bucket, _, object_key = url.removeprefix("s3://").partition("/")
        try:
            digest = self._objects.digest_of(bucket, object_key)
        except NotFound as error:
            raise NotFound(
                f"Failed to download model data(bucket: {bucket}, key: {object_key}). Please ensure that "
                "there is an object located at the URL"
            ) from error
        container = replace(owner.spec.primary_container, model_data_url=url, mode=None)
        notes = ModelNotes(digest="", model_version=owner.name)
        return unrecorded(f"{owner.name}/{name}@{digest}", container, notes, owner.created_at)

    def _give_up(self, key: HostedKey, reason: str, now: float, *, known: bool = True) -> None:
        """Let nobody wait for a model any more."""
        guest = self._guests.pop(key, None)
        if guest is not None:
            self._archives.forget(archive_key(guest.model))
        if known:  # else it may be uploaded at any moment, and looking costs next to nothing
            self._hopeless[key] = (reason, now + PATIENCE_S)
        self._refuse(key, reason, known=known)

    def _refuse(self, key: HostedKey, reason: str, *, known: bool) -> None:
        if self._asked.pop(key, None) is not None:
            _log.warning("hosted.refused", place=key.place[:2], model=key.name, reason=reason)
            self._news.refuse(HostedName(*key.place, key.name), reason, known=known)

    def _let_leave(self, look: Look, observed: Observed, now: float) -> None:
        """Take out what nobody asked for long, and what is too much."""
        by = {
            place: hosting.by
            for route in observed.active.endpoints
            for place, _, hosting in places_in(route)
            if hosting.by is not HostedBy.COMPONENT and place not in look.fixed
        }
        uses = {
            HostedKey(place, model.name): Use(
                by[place], model, self._used.setdefault(HostedKey(place, model.name), now)
            )
            for place, models in look.hosted.items()
            if place in by
            for model in models
        }
        for key in choose_leaving(uses, now, self._limits):
            models = tuple(model for model in look.hosted[key.place] if model.name != key.name)
            look.hosted[key.place] = models

    def _forget(self, look: Look, now: float) -> None:
        """Forget what nobody speaks of any more."""
        for key in [key for key, at in self._asked.items() if now - at > ASK_S]:
            del self._asked[key]
        for key in [key for key in self._guests if key not in self._asked]:
            guest = self._guests.pop(key)
            self._archives.forget(archive_key(guest.model))
        self._hopeless = {key: value for key, value in self._hopeless.items() if now < value[1]}
        there = {HostedKey(place, model.name) for place, models in look.hosted.items() for model in models}
        self._used = {key: at for key, at in self._used.items() if key in there or key in self._asked}

    # ── Components ──────────────────────────────────────────────────────────────────────────────

    def _look_at_components(
        self, place: Place, hosting: Hosting, snapshot: Snapshot, observed: Observed, look: Look
    ) -> None:
        served = {model.name: model for model in hosting.models if model.digest not in observed.broken}
        there: dict[str, HostedRoute] = {}
        for component in snapshot.components():
            if components.key_of(component).place != place or component.modelport.deleting:
                continue
            outlook = self._judge_component(component, snapshot, observed, look.blamed)
            look.outlooks[component.name] = outlook
            serving = served.get(component.name)
            if outlook.run is not None and (serving is None or serving.replicas != outlook.run.names):
                look.runs.append(outlook.run)
            now_or_then = outlook.route or serving
            if now_or_then is not None:
                there[component.name] = now_or_then
        look.hosted[place] = tuple(there[name] for name in sorted(there))

    def _judge_component(
        self,
        component: InferenceComponent,
        snapshot: Snapshot,
        observed: Observed,
        blame: Mapping[HostedKey, str],
    ) -> Outlook:
        key = components.key_of(component)
        if key in blame:
            return Outlook(problem=blame[key])
        if component.settled and component.status.failure_reason is not None:
            return Outlook()  # a new wish tries anew
        guest = components.guest_of(component, snapshot.model(component.spec.model_name or ""))
        if guest is None:
            gone = f"model {component.spec.model_name!r} does not exist"
            return Outlook() if component.settled else Outlook(problem=gone)
        outlook = judge_guest(guest, observed, self._archives.found())
        if outlook.problem is not None and component.settled:
            return Outlook()  # what was ready serves on; a replica that ended comes back
        self._start(outlook)
        return outlook

    def _start(self, outlook: Outlook) -> None:
        if isinstance(outlook.needs, LookInto):
            self._archives.start(outlook.needs.model)
        elif isinstance(outlook.needs, TryModel):
            self._canaries.start(outlook.needs.digest)


def _coming(place: Place, observed: Observed) -> tuple[HostedRoute, ...] | None:
    """Return what a place hosts by the table on its way; None where none is that changes it."""
    rollout = observed.rollout
    if rollout is None or rollout.state is RolloutState.FAILED:
        return None
    route = rollout.changes.get(place[0])
    found = () if route is None else (hosting.models for at, _, hosting in places_in(route) if at == place)
    return next(iter(found), None)


def _key_of(name: HostedName) -> HostedKey:
    return HostedKey((name.endpoint, name.variant, name.source), name.name)
