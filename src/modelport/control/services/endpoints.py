"""Models, endpoint configs and endpoints: the wishes that change what serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from modelport.control.services.models import find_or_create_model, make_model
from modelport.control.services.page import Page, page_of
from modelport.control.services.references import (
    check_no_component_uses,
    check_no_job_uses,
    config_names,
    endpoints_using,
    resolve,
)
from modelport.control.services.resources import look_until_settled
from modelport.control.services.wishes import (
    MADE_BY,
    change_endpoint,
    check_approval,
    check_components_stay,
    check_deployment,
    check_kept,
    check_no_components,
    check_not_deleting,
    check_takes_versions,
    choose_config_name,
    create_config,
    create_endpoint,
    find_asked,
    find_serving,
    get_changeable,
    get_serving,
)
from modelport.domain.endpoint import (
    Endpoint,
    EndpointConfig,
    EndpointConfigSpec,
    EndpointSpec,
    EndpointStatus,
)
from modelport.domain.errors import Conflict
from modelport.domain.names import VersionReference, check_name
from modelport.domain.planning.traffic import (
    add_variant,
    change_weights,
    check_config,
    check_variants,
    choose_variant_name,
    promote_variant,
    weights_of,
)
from modelport.domain.registry import Model, ModelSpec
from modelport.domain.resource import Kind
from modelport.stores.records.records import Records


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

    def create_model(self, spec: ModelSpec, *, principal: str) -> Model:
        """Make a deployable pointer to the version a container names now, or to an archive.

        What an archive holds is looked into when an endpoint wants it.

        Raises:
            InvalidInput: The name is not allowed, or the container names nothing to serve.
            NotFound: There is no such version.
            Refused: The version is not approved.
            Conflict: The name is taken.
        """
        check_name(spec.model_name, what="model")
        with self._records.transaction(principal=principal) as tx:
            return make_model(tx, spec)

    def model(self, name: str) -> Model:
        """Return a Model.

        Raises:
            NotFound: There is none of that name.
        """
        with self._records.reading() as tx:
            return tx.get(Kind.MODEL, name)

    def models(self, *, after: str | None = None, limit: int | None = None) -> Page[Model]:
        """Return all Models, by name."""
        return page_of(self._records, Kind.MODEL, after, limit)

    def delete_model(self, name: str, *, in_use: bool = False, principal: str) -> None:
        """Delete a Model.

        Args:
            name: Of the Model.
            in_use: Also where an endpoint uses it, as SageMaker does: what serves goes on serving.
            principal: Who asks.

        Raises:
            NotFound: There is none of that name.
            Conflict: An endpoint, an inference component, or a job that has not ended, uses it.
        """
        with self._records.transaction(principal=principal) as tx:
            tx.get(Kind.MODEL, name)
            users = endpoints_using(tx, [name])
            if in_use:  # but for one whose traffic may have to go back to it
                found: list[Endpoint] = [tx.get(Kind.ENDPOINT, user) for user in users]
                users = [endpoint.name for endpoint in found if endpoint.modelport.stage is not None]
            if users:
                raise Conflict(
                    f"model {name!r} is used by endpoint {users[0]!r}",
                    hint=f"deploy another version to it, or: modelport undeploy {users[0]}",
                )
            if not in_use:
                check_no_component_uses(tx, [name])
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
                if variant.model_name:
                    tx.get(Kind.MODEL, variant.model_name)
            return create_config(tx, spec)

    def config(self, name: str) -> EndpointConfig:
        """Return a config.

        Raises:
            NotFound: There is none of that name.
        """
        with self._records.reading() as tx:
            return tx.get(Kind.ENDPOINT_CONFIG, name)

    def configs(self, *, after: str | None = None, limit: int | None = None) -> Page[EndpointConfig]:
        """Return all configs, by name."""
        return page_of(self._records, Kind.ENDPOINT_CONFIG, after, limit)

    def delete_config(self, name: str, *, in_use: bool = False, principal: str) -> None:
        """Delete a config.

        Args:
            name: Of the config.
            in_use: Also where an endpoint serves it, as SageMaker does: it goes on serving.
            principal: Who asks.

        Raises:
            NotFound: There is none of that name.
            Conflict: An endpoint serves it or is about to.
        """
        with self._records.transaction(principal=principal) as tx:
            tx.get(Kind.ENDPOINT_CONFIG, name)
            for endpoint in tx.all(Kind.ENDPOINT):
                changing = not endpoint.settled and not endpoint.modelport.deleting
                if name in config_names(endpoint) and (changing or not in_use):
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
            check_approval(tx, config.spec, serving=None)
            check_deployment(tx, spec.deployment_config, config.spec)
            endpoint = create_endpoint(tx, spec, config.spec)
        self._wake()
        return endpoint

    def update(
        self,
        name: str,
        config_name: str,
        *,
        retain_weights: bool = False,
        retain_counts: bool = False,
        deployment_config: Mapping[str, Any] = MappingProxyType({}),
        retain_deployment: bool = False,
        principal: str,
    ) -> Endpoint:
        """Wish for another config. What was set by hand is forgotten, as SageMaker forgets it.

        Args:
            name: Of the endpoint.
            config_name: Of the config.
            retain_weights: Variants that both configs have keep their present weights.
            retain_counts: Likewise, their instance counts.
            deployment_config: How traffic moves to it, in SageMaker's spelling; empty: all at once.
            retain_deployment: Where that is empty: as the last time.
            principal: Who asks.

        Raises:
            NotFound: There is no such endpoint or config, or no such alarm.
            InvalidInput: The deployment config contradicts itself.
            Refused: A version it would newly serve is not approved.
            Conflict: The endpoint is changing, or its inference components would have no place.
        """
        with self._records.transaction(principal=principal) as tx:
            endpoint = get_changeable(tx, name)
            config: EndpointConfig = tx.get(Kind.ENDPOINT_CONFIG, config_name)
            check_components_stay(tx, endpoint, config.spec)
            if not deployment_config and retain_deployment:
                deployment_config = endpoint.modelport.last_deployment_config
            check_deployment(tx, deployment_config, config.spec)
            if deployment_config:
                check_kept(tx, endpoint)
            check_approval(tx, config.spec, serving=find_serving(tx, endpoint))
            wished = {variant.variant_name for variant in config.spec.production_variants}
            kept = [item for item in endpoint.status.production_variants if item.variant_name in wished]
            endpoint = change_endpoint(
                tx,
                endpoint,
                config_name,
                {item.variant_name: item.current_weight for item in kept if retain_weights},
                f"config {config_name}",
                instance_counts={
                    item.variant_name: item.current_instance_count for item in kept if retain_counts
                },
                deployment_config=deployment_config,
            )
        self._wake()
        return endpoint

    def set_weights(
        self,
        name: str,
        weights: Mapping[str, float],
        instance_counts: Mapping[str, int] | None = None,
        *,
        principal: str,
    ) -> Endpoint:
        """Wish for other weights or instance counts. Variants left out keep theirs.

        Raises:
            InvalidInput: Nothing is wished, a weight is negative, or all would be 0.
            NotFound: There is no such endpoint or variant.
            Conflict: The endpoint is changing, or serves nothing.
        """
        with self._records.transaction(principal=principal) as tx:
            endpoint = get_changeable(tx, name)
            config = get_serving(tx, endpoint)
            current = weights_of(config, endpoint.modelport.weights)
            counts = dict(instance_counts or {})
            check_variants(current, counts)
            wished = change_weights(current, weights) if weights or not counts else current
            endpoint = change_endpoint(
                tx,
                endpoint,
                config.endpoint_config_name,
                wished,
                "weights " + ", ".join(f"{variant} {weight:g}" for variant, weight in wished.items()),
                instance_counts=endpoint.modelport.instance_counts | counts,
            )
        self._wake()
        return endpoint

    def delete(self, name: str, *, principal: str) -> Endpoint:
        """Wish that an endpoint be gone. Captures and labels stay. Nothing happens when it is Deleting.

        Raises:
            NotFound: There is no such endpoint.
            Conflict: It has inference components.
        """
        with self._records.transaction(principal=principal) as tx:
            endpoint: Endpoint = tx.get(Kind.ENDPOINT, name)
            if not endpoint.modelport.deleting:
                check_no_components(tx, endpoint)
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

    def describe(self, name: str, *, wait_s: float = 0.0) -> Endpoint:
        """Return an endpoint.

        A wish of generation g has come true when `observed_generation >= g`, the status is InService and
        `failure_reason` is None.

        Args:
            name: Of the endpoint.
            wait_s: Seconds to wait, at most, until its newest wish is settled.

        Raises:
            NotFound: There is none of that name.
        """
        return look_until_settled(self._records, Kind.ENDPOINT, name, wait_s)

    def list(self, *, after: str | None = None, limit: int | None = None) -> Page[Endpoint]:
        """Return all endpoints, by name."""
        return page_of(self._records, Kind.ENDPOINT, after, limit)

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
            Conflict: The endpoint is changing, or serves inference components.
        """
        check_name(endpoint, what="endpoint")
        with self._records.transaction(principal=principal) as tx:
            package = resolve(tx, reference)
            current: Endpoint | None = tx.find(Kind.ENDPOINT, endpoint)
            base = None
            weights: dict[str, float] = {}
            if current is not None:
                current = get_changeable(tx, endpoint)
                base = find_serving(tx, current)
                if base is None and traffic_percent is None and not shadow:
                    base = find_asked(tx, current)
                check_takes_versions(tx, current)
                weights = {} if base is None else weights_of(base, current.modelport.weights)
            model = find_or_create_model(tx, package)
            number = package.status.model_package_version
            spec = add_variant(
                base,
                weights,
                name=choose_config_name(tx, endpoint, current),
                variant=choose_variant_name(base, str(package.parent), number, model.name),
                model=model.name,
                traffic_percent=traffic_percent,
                shadow=shadow,
                capture_percent=capture_percent,
            )
            config = create_config(tx, replace(spec, tags=(MADE_BY,))).spec
            told = f"{package.name} as config {config.endpoint_config_name}"
            if current is None:
                wished = create_endpoint(
                    tx, EndpointSpec(endpoint, config.endpoint_config_name), config, told
                )
            else:
                wished = change_endpoint(tx, current, config.endpoint_config_name, {}, told)
        self._wake()
        return wished

    def promote(self, endpoint: str, variant: str, *, principal: str) -> Endpoint:
        """Wish that one variant, also a shadow, take all traffic, and the others be gone.

        Raises:
            NotFound: There is no such endpoint or variant.
            Refused: Its version is not approved any more.
            Conflict: The endpoint is changing, serves nothing, or the others hold inference components.
        """
        with self._records.transaction(principal=principal) as tx:
            current = get_changeable(tx, endpoint)
            base = get_serving(tx, current)
            spec = promote_variant(base, name=choose_config_name(tx, endpoint, current), variant=variant)
            if len(base.production_variants) == 1 and base.production_variants[0].variant_name == variant:
                return current  # it has all traffic already
            check_components_stay(tx, current, spec)
            check_approval(tx, replace(spec, shadow_production_variants=()), serving=None)
            create_config(tx, replace(spec, tags=(MADE_BY,)))
            wished = change_endpoint(tx, current, spec.endpoint_config_name, {}, f"promote {variant}")
        self._wake()
        return wished

    def rollback(self, endpoint: str, *, principal: str) -> Endpoint:
        """Wish for the config and weights served before; while an update is under way, for what still serves.

        Raises:
            NotFound: There is no such endpoint, or a part of the old config is gone.
            Refused: A version it would newly serve is not approved any more.
            Conflict: Nothing was served before, the endpoint is being deleted, or its inference components
                would have no place.
        """
        with self._records.transaction(principal=principal) as tx:
            current: Endpoint = tx.get(Kind.ENDPOINT, endpoint)
            check_not_deleting(current)
            under_way = not current.settled
            notes = current.modelport
            goal = current.status.endpoint_config_name if under_way else notes.previous_config
            if goal is None:
                raise Conflict(
                    f"endpoint {endpoint!r} served nothing before",
                    hint=f"deploy another version to it, or: modelport undeploy {endpoint}",
                )
            config: EndpointConfig = tx.get(Kind.ENDPOINT_CONFIG, goal)
            check_components_stay(tx, current, config.spec)
            weights = (
                {item.variant_name: item.current_weight for item in current.status.production_variants}
                if under_way
                else notes.previous_weights
            )
            counts = (
                {
                    item.variant_name: item.current_instance_count
                    for item in current.status.production_variants
                }
                if under_way
                else {}
            )
            check_approval(tx, config.spec, serving=find_serving(tx, current))
            status = EndpointStatus.ROLLING_BACK if under_way else EndpointStatus.UPDATING
            told = f"roll back to config {goal}"
            wished = change_endpoint(tx, current, goal, weights, told, status, instance_counts=counts)
        self._wake()
        return wished
