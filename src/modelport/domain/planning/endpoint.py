"""What to do next about one endpoint.

Level-triggered: the plan follows from the wish and from what is observed now, never from what was done
before, so a control process that died between any two steps goes on where it was.

    look into each archive ─► try each model that is new ─► ask for the route ─► (rollout)
                              start replicas of code         ─► every worker serves it ─► InService

Whatever fails before the table is active changes nothing of what serves: an update goes back to the config
that serves, a first create is Failed. Both say why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from modelport.domain.deployment import Shift, Tally, read_shift
from modelport.domain.endpoint import (
    Endpoint,
    EndpointConfig,
    EndpointState,
    EndpointStatus,
    VariantSummary,
)
from modelport.domain.planning.guardrails import Done, Note, Sides, Wait, next_step, turn_back
from modelport.domain.planning.replicas import VariantReplicas, names_in, replicas_of, too_many
from modelport.domain.planning.rollout import Rollout, RolloutState
from modelport.domain.planning.routes import Hosted, bare, digests_of, fill, places_in, route_of
from modelport.domain.planning.traffic import weights_of
from modelport.domain.registry import Model
from modelport.domain.routes import EndpointRoute, RouteTable

REASON_LENGTH_MAX = 1_024


class TrialState(StrEnum):
    """Where the first load of a model stands."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Trial:
    """The first load of a model, in a process that may die of it. `reason`: why it failed."""

    state: TrialState
    reason: str | None = None


ArchiveKey = tuple[str, datetime]
"""A Model's name, and when it was made: another one of its name may point elsewhere."""


def archive_key(model: Model) -> ArchiveKey:
    """Return what names the archive of a Model."""
    return model.name, model.created_at


@dataclass(frozen=True, slots=True)
class Observed:
    """What is so, apart from the records.

    Args:
        active: The table that serves.
        everywhere: Every live worker serves by it, and enough of them are there.
        lagging: Some live worker serves by an older one.
        rollout: The table on its way, None when there is none.
        trials: Model digest to its first load; a digest that was not tried is absent.
        archives: Looks into archives that are under way or failed.
        replicas: Replica name to how its start stands; one that is not to run is absent.
        alarming: Names of the alarms that are in ALARM.
        tallies: Endpoint name to model version to what came of its requests; only where traffic moves.
        wait_scale: What the waits of deployment configs are multiplied by.
        hosted: What variants are to host that host models; each of them has been tried.
        broken: Models of the active table that some worker does not have, with the reason.
        served: Endpoint name to its route in the active table.
        kept: What of `hosted` the active table has already: a table for a wish adds no other model, for
            whose failure that wish would be to blame.
        proven: Models of the active table that every worker has.
    """

    active: RouteTable
    everywhere: bool
    lagging: bool
    rollout: Rollout | None
    trials: Mapping[str, Trial]
    broken: Mapping[str, str]
    archives: Mapping[ArchiveKey, Trial] = field(default_factory=dict)
    replicas: Mapping[str, Trial] = field(default_factory=dict)
    alarming: frozenset[str] = frozenset()
    tallies: Mapping[str, Mapping[str, Tally]] = field(default_factory=dict)
    wait_scale: float = 1.0
    hosted: Hosted = field(default_factory=dict)
    served: Mapping[str, EndpointRoute] = field(init=False)
    kept: Hosted = field(init=False)
    proven: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        """Look once at what is asked for each of a thousand endpoints."""
        object.__setattr__(self, "served", {route.endpoint: route for route in self.active.endpoints})
        object.__setattr__(self, "kept", _kept(self.active, self.hosted))
        object.__setattr__(self, "proven", self.active.digests() - self.broken.keys())


def _kept(active: RouteTable, hosted: Hosted) -> Hosted:
    kept = {}
    for route in active.endpoints:
        for place, _, hosting in places_in(route):
            wanted = set(hosted.get(place, ()))
            kept[place] = tuple(model for model in hosting.models if model in wanted)
    return kept


@dataclass(frozen=True, slots=True)
class Before:
    """What an endpoint serves while it moves to another config.

    Args:
        config: The config.
        models: Those of its Models that exist, by name.
    """

    config: EndpointConfig
    models: Mapping[str, Model]


@dataclass(frozen=True, slots=True)
class TryModel:
    """Load a model once, where it may crash."""

    digest: str


@dataclass(frozen=True, slots=True)
class LookInto:
    """Find out what model a Model's archive holds."""

    model: Model


@dataclass(frozen=True, slots=True)
class Run:
    """Let replicas run, beside those of the table that serves."""

    replicas: tuple[VariantReplicas, ...]


@dataclass(frozen=True, slots=True)
class Want:
    """Ask for a table in which this endpoint has this route; None: none.

    `beside` the wish: it changes only what variants host, and waits for tables that wishes need.
    """

    endpoint: str
    route: EndpointRoute | None
    beside: bool = False


@dataclass(frozen=True, slots=True)
class Settle:
    """Write the endpoint back: its wish has come true, or will not."""

    endpoint: Endpoint
    message: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Forget the endpoint: nothing serves it any more."""

    endpoint: Endpoint


Action = TryModel | LookInto | Run | Want | Note | Settle | Remove


def plan(
    endpoint: Endpoint,
    config: EndpointConfig | None,
    models: Mapping[str, Model],
    observed: Observed,
    now: datetime,
    before: Before | None = None,
) -> tuple[Action, ...]:
    """Return what to do now about an endpoint; nothing when it is as it should be, or when to wait.

    Args:
        endpoint: Wish and last known state.
        config: The config it wishes for; None when there is none of that name.
        models: Those of the config's Models that exist, by name.
        observed: What is so.
        now: The time, aware, UTC.
        before: What serves while it moves to another config; None: nothing, or it is not known any more.
    """
    served = observed.served.get(endpoint.name)
    if endpoint.modelport.deleting:
        if served is not None:
            return (Want(endpoint.name, None),)
        return () if observed.lagging else (Remove(endpoint),)
    if endpoint.settled and endpoint.status.endpoint_status is EndpointStatus.FAILED:
        return () if served is None else (Want(endpoint.name, None),)
    if endpoint.settled and served is not None:
        # It goes on, even where its config or a Model of it is gone, or one of that name points elsewhere.
        return _keep(endpoint, served, observed, now)
    problem = _missing(endpoint, config, models)
    if problem is not None or config is None:
        return (_give_up(endpoint, served, str(problem), now),)
    unknown = [model for model in models.values() if not model.modelport.known]
    if unknown:
        actions = _look_into(endpoint, unknown, served, observed, now)
    else:
        actions = _pursue(endpoint, config, models, served, observed, now, before)
    return (*actions, *_meanwhile(actions, served, observed))


def _pursue(
    endpoint: Endpoint,
    config: EndpointConfig,
    models: Mapping[str, Model],
    served: EndpointRoute | None,
    observed: Observed,
    now: datetime,
    before: Before | None,
) -> tuple[Action, ...]:
    """Return the next actions towards a wish whose every Model is known."""
    replicas = replicas_of(endpoint.name, config.spec, endpoint.modelport.instance_counts, models)
    problem = too_many(replicas)
    if problem is not None:
        return (_give_up(endpoint, served, problem, now),)
    names = {(one.variant, one.step): one.names for one in replicas}
    goal = route_of(endpoint.name, config.spec, endpoint.modelport.weights, models, names)
    goal = fill(goal, observed.kept, awake=True)
    if before is not None and served is not None and _is_guarded(endpoint, before):
        return _guard(endpoint, config, goal, replicas, served, observed, now, before)
    if served is not None and bare(served) == bare(goal) and _is_sound(goal, observed):
        if (coming := _on_its_way(observed.rollout, goal)) is not None:
            return (coming,)  # a worker that was mended needs the new table to serve by
        return (_succeed(endpoint, config, observed.active.revision, now),) if observed.everywhere else ()
    actions = _reach(endpoint, goal, served, observed, now)
    if endpoint.status.endpoint_status is EndpointStatus.ROLLING_BACK and _settles(actions):
        actions = (Want(endpoint.name, goal),)  # it served before: there is nothing else to go back to
    return (Run(replicas), *actions) if replicas and not _settles(actions) else actions


def _is_guarded(endpoint: Endpoint, before: Before) -> bool:
    wish, status = endpoint.spec, endpoint.status.endpoint_status
    return (
        bool(wish.deployment_config)
        and status is EndpointStatus.UPDATING
        and before.config.name != wish.endpoint_config_name
        and all(model.modelport.known for model in before.models.values())
        and _missing(endpoint, before.config, before.models) is None
    )


def _guard(
    endpoint: Endpoint,
    config: EndpointConfig,
    goal: EndpointRoute,
    replicas: tuple[VariantReplicas, ...],
    served: EndpointRoute,
    observed: Observed,
    now: datetime,
    before: Before,
) -> tuple[Action, ...]:
    """Return the next actions where traffic moves step by step; the replicas of both sides run meanwhile."""
    old, old_replicas = _serving(endpoint, before)
    old = fill(old, observed.kept, awake=True)
    running = (*old_replicas, *replicas)
    sides = Sides(old, goal, before.config.name, config.name)
    instances = sum(item.initial_instance_count for item in config.spec.production_variants)
    shift = _scaled(read_shift(endpoint.spec.deployment_config, instances), observed.wait_scale)

    def serves(route: EndpointRoute) -> bool:
        return bare(served) == bare(route) and _is_sound(route, observed) and observed.everywhere

    step = next_step(
        endpoint,
        sides,
        shift,
        serves=serves,
        alarming=observed.alarming,
        tallies=observed.tallies.get(endpoint.name, {}),
        now=now,
    )
    if isinstance(step, Done):
        return (_succeed(endpoint, config, observed.active.revision, now),)
    if isinstance(step, Note):
        return (Run(running), step)
    if isinstance(step, Wait):
        return (Run(running),)
    if bare(served) == bare(step.route) and _is_sound(step.route, observed):
        coming = _on_its_way(observed.rollout, step.route)  # else some worker has still to activate it
        actions: tuple[Action, ...] = () if coming is None else (coming,)
    else:
        actions = _reach(endpoint, step.route, served, observed, now)
    return (Run(running), *actions)


def _serving(endpoint: Endpoint, before: Before) -> tuple[EndpointRoute, tuple[VariantReplicas, ...]]:
    """Return the route of what serves while an endpoint moves on, and its replicas."""
    serving = endpoint.status.production_variants
    counts = {item.variant_name: item.current_instance_count for item in serving}
    weights = {item.variant_name: item.current_weight for item in serving}
    replicas = replicas_of(endpoint.name, before.config.spec, counts, before.models)
    names = {(one.variant, one.step): one.names for one in replicas}
    return route_of(endpoint.name, before.config.spec, weights, before.models, names), replicas


def _scaled(shift: Shift, by: float) -> Shift:
    timeout_s = None if shift.timeout_s is None else shift.timeout_s * by
    return replace(
        shift,
        wait_s=shift.wait_s * by,
        termination_wait_s=shift.termination_wait_s * by,
        timeout_s=timeout_s,
    )


def _settles(actions: Sequence[Action]) -> bool:
    return any(isinstance(action, Settle) for action in actions)


def _keep(endpoint: Endpoint, served: EndpointRoute, observed: Observed, now: datetime) -> tuple[Action, ...]:
    """Return the next actions where what is wished serves: nothing, unless a worker lost a model.

    What its variants host may change, which is no matter of the wish.
    """
    if not _is_sound(served, observed):
        return _reach(endpoint, fill(served, observed.kept, awake=True), served, observed, now)
    goal = fill(served, observed.hosted)
    if goal != served:
        return (Want(endpoint.name, goal, beside=True),)
    coming = _on_its_way(observed.rollout, served)
    return () if coming is None else (coming,)


def _meanwhile(
    actions: Sequence[Action], served: EndpointRoute | None, observed: Observed
) -> tuple[Action, ...]:
    """Return what is to be hosted meanwhile, where a wish is under way and needs no table just now."""
    if served is None or not _is_sound(served, observed):
        return ()
    if any(isinstance(action, Want | Settle | Note) for action in actions):
        return ()
    goal = fill(served, observed.hosted, awake=True)
    return () if goal == served else (Want(served.endpoint, goal, beside=True),)


def _is_sound(route: EndpointRoute, observed: Observed) -> bool:
    return not digests_of([bare(route)]) & observed.broken.keys()


def _look_into(
    endpoint: Endpoint,
    unknown: Sequence[Model],
    served: EndpointRoute | None,
    observed: Observed,
    now: datetime,
) -> tuple[Action, ...]:
    """Return the next actions where nobody knows yet what some archives hold."""
    for model in unknown:
        look = observed.archives.get(archive_key(model))
        if look is not None and look.state is TrialState.FAILED:
            return (_give_up(endpoint, served, f"model {model.name!r} cannot be served: {look.reason}", now),)
    return tuple(LookInto(model) for model in unknown if archive_key(model) not in observed.archives)


def _reach(
    endpoint: Endpoint,
    goal: EndpointRoute,
    served: EndpointRoute | None,
    observed: Observed,
    now: datetime,
) -> tuple[Action, ...]:
    """Return the next actions towards a route that does not serve yet, or not soundly."""
    needed = digests_of([bare(goal)])
    rollout = observed.rollout
    if rollout is not None and _is_to_blame(rollout, goal):
        return (_give_up(endpoint, served, _blame(goal, rollout.digest, rollout.reason), now),)
    missing: list[Action] = []
    waiting = False
    for digest in sorted(needed - observed.proven):
        trial = observed.trials.get(digest)
        if trial is None:
            missing.append(TryModel(digest))
        elif trial.state is TrialState.FAILED:
            return (_give_up(endpoint, served, _blame(goal, digest, trial.reason), now),)
        elif trial.state is TrialState.RUNNING:
            waiting = True
    for name in sorted(names_in([bare(goal)])):
        start = observed.replicas.get(name)
        if start is not None and start.state is TrialState.FAILED:
            return (_give_up(endpoint, served, _blame_code(goal, name, start.reason), now),)
        waiting |= start is None or start.state is not TrialState.PASSED
    if missing or waiting:
        return tuple(missing)
    return (Want(endpoint.name, goal),)


def _succeed(endpoint: Endpoint, config: EndpointConfig, revision: int, now: datetime) -> Settle:
    weights = weights_of(config.spec, endpoint.modelport.weights)
    before = endpoint.status
    notes = replace(
        endpoint.modelport,
        revision=revision,
        in_service_at=now,
        stage=None,
        last_deployment_config=endpoint.spec.deployment_config or endpoint.modelport.last_deployment_config,
        served=endpoint.modelport.served
        | {
            item.variant_name: item.model_name
            for item in config.spec.production_variants + config.spec.shadow_production_variants
        },
    )
    weights_before = {item.variant_name: item.current_weight for item in before.production_variants}
    if before.endpoint_config_name is not None and (before.endpoint_config_name, weights_before) != (
        config.name,
        weights,
    ):
        notes = replace(notes, previous_config=before.endpoint_config_name, previous_weights=weights_before)
    counts = {
        item.variant_name: notes.instance_counts.get(item.variant_name, item.initial_instance_count)
        for item in config.spec.production_variants
    }
    settled = replace(
        endpoint,
        status=EndpointState(
            endpoint_status=EndpointStatus.IN_SERVICE,
            endpoint_config_name=config.name,
            failure_reason=(
                before.failure_reason if before.endpoint_status is EndpointStatus.ROLLING_BACK else None
            ),
            production_variants=tuple(
                VariantSummary(name, weight, weight, counts[name], counts[name])
                for name, weight in weights.items()
            ),
        ),
        modelport=notes,
        observed_generation=endpoint.generation,
        modified_at=now,
    )
    return Settle(settled, f"InService with config {config.name}, revision {revision}")


def _give_up(endpoint: Endpoint, served: EndpointRoute | None, reason: str, now: datetime) -> Settle | Note:
    """Return the end of a wish that cannot come true; where traffic has begun to move it goes back first."""
    config = endpoint.status.endpoint_config_name
    if endpoint.modelport.stage is not None and config is not None:
        return turn_back(endpoint, config, reason, now)
    return _fail(endpoint, served, reason, now)


def _fail(endpoint: Endpoint, served: EndpointRoute | None, reason: str, now: datetime) -> Settle:
    reason = reason if len(reason) <= REASON_LENGTH_MAX else reason[: REASON_LENGTH_MAX - 1] + "…"
    config = endpoint.status.endpoint_config_name
    if served is not None and config is not None and not endpoint.settled:
        serving = endpoint.status.production_variants
        notes = replace(
            endpoint.modelport,
            weights={item.variant_name: item.current_weight for item in serving},
            instance_counts={item.variant_name: item.current_instance_count for item in serving},
            stage=None,
        )
        back = replace(
            endpoint,
            spec=replace(endpoint.spec, endpoint_config_name=config),
            status=replace(
                endpoint.status,
                endpoint_status=EndpointStatus.IN_SERVICE,
                failure_reason=reason,
                production_variants=tuple(
                    replace(
                        item,
                        desired_weight=item.current_weight,
                        desired_instance_count=item.current_instance_count,
                    )
                    for item in serving
                ),
            ),
            modelport=notes,
            observed_generation=endpoint.generation,
            modified_at=now,
        )
        return Settle(back, f"back to config {config}: {reason}")
    failed = replace(
        endpoint,
        status=replace(
            endpoint.status,
            endpoint_status=EndpointStatus.FAILED,
            endpoint_config_name=None,
            failure_reason=reason,
            production_variants=tuple(
                replace(item, current_weight=0.0) for item in endpoint.status.production_variants
            ),
        ),
        observed_generation=endpoint.generation,
        modified_at=now,
    )
    return Settle(failed, f"Failed: {reason}")


def _on_its_way(rollout: Rollout | None, goal: EndpointRoute) -> Want | None:
    """Return what asks for the table on its way that has a route; None where there is none, or it failed."""
    if rollout is None or rollout.state is RolloutState.FAILED:
        return None
    coming = rollout.changes.get(goal.endpoint)
    return Want(goal.endpoint, coming) if coming is not None and bare(coming) == bare(goal) else None


def _is_to_blame(rollout: Rollout, goal: EndpointRoute) -> bool:
    """Return whether a table failed because of this route; where no single route is to blame, all are."""
    asked = rollout.changes.get(goal.endpoint)
    if rollout.state is not RolloutState.FAILED or asked is None or bare(asked) != bare(goal):
        return False
    guilty = rollout.digest if rollout.digest in digests_of(rollout.changes.values()) else None
    return guilty is None or guilty in digests_of([bare(goal)])


def _missing(endpoint: Endpoint, config: EndpointConfig | None, models: Mapping[str, Model]) -> str | None:
    if config is None:
        return f"endpoint config {endpoint.spec.endpoint_config_name!r} does not exist"
    for variant in config.spec.production_variants + config.spec.shadow_production_variants:
        if variant.model_name and variant.model_name not in models:
            return f"model {variant.model_name!r} of variant {variant.variant_name!r} does not exist"
    return None


def _blame_code(goal: EndpointRoute, name: str, reason: str | None) -> str:
    variant = next(item for item in goal.variants if name in names_in([EndpointRoute("", (item,))]))
    return f"the code of {variant.model_version!r} does not start: {reason or 'it said nothing'}"


def _blame(goal: EndpointRoute, digest: str | None, reason: str | None) -> str:
    """Return why a route cannot serve, naming the version at fault."""
    told = reason or "it does not load"
    version = next((item.model_version for item in goal.variants if digest in item.digests()), None)
    return told if version is None else f"{version} cannot serve: {told}"
