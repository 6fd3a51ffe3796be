"""Models, endpoint configs and endpoints: the wishes that change what serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from modelport.control.services.models import find_or_create_model, fresh_model
from modelport.control.services.page import Page, bounded
from modelport.control.services.registry import (
    check_no_job_uses,
    config_names,
    endpoints_using,
    resolve,
)
from modelport.domain.endpoint import (
    Endpoint,
    EndpointConfig,
    EndpointConfigSpec,
    EndpointNotes,
    EndpointSpec,
    EndpointState,
    EndpointStatus,
    VariantSummary,
)
from modelport.domain.errors import Conflict, NotFound, Refused
from modelport.domain.names import NAME_LENGTH_MAX, VersionReference, check_name
from modelport.domain.planning.traffic import (
    add_variant,
    change_weights,
    check_config,
    choose_variant_name,
    promote_variant,
    weights_of,
)
from modelport.domain.registry import ApprovalStatus, Model, ModelPackage
from modelport.domain.resource import Kind, Nothing, Resource, Tag
from modelport.stores.records.records import Records
from modelport.stores.records.transaction import Transaction

MADE_BY = Tag("modelport:made-by", "deploy")
"""Marks a config that a deploy, promote or rollback made; once nothing points at it, retention removes it."""


class Endpoints:
    """What serves.

    Args:
        records: Where wishes are kept.
        wake: Called after each new wish.
    """

    def __init__(self, records: Records, wake: Callable[[], None]) -> None:
        self._records = records
        self._wake = wake

    # ── Models ──────────────────────────────────────────────────────────────────────────────────

    def create_model(
        self, name: str, reference: VersionReference, *, tags: Sequence[Tag] = (), principal: str
    ) -> Model:
        """Make a deployable pointer to the version a reference points at now.

        Raises:
            InvalidInput: The name is not allowed.
            NotFound: There is no such version.
            Refused: The version is not approved.
            Conflict: The name is taken.
        """
        check_name(name, what="model")
        with self._records.transaction(principal=principal) as tx:
            return fresh_model(tx, name, resolve(tx, reference), tags)

    def model(self, name: str) -> Model:
        """Return a Model.

        Raises:
            NotFound: There is none of that name.
        """
        with self._records.reading() as tx:
            return tx.get(Kind.MODEL, name)

    def models(self, *, after: str | None = None, limit: int | None = None) -> Page[Model]:
        """Return all Models, by name."""
        size = bounded(limit)
        with self._records.reading() as tx:
            found = tx.all(Kind.MODEL, after=after, limit=size + 1)
        return Page(tuple(found[:size]), found[size - 1].name if len(found) > size else None)

    def delete_model(self, name: str, *, principal: str) -> None:
        """Delete a Model.

        Raises:
            NotFound: There is none of that name.
            Conflict: An endpoint, or a job that has not ended, uses it.
        """
        with self._records.transaction(principal=principal) as tx:
            tx.get(Kind.MODEL, name)
            users = endpoints_using(tx, [name])
            if users:
                raise Conflict(
                    f"model {name!r} is used by endpoint {users[0]!r}",
                    hint=f"deploy another version to it, or: modelport undeploy {users[0]}",
                )
            check_no_job_uses(tx, [name])
            tx.remove(Kind.MODEL, name)
            tx.event("delete", Kind.MODEL, name)

    # ── Configs ─────────────────────────────────────────────────────────────────────────────────

    def create_config(self, spec: EndpointConfigSpec, *, principal: str) -> EndpointConfig:
        """Make a config. It is never changed afterwards.

        Raises:
            InvalidInput: A name is not allowed, or the config could not serve.
            NotFound: A variant's Model does not exist.
            Conflict: The name is taken.
        """
        check_name(spec.endpoint_config_name, what="endpoint config")
        for variant in spec.production_variants + spec.shadow_production_variants:
            check_name(variant.variant_name, what="variant")
        check_config(spec)
        with self._records.transaction(principal=principal) as tx:
            for variant in spec.production_variants + spec.shadow_production_variants:
                tx.get(Kind.MODEL, variant.model_name)
            return _create_config(tx, spec)

    def config(self, name: str) -> EndpointConfig:
        """Return a config.

        Raises:
            NotFound: There is none of that name.
        """
        with self._records.reading() as tx:
            return tx.get(Kind.ENDPOINT_CONFIG, name)

    def configs(self, *, after: str | None = None, limit: int | None = None) -> Page[EndpointConfig]:
        """Return all configs, by name."""
        size = bounded(limit)
        with self._records.reading() as tx:
            found = tx.all(Kind.ENDPOINT_CONFIG, after=after, limit=size + 1)
        return Page(tuple(found[:size]), found[size - 1].name if len(found) > size else None)

    def delete_config(self, name: str, *, principal: str) -> None:
        """Delete a config.

        Raises:
            NotFound: There is none of that name.
            Conflict: An endpoint serves it or is about to.
        """
        with self._records.transaction(principal=principal) as tx:
            tx.get(Kind.ENDPOINT_CONFIG, name)
            for endpoint in tx.all(Kind.ENDPOINT):
                if name in config_names(endpoint):
                    raise Conflict(
                        f"endpoint config {name!r} is used by endpoint {endpoint.name!r}",
                        hint=f"update that endpoint first, or: modelport undeploy {endpoint.name}",
                    )
            tx.remove(Kind.ENDPOINT_CONFIG, name)
            tx.event("delete", Kind.ENDPOINT_CONFIG, name)

    # ── Endpoints, as SageMaker has them ────────────────────────────────────────────────────────

    def create(self, spec: EndpointSpec, *, principal: str) -> Endpoint:
        """Wish for a new endpoint. It is Creating until every worker serves it.

        Raises:
            InvalidInput: The name is not allowed.
            NotFound: There is no such config, or a Model of it is gone.
            Refused: A version of it is not approved.
            Conflict: The name is taken.
        """
        check_name(spec.endpoint_name, what="endpoint")
        with self._records.transaction(principal=principal) as tx:
            config: EndpointConfig = tx.get(Kind.ENDPOINT_CONFIG, spec.endpoint_config_name)
            _check_approval(tx, config.spec, serving=None)
            endpoint = _create_endpoint(tx, spec, config.spec)
        self._wake()
        return endpoint

    def update(self, name: str, config_name: str, *, principal: str) -> Endpoint:
        """Wish for another config. Weights set by hand are forgotten, as SageMaker forgets them.

        Raises:
            NotFound: There is no such endpoint or config.
            Refused: A version it would newly serve is not approved.
            Conflict: The endpoint is changing.
        """
        with self._records.transaction(principal=principal) as tx:
            endpoint = _changeable(tx, name)
            config: EndpointConfig = tx.get(Kind.ENDPOINT_CONFIG, config_name)
            _check_approval(tx, config.spec, serving=_serving(tx, endpoint))
            endpoint = _wish(tx, endpoint, config_name, {}, f"config {config_name}")
        self._wake()
        return endpoint

    def set_weights(self, name: str, weights: Mapping[str, float], *, principal: str) -> Endpoint:
        """Wish for other weights. Variants left out keep theirs.

        Raises:
            InvalidInput: A variant is unknown, a weight is negative, or all would be 0.
            NotFound: There is no such endpoint.
            Conflict: The endpoint is changing, or serves nothing.
        """
        with self._records.transaction(principal=principal) as tx:
            endpoint = _changeable(tx, name)
            config = _served_config(tx, endpoint)
            wished = change_weights(weights_of(config, endpoint.modelport.weights), weights)
            told = ", ".join(f"{variant} {weight:g}" for variant, weight in wished.items())
            endpoint = _wish(tx, endpoint, config.endpoint_config_name, wished, f"weights {told}")
        self._wake()
        return endpoint

    def delete(self, name: str, *, principal: str) -> Endpoint:
        """Wish that an endpoint be gone. Captures and labels stay. Nothing happens when it is Deleting.

        Raises:
            NotFound: There is no such endpoint.
        """
        with self._records.transaction(principal=principal) as tx:
            endpoint: Endpoint = tx.get(Kind.ENDPOINT, name)
            if not endpoint.modelport.deleting:
                endpoint = replace(
                    endpoint,
                    status=replace(endpoint.status, endpoint_status=EndpointStatus.DELETING),
                    modelport=replace(endpoint.modelport, deleting=True),
                    generation=endpoint.generation + 1,
                    modified_at=tx.now,
                )
                tx.put(endpoint)
                tx.event("delete", Kind.ENDPOINT, name)
        self._wake()
        return endpoint

    def describe(self, name: str) -> Endpoint:
        """Return an endpoint.

        A wish of generation g has come true when `observed_generation >= g`, the status is InService and
        `failure_reason` is None.

        Raises:
            NotFound: There is none of that name.
        """
        with self._records.reading() as tx:
            return tx.get(Kind.ENDPOINT, name)

    def list(self, *, after: str | None = None, limit: int | None = None) -> Page[Endpoint]:
        """Return all endpoints, by name."""
        size = bounded(limit)
        with self._records.reading() as tx:
            found = tx.all(Kind.ENDPOINT, after=after, limit=size + 1)
        return Page(tuple(found[:size]), found[size - 1].name if len(found) > size else None)

    # ── Composed wishes ─────────────────────────────────────────────────────────────────────────

    def deploy(
        self,
        endpoint: str,
        reference: VersionReference,
        *,
        traffic_percent: float | None = None,
        shadow: bool = False,
        capture_percent: float | None = None,
        principal: str,
    ) -> Endpoint:
        """Wish that a version serve: Model, config and endpoint in one.

        Args:
            endpoint: Its name; made when there is none.
            reference: The version; an alias is resolved now.
            traffic_percent: Its true share, 0 to 100, the others scaled; None: it replaces all others.
            shadow: It gets copies of the requests beside the others and answers nobody.
            capture_percent: Share of requests to keep, 0 to 100; None keeps what is.
            principal: Who asks.

        Raises:
            InvalidInput: A name or percentage is not allowed, or nothing would take the rest of the traffic.
            NotFound: There is no such version.
            Refused: It is not approved.
            Conflict: The endpoint is changing.
        """
        check_name(endpoint, what="endpoint")
        with self._records.transaction(principal=principal) as tx:
            package = resolve(tx, reference)
            current: Endpoint | None = tx.find(Kind.ENDPOINT, endpoint)
            base = None
            weights: dict[str, float] = {}
            if current is not None:
                current = _changeable(tx, endpoint)
                base = _serving(tx, current)
                weights = {} if base is None else weights_of(base, current.modelport.weights)
            model = find_or_create_model(tx, package)
            number = package.status.model_package_version
            spec = add_variant(
                base,
                weights,
                name=_free_config_name(tx, endpoint, current),
                variant=choose_variant_name(base, str(package.parent), number, model.name),
                model=model.name,
                traffic_percent=traffic_percent,
                shadow=shadow,
                capture_percent=capture_percent,
            )
            config = _create_config(tx, replace(spec, tags=(MADE_BY,))).spec
            told = f"{package.name} as config {config.endpoint_config_name}"
            if current is None:
                wished = _create_endpoint(
                    tx, EndpointSpec(endpoint, config.endpoint_config_name), config, told
                )
            else:
                wished = _wish(tx, current, config.endpoint_config_name, {}, told)
        self._wake()
        return wished

    def promote(self, endpoint: str, variant: str, *, principal: str) -> Endpoint:
        """Wish that one variant, also a shadow, take all traffic, and the others be gone.

        Raises:
            NotFound: There is no such endpoint or variant.
            Refused: Its version is not approved any more.
            Conflict: The endpoint is changing, or serves nothing.
        """
        with self._records.transaction(principal=principal) as tx:
            current = _changeable(tx, endpoint)
            base = _served_config(tx, current)
            spec = promote_variant(base, name=_free_config_name(tx, endpoint, current), variant=variant)
            if len(base.production_variants) == 1 and base.production_variants[0].variant_name == variant:
                return current  # it has all traffic already
            _check_approval(tx, replace(spec, shadow_production_variants=()), serving=None)
            _create_config(tx, replace(spec, tags=(MADE_BY,)))
            wished = _wish(tx, current, spec.endpoint_config_name, {}, f"promote {variant}")
        self._wake()
        return wished

    def rollback(self, endpoint: str, *, principal: str) -> Endpoint:
        """Wish for the config and weights served before; while an update is under way, for what still serves.

        Raises:
            NotFound: There is no such endpoint, or a part of the old config is gone.
            Refused: A version it would newly serve is not approved any more.
            Conflict: Nothing was served before, or the endpoint is being deleted.
        """
        with self._records.transaction(principal=principal) as tx:
            current: Endpoint = tx.get(Kind.ENDPOINT, endpoint)
            _check_not_deleting(current)
            under_way = not current.settled
            notes = current.modelport
            goal = current.status.endpoint_config_name if under_way else notes.previous_config
            if goal is None:
                raise Conflict(
                    f"endpoint {endpoint!r} served nothing before",
                    hint=f"deploy another version to it, or: modelport undeploy {endpoint}",
                )
            config: EndpointConfig = tx.get(Kind.ENDPOINT_CONFIG, goal)
            weights = (
                {item.variant_name: item.current_weight for item in current.status.production_variants}
                if under_way
                else notes.previous_weights
            )
            _check_approval(tx, config.spec, serving=_serving(tx, current))
            status = EndpointStatus.ROLLING_BACK if under_way else EndpointStatus.UPDATING
            wished = _wish(tx, current, goal, weights, f"roll back to config {goal}", status)
        self._wake()
        return wished


def _changeable(tx: Transaction, name: str) -> Endpoint:
    """Return an endpoint that may get a new wish."""
    endpoint: Endpoint = tx.get(Kind.ENDPOINT, name)
    _check_not_deleting(endpoint)
    if not endpoint.settled:
        raise Conflict(
            f"endpoint {name!r} is {endpoint.status.endpoint_status.value}: an earlier change is under way",
            hint=f"wait for it, or go back: modelport rollback {name}",
        )
    return endpoint


def _check_not_deleting(endpoint: Endpoint) -> None:
    if endpoint.modelport.deleting:
        raise Conflict(
            f"endpoint {endpoint.name!r} is being deleted", hint="wait until it is gone, then create it anew"
        )


def _serving(tx: Transaction, endpoint: Endpoint) -> EndpointConfigSpec | None:
    """Return the config that serves now, None when nothing does."""
    if endpoint.status.endpoint_status is EndpointStatus.FAILED:
        return None
    name = endpoint.status.endpoint_config_name
    config: EndpointConfig | None = None if name is None else tx.find(Kind.ENDPOINT_CONFIG, name)
    return None if config is None else config.spec


def _served_config(tx: Transaction, endpoint: Endpoint) -> EndpointConfigSpec:
    config = _serving(tx, endpoint)
    if config is None:
        raise Conflict(
            f"endpoint {endpoint.name!r} serves nothing",
            hint=f"deploy a version to it: modelport deploy NAME:VERSION --endpoint {endpoint.name}",
        )
    return config


def _wish(
    tx: Transaction,
    endpoint: Endpoint,
    config: str,
    weights: Mapping[str, float],
    told: str,
    status: EndpointStatus = EndpointStatus.UPDATING,
) -> Endpoint:
    """Write a new wish for an existing endpoint."""
    wished = replace(
        endpoint,
        spec=replace(endpoint.spec, endpoint_config_name=config),
        status=replace(
            endpoint.status,
            endpoint_status=status,
            failure_reason=None,
            production_variants=tuple(
                replace(item, desired_weight=weights.get(item.variant_name, item.desired_weight))
                for item in endpoint.status.production_variants
            ),
        ),
        modelport=replace(endpoint.modelport, weights=dict(weights)),
        generation=endpoint.generation + 1,
        modified_at=tx.now,
    )
    tx.put(wished)
    tx.event("update", Kind.ENDPOINT, endpoint.name, told)
    return wished


def _create_endpoint(
    tx: Transaction, spec: EndpointSpec, config: EndpointConfigSpec, told: str | None = None
) -> Endpoint:
    weights = weights_of(config, {})
    endpoint: Endpoint = Resource(
        kind=Kind.ENDPOINT,
        name=spec.endpoint_name,
        parent=None,
        spec=spec,
        status=EndpointState(
            endpoint_status=EndpointStatus.CREATING,
            production_variants=tuple(VariantSummary(name, 0.0, weight) for name, weight in weights.items()),
        ),
        modelport=EndpointNotes(),
        generation=1,
        observed_generation=0,
        created_at=tx.now,
        modified_at=tx.now,
    )
    tx.create(endpoint)
    tx.event("create", Kind.ENDPOINT, endpoint.name, told or f"config {spec.endpoint_config_name}")
    return endpoint


def _create_config(tx: Transaction, spec: EndpointConfigSpec) -> EndpointConfig:
    config: EndpointConfig = Resource(
        kind=Kind.ENDPOINT_CONFIG,
        name=spec.endpoint_config_name,
        parent=None,
        spec=spec,
        status=Nothing(),
        modelport=Nothing(),
        generation=1,
        observed_generation=1,
        created_at=tx.now,
        modified_at=tx.now,
    )
    tx.create(config)
    tx.event("create", Kind.ENDPOINT_CONFIG, config.name)
    return config


def _free_config_name(tx: Transaction, endpoint: str, current: Endpoint | None) -> str:
    """Return a name for the config of a new wish: the endpoint's, and the wish's number."""
    number = 1 if current is None else current.generation + 1
    while True:
        suffix = f"-config-{number}"
        name = endpoint[: NAME_LENGTH_MAX - len(suffix)].rstrip("-") + suffix
        if tx.find(Kind.ENDPOINT_CONFIG, name) is None:
            return name
        number += 1


def _check_approval(tx: Transaction, config: EndpointConfigSpec, serving: EndpointConfigSpec | None) -> None:
    """Refuse a config that would newly serve a version that is not approved."""
    known = set()
    if serving is not None:
        known = {item.model_name for item in serving.production_variants + serving.shadow_production_variants}
    for variant in config.production_variants + config.shadow_production_variants:
        model: Model = tx.get(Kind.MODEL, variant.model_name)
        if variant.model_name in known:
            continue
        package: ModelPackage | None = tx.find(Kind.MODEL_PACKAGE, model.modelport.model_version)
        if package is None:
            raise NotFound(
                f"model {model.name!r} points at {model.modelport.model_version}, which was deleted",
                hint="register it again, and make a new config",
            )
        status = package.status.model_approval_status
        if status is not ApprovalStatus.APPROVED:
            raise Refused(
                f"{package.name} is {status.value}, expected Approved",
                hint=f"modelport approve {package.name}",
            )
