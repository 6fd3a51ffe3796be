"""Lets variants host models: hears what requests wait for, and finds, tries, starts and ends it.

What is hosted stands in the route table, so workers serve it while this process is away, and it goes on from
there when it comes back. Only since when somebody waits, and who was asked when, is kept in memory here:
workers say it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

import structlog

from modelport.control.archives import Archives
from modelport.control.canary import Canaries
from modelport.control.ownership import Ownership
from modelport.control.snapshot import Snapshot
from modelport.domain.clock import Clock
from modelport.domain.errors import NotFound
from modelport.domain.inference_component import ComponentNotes, ComponentStatus, InferenceComponent
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
from modelport.domain.registry import Model, ModelNotes
from modelport.domain.routes import HostedBy, HostedRoute, Hosting
from modelport.durable import crash_point
from modelport.wire.feed import HostedName

MODELS_MAX = 1_000
"""Of one Model of many, in one place, so many stand in the table; those asked last."""

ASK_S = 5.0
"""A request that waits is spoken of every second; what nobody spoke of for so long, nobody waits for."""

PATIENCE_S = 5.0
PATIENCE_MAX_S = 600.0
"""A model that failed is not tried again for so long, four times longer each time, whoever asks for it."""

FAILED_TABLE_S = 60.0
"""As PATIENCE_S, for one that a table failed for: while workers tried to load it, no other one could come."""

SETBACKS_MAX = 3
"""Times a component's model may be lost by workers before it is Failed: it may kill them."""

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
        self._setbacks: dict[HostedKey, Setback] = {}
        self._lost: frozenset[str] = frozenset()  # what some worker does not have

    def look(self, snapshot: Snapshot, observed: Observed) -> Look:
        """See what is to be hosted, and do what that needs.

        Args:
            snapshot: The records.
            observed: What is so.
        """
        now = self._clock.monotonic()
        self._hear(now)
        look = Look(self._note_setbacks(observed, now))
        for route in observed.active.endpoints:
            for place, _, hosting in places_in(route):
                look.places.add(place)
                coming = _coming(place, observed)
                if hosting.by is HostedBy.COMPONENT:
                    self._look_at_components(place, hosting, snapshot, observed, look)
                else:
                    self._look_at_asked(place, hosting, snapshot, observed, look)
                if coming is not None:  # one change after the other
                    look.hosted[place] = coming
                    look.fixed.add(place)
        self._let_leave(look, snapshot, observed, now)
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
            there = served.get(components.key_of(component))
            if component.modelport.deleting:
                if there is None and not observed.lagging and self._ownership.hold(component):
                    crash_point("component.before_remove")
                    changed |= self._ownership.remove(component, "gone")
                    self._forget_archive(component)
                continue
            settled = components.settle(
                component,
                self._outlook_of(component, snapshot, look),
                None if there is None or there.digest in observed.broken else there,
                self._notes_of(component, snapshot),
                everywhere=observed.everywhere,
                now=self._clock.now(),
            )
            if settled is not None and self._ownership.hold(component):
                crash_point("component.before_settle")
                status = settled.status
                told = status.failure_reason or f"InService with {status.current_copy_count} copies"
                changed |= self._ownership.write_back(settled, told)
                self._forget_archive(component)
                if status.failure_reason is not None:
                    self._setbacks.pop(components.key_of(component), None)  # a new wish tries anew
        return changed

    def _outlook_of(self, component: InferenceComponent, snapshot: Snapshot, look: Look) -> Outlook:
        """Return how it stands with a component, also where its place is gone."""
        spec, endpoint = component.spec, snapshot.endpoint(component.spec.endpoint_name)
        if components.key_of(component).place in look.places:
            return look.outlooks.get(component.name, Outlook())
        if endpoint is None and spec.endpoint_name not in snapshot.damaged:
            return Outlook(problem=f"endpoint {spec.endpoint_name!r} does not exist")
        if endpoint is None or not endpoint.settled:
            return Outlook()  # it does not serve yet, or nobody can tell
        return Outlook(
            problem=f"endpoint {spec.endpoint_name!r} serves no variant {spec.variant_name!r} for components"
        )

    def _notes_of(self, component: InferenceComponent, snapshot: Snapshot) -> ComponentNotes:
        """Return what is known of what a component serves."""
        notes = component.modelport
        if component.spec.container is None:
            model = snapshot.model(component.spec.model_name or "")
            return notes if model is None else replace(notes, source=source_of(model))
        guest = components.guest_of(component, None)
        found = None if guest is None else self._archives.found().get(archive_key(guest.model))
        return notes if found is None else replace(notes, step=found)

    def _forget_archive(self, component: InferenceComponent) -> None:
        """Let the container of a component be looked into again: its notes have what was found."""
        guest = components.guest_of(component, None)
        if guest is not None:
            self._archives.forget(archive_key(guest.model))

    def _note_setbacks(self, observed: Observed, now: float) -> Mapping[HostedKey, str]:
        """Give up on what a table failed for, and on what a worker lost; return the former."""
        blame = blamed(observed.rollout, observed.served)
        for key, reason in blame.items():
            self._give_up(key, reason, now, first_s=FAILED_TABLE_S)
        lost = {digest: why for digest, why in observed.broken.items() if digest not in self._lost}
        self._lost = frozenset(observed.broken)
        for route in observed.active.endpoints if lost else ():
            for place, _, hosting in places_in(route):
                for model in hosting.models:
                    if model.digest in lost:
                        self._give_up(HostedKey(place, model.name), lost[model.digest], now, first_s=0.0)
        return blame

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
        setback = self._setbacks.get(key)
        if setback is not None and now < setback.until:
            self._refuse(key, setback.reason, known=True)
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
        item = snapshot.variant(endpoint, variant)
        timeout_s = None if item is None else item.container_startup_health_check_timeout_in_seconds
        if hosting.by is HostedBy.TARGET_MODEL:
            return Guest(key, self._find_in_folder(key.name, owner), start_timeout_s=timeout_s)
        if item is None or item.serverless_config is None:
            raise NotFound(f"the config of variant {variant!r} of endpoint {endpoint!r} was deleted")
        return Guest(key, owner, serverless_copies(item.serverless_config), timeout_s)

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

    def _give_up(
        self, key: HostedKey, reason: str, now: float, *, known: bool = True, first_s: float = PATIENCE_S
    ) -> None:
        """Let nobody wait for a model any more.

        Args:
            key: Which.
            reason: Why, in plain words.
            now: Monotonic seconds.
            known: There is such a model.
            first_s: Seconds in which it is not tried again, where it is the first time.
        """
        guest = self._guests.pop(key, None)
        if guest is not None:
            self._archives.forget(archive_key(guest.model))
        if known:  # else it may be uploaded at any moment, and looking costs next to nothing
            times = self._setbacks[key].times + 1 if key in self._setbacks else 1
            patience_s = first_s if times == 1 else min(PATIENCE_S * 4 ** (times - 2), PATIENCE_MAX_S)
            self._setbacks[key] = Setback(reason, times, now + patience_s)
        self._refuse(key, reason, known=known)

    def _refuse(self, key: HostedKey, reason: str, *, known: bool) -> None:
        if self._asked.pop(key, None) is not None:
            _log.warning("hosted.refused", place=key.place[:2], model=key.name, reason=reason)
            self._news.refuse(HostedName(*key.place, key.name), reason, known=known)

    def _let_leave(self, look: Look, snapshot: Snapshot, observed: Observed, now: float) -> None:
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

    def _forget(self, look: Look, now: float) -> None:
        """Forget what nobody speaks of any more."""
        for key in [key for key, at in self._asked.items() if now - at > ASK_S]:
            del self._asked[key]
        for key in [key for key in self._guests if key not in self._asked]:
            guest = self._guests.pop(key)
            self._archives.forget(archive_key(guest.model))
        self._setbacks = {key: one for key, one in self._setbacks.items() if now < one.until + PATIENCE_MAX_S}
        there = {HostedKey(place, model.name) for place, models in look.hosted.items() for model in models}
        self._used = {key: at for key, at in self._used.items() if key in there or key in self._asked}

    # ── Components ──────────────────────────────────────────────────────────────────────────────

    def _look_at_components(
        self, place: Place, hosting: Hosting, snapshot: Snapshot, observed: Observed, look: Look
    ) -> None:
        served = {model.name: model for model in hosting.models if model.digest not in observed.broken}
        there = {name: model for name, model in served.items() if name in snapshot.damaged_components}
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
        """Return how it stands with a component; nothing where it is Failed: a new wish tries anew."""
        failed = component.status.inference_component_status is ComponentStatus.FAILED
        if component.settled and failed:
            return Outlook()
        key = components.key_of(component)
        if key in blame:
            return Outlook(problem=blame[key])
        setback = self._setbacks.get(key)
        if setback is not None and setback.times >= SETBACKS_MAX:
            return Outlook(problem=f"{setback.reason}, {setback.times} times")
        model = snapshot.model(component.spec.model_name or "")
        if component.settled and model is not None and source_of(model) != component.modelport.source:
            model = None  # another one of its name
        guest = components.guest_of(component, model)
        if guest is None:
            return Outlook(problem=f"model {component.spec.model_name!r} does not exist any more")
        outlook = judge_guest(guest, observed, self._archives.found())
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
