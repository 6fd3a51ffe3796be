"""What variants host: what a model still needs before it can be hosted, and which ones leave.

    a request waits for it ─┐
                            ├─► look into its archive ─► try it, or start its replicas ─► hosted
    a component wishes it  ─┘                                                                │
                               nobody asks it for long, or others are asked more ─► gone  ◄──┘

Each is a matter of its own: one that cannot be hosted changes nothing of its endpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from modelport.domain.planning.endpoint import (
    ArchiveKey,
    LookInto,
    Observed,
    TrialState,
    TryModel,
    archive_key,
)
from modelport.domain.planning.replicas import REPLICAS_MAX, VariantReplicas, hosted_replicas
from modelport.domain.planning.rollout import Rollout, RolloutState
from modelport.domain.planning.routes import Place, places_in
from modelport.domain.registry import ContainerDefinition, Model, ModelNotes, ModelSpec, Step
from modelport.domain.resource import Kind, Nothing, Resource
from modelport.domain.routes import EndpointRoute, HostedBy, HostedRoute, RouteTable


class HostedKey(NamedTuple):
    """A hosted model: its place, and its name there."""

    place: Place
    name: str


@dataclass(frozen=True, slots=True)
class Guest:
    """A model that is to be hosted.

    Args:
        key: Where, and under which name.
        model: What it is; maybe nobody knows yet what that serves.
        copies: Replicas, where it is code.
        start_timeout_s: Seconds one may take to be ready; None: as the settings say.
    """

    key: HostedKey
    model: Model
    copies: int = 1
    start_timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """How it stands with a guest: it can be hosted, or needs something, or never will be.

    Args:
        route: It is ready, and its requests go here.
        run: Its replicas, which are to run.
        needs: What is to be done for it now.
        problem: Why it cannot be hosted.
    """

    route: HostedRoute | None = None
    run: VariantReplicas | None = None
    needs: LookInto | TryModel | None = None
    problem: str | None = None


class Use(NamedTuple):
    """What a hosted model takes, and when it was asked last, in monotonic seconds."""

    by: HostedBy
    route: HostedRoute
    at: float


class Limits(NamedTuple):
    """How much is hosted.

    Args:
        replicas: Processes of all models together that are there because somebody asked.
        models: Models in one place that workers load.
        idle_s: Seconds after which one leaves that serves without a server.
    """

    replicas: int
    models: int
    idle_s: float


def judge_guest(guest: Guest, observed: Observed, found: Mapping[ArchiveKey, Step]) -> Outlook:
    """Return how it stands with a guest.

    Args:
        guest: The model.
        observed: What is so.
        found: What archives hold of whose Models there are no records.
    """
    model = guest.model
    notes, key = model.modelport, archive_key(model)
    if not notes.known and key in found:
        step = found[key]
        notes = replace(notes, digest=step.digest, code=step.code)
        model = replace(model, modelport=notes)
    if not notes.known:
        look = observed.archives.get(key)
        if look is None:
            return Outlook(needs=LookInto(model))
        return Outlook(problem=look.reason) if look.state is TrialState.FAILED else Outlook()
    if notes.code is not None:
        return _judge_code(guest, model, observed)
    return _judge_digest(guest.key.name, notes.digest, observed)


def _judge_digest(name: str, digest: str, observed: Observed) -> Outlook:
    if digest in observed.proven:
        return Outlook(route=HostedRoute(name, digest))
    trial = observed.trials.get(digest)
    if trial is None:
        return Outlook(needs=TryModel(digest))
    if trial.state is TrialState.PASSED:
        return Outlook(route=HostedRoute(name, digest))
    failed = trial.state is TrialState.FAILED
    return Outlook(problem=trial.reason or "it does not load") if failed else Outlook()


def _judge_code(guest: Guest, model: Model, observed: Observed) -> Outlook:
    (endpoint, variant, _), name = guest.key
    if guest.copies > REPLICAS_MAX:
        return Outlook(problem=f"it asks for {guest.copies} copies of code; one machine runs {REPLICAS_MAX}")
    run = hosted_replicas(endpoint, variant, name, model, guest.copies, guest.start_timeout_s)
    starts = [observed.replicas.get(one) for one in run.names]
    for start in starts:
        if start is not None and start.state is TrialState.FAILED:
            return Outlook(problem=f"its code does not start: {start.reason or 'it said nothing'}")
    ready = all(start is not None and start.state is TrialState.PASSED for start in starts)
    return Outlook(route=HostedRoute(name, replicas=run.names) if ready else None, run=run)


def choose_leaving(uses: Mapping[HostedKey, Use], now: float, limits: Limits) -> set[HostedKey]:
    """Return the hosted models that leave: those nobody asked for long, and where there are too many.

    Args:
        uses: Those that are there because somebody asked, or are about to be.
        now: Monotonic seconds.
        limits: How much is hosted.
    """
    leaving = {
        key
        for key, use in uses.items()
        if use.by is HostedBy.SERVERLESS and now - use.at >= limits.idle_s and use.route.replicas
    }
    oldest_first = sorted(uses.keys() - leaving, key=lambda key: uses[key].at)
    with_code = [key for key in oldest_first if uses[key].route.replicas]
    excess = sum(len(uses[key].route.replicas) for key in with_code) - limits.replicas
    for key in with_code[:-1]:  # the one asked last stays, so that one larger than all the room can serve
        if excess <= 0:
            break
        leaving.add(key)
        excess -= len(uses[key].route.replicas)
    loaded: dict[Place, list[HostedKey]] = {}
    for key in oldest_first:
        if uses[key].route.digest:
            loaded.setdefault(key.place, []).append(key)
    for keys in loaded.values():
        leaving |= set(keys[: max(0, len(keys) - limits.models)])
    return leaving


def blamed(rollout: Rollout | None, served: Mapping[str, EndpointRoute]) -> dict[HostedKey, str]:
    """Return the hosted models for which a table failed, with the reason: those that it would have added.

    Args:
        rollout: The table on its way.
        served: Endpoint name to its route in the table that serves.
    """
    if rollout is None or rollout.state is not RolloutState.FAILED:
        return {}
    there = set(_hosted_in(served.values()))
    added = set(_hosted_in(route for route in rollout.changes.values() if route is not None)) - there
    return {
        key: rollout.reason or "it does not load"
        for key, route in added
        if rollout.digest in (None, route.digest)
    }


def coming_to(place: Place, rollout: Rollout | None) -> tuple[HostedRoute, ...] | None:
    """Return what a place hosts by the table on its way; None where none is that changes it.

    Until that table serves or failed nothing else is to be hosted there: each change would call it off, and
    one that a worker's news suggests could suggest the opposite to the next.

    Args:
        place: The place.
        rollout: The table on its way.
    """
    if rollout is None or rollout.state is RolloutState.FAILED:
        return None
    route = rollout.changes.get(place[0])
    found = () if route is None else (hosting.models for at, _, hosting in places_in(route) if at == place)
    return next(iter(found), None)


def tell_changes(before: RouteTable, after: RouteTable) -> dict[str, str]:
    """Return what came and what left of the models that somebody asked for, by endpoint, for people.

    Args:
        before: The table that served.
        after: The one that serves now.
    """
    was, now = _asked_in(before), _asked_in(after)
    told: dict[str, list[str]] = {}
    for key in sorted(now.keys() - was.keys()):
        told.setdefault(key.place[0], []).append(f"hosts {key.name}" if key.name else "awake")
    for key in sorted(was.keys() - now.keys()):
        if any(key.place == place for route in after.endpoints for place, _, _ in places_in(route)):
            told.setdefault(key.place[0], []).append(f"hosts {key.name} no more" if key.name else "asleep")
    return {endpoint: "; ".join(words) for endpoint, words in told.items()}


def _asked_in(table: RouteTable) -> dict[HostedKey, HostedRoute]:
    return {
        HostedKey(place, model.name): model
        for route in table.endpoints
        for place, _, hosting in places_in(route)
        if hosting.by is not HostedBy.COMPONENT
        for model in hosting.models
    }


def _hosted_in(routes: Iterable[EndpointRoute]) -> Iterable[tuple[HostedKey, HostedRoute]]:
    for route in routes:
        for place, _, hosting in places_in(route):
            for model in hosting.models:
                yield HostedKey(place, model.name), model


def unrecorded(name: str, container: ContainerDefinition, notes: ModelNotes, created_at: datetime) -> Model:
    """Return a Model of which there is no record: one of many, or the container of a component.

    Args:
        name: Unlike that of any Model of the records, and another one where its bytes are.
        container: What it serves.
        notes: What is known of that.
        created_at: Of what it belongs to.
    """
    return Resource(
        kind=Kind.MODEL,
        name=name,
        parent=None,
        spec=ModelSpec(name, container),
        status=Nothing(),
        modelport=notes,
        generation=1,
        observed_generation=1,
        created_at=created_at,
        modified_at=created_at,
    )
