"""From wishes to the table workers serve by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from modelport.domain.endpoint import AsyncInference, DataCaptureConfig, EndpointConfigSpec, ProductionVariant
from modelport.domain.planning.replicas import is_on_demand
from modelport.domain.planning.traffic import weights_of
from modelport.domain.registry import Model
from modelport.domain.routes import (
    AsyncRoute,
    CaptureRoute,
    EndpointRoute,
    HostedBy,
    HostedRoute,
    Hosting,
    RouteTable,
    StageRoute,
    VariantRoute,
)

COMPONENTS = "inference-components"
"""Stands for the source and the version of a variant that hosts those."""

TOGETHER = 4
"""Asynchronous requests that an instance is asked at one time, where nobody says another number."""


def route_of(
    name: str,
    config: EndpointConfigSpec,
    weights: Mapping[str, float],
    models: Mapping[str, Model],
    replicas: Mapping[tuple[str, int], tuple[str, ...]] = MappingProxyType({}),
) -> EndpointRoute:
    """Return where an endpoint's requests go under a config.

    A serverless variant is awake in it; those that host models which are asked for, or components, have none:
    see `fill`.

    Args:
        name: The endpoint.
        config: The config.
        weights: Weights set after it was made.
        models: Every Model the config names.
        replicas: Variant name and number of the container to the replicas of its custom code.
    """
    current = weights_of(config, weights)

    def variant(item: ProductionVariant, *, shadow: bool) -> VariantRoute:
        weight = item.initial_variant_weight if shadow else current[item.variant_name]
        if not item.model_name:
            components = Hosting(HostedBy.COMPONENT, COMPONENTS)
            return VariantRoute(item.variant_name, COMPONENTS, "", weight, hosting=components)
        model = models[item.model_name]
        notes, own = model.modelport, replicas.get((item.variant_name, 0), ())
        hosting = _hosting(item, model, own)
        if hosting is not None:
            return VariantRoute(item.variant_name, notes.model_version, "", weight, shadow, hosting=hosting)
        return VariantRoute(
            variant=item.variant_name,
            model_version=notes.model_version,
            digest=notes.digest,
            weight=weight,
            shadow=shadow,
            replicas=own,
            then=tuple(
                StageRoute(step.digest, replicas.get((item.variant_name, number), ()))
                for number, step in enumerate(notes.further, start=1)
            ),
        )

    return EndpointRoute(
        endpoint=name,
        variants=(
            *(variant(item, shadow=False) for item in config.production_variants),
            *(variant(item, shadow=True) for item in config.shadow_production_variants),
        ),
        capture=_capture(config.data_capture_config),
        asynchronous=_asynchronous(
            config.async_inference_config,
            sum(
                len(replicas.get((item.variant_name, 0), ())) or item.initial_instance_count
                for item in config.production_variants
            ),
        ),
    )


def _hosting(item: ProductionVariant, model: Model, replicas: tuple[str, ...]) -> Hosting | None:
    if model.modelport.models is not None:
        return Hosting(HostedBy.TARGET_MODEL, source_of(model))
    if item.serverless_config is not None and is_on_demand(item, model):
        models = (HostedRoute("", replicas=replicas),)
        return Hosting(HostedBy.SERVERLESS, source_of(model), models, item.serverless_config.max_concurrency)
    return None


def source_of(model: Model) -> str:
    """Return what models are of that a variant hosts because of a Model: another one of its name differs."""
    return f"{model.name}@{model.created_at.isoformat()}"


Place = tuple[str, str, str]
"""Endpoint, variant, and the source of what it hosts."""

Hosted = Mapping[Place, tuple[HostedRoute, ...]]
"""What each place is to host."""


def places_in(route: EndpointRoute) -> Iterator[tuple[Place, VariantRoute, Hosting]]:
    """Yield each place of a route, its variant, and what it hosts."""
    for variant in route.variants:
        if variant.hosting is not None:
            yield (route.endpoint, variant.variant, variant.hosting.source), variant, variant.hosting


def fill(route: EndpointRoute, hosted: Hosted, *, awake: bool = False) -> EndpointRoute:
    """Return a route that hosts what it is to host.

    Args:
        route: The route.
        hosted: What that is.
        awake: Serverless variants that are awake stay as they are.
    """
    changes = {
        place: variant.host(hosted.get(place, ()))
        for place, variant, hosting in places_in(route)
        if not (awake and hosting.by is HostedBy.SERVERLESS and hosting.models)
    }
    if not changes:
        return route
    return replace(
        route,
        variants=tuple(
            changes.get((route.endpoint, one.variant, one.hosting.source), one) if one.hosting else one
            for one in route.variants
        ),
    )


def bare(route: EndpointRoute) -> EndpointRoute:
    """Return a route without what comes and goes beside its wish: its own models and replicas are left."""
    return fill(route, {}, awake=True)


def blend(before: EndpointRoute, after: EndpointRoute, share: float) -> EndpointRoute:
    """Return a route that gives a share of the traffic to another config.

    Its production variants are those of both, also where two have one name; shadows and capture stay as they
    were until all traffic has moved.

    Args:
        before: The route of the config that gets the rest.
        after: The route of the config that gets the share.
        share: Above 0; from 1 on it is the other route.
    """
    if share >= 1:
        return after
    return replace(
        before,
        variants=(
            *_scaled(before, 1 - share),
            *_scaled(after, share),
            *(variant for variant in before.variants if variant.shadow),
        ),
    )


def _scaled(route: EndpointRoute, share: float) -> tuple[VariantRoute, ...]:
    production = [variant for variant in route.variants if not variant.shadow]
    total = sum(variant.weight for variant in production)
    return tuple(replace(variant, weight=variant.weight / total * share) for variant in production)


def digests_of(routes: Iterable[EndpointRoute | None]) -> frozenset[str]:
    """Return the digests of all models some routes need; None needs none, nor does code in replicas."""
    return frozenset(
        digest
        for route in routes
        if route is not None
        for variant in route.variants
        for digest in variant.digests()
    )


def change_table(
    active: RouteTable, changes: Mapping[str, EndpointRoute | None], revision: int
) -> RouteTable:
    """Return the next table: the active one with some endpoints changed.

    Args:
        active: What serves now.
        changes: Endpoint name to its new route; None takes it out.
        revision: Of the new table.
    """
    routes: dict[str, EndpointRoute | None] = {route.endpoint: route for route in active.endpoints}
    routes |= changes
    return RouteTable(
        revision=revision,
        endpoints=tuple(route for _, route in sorted(routes.items()) if route is not None),
    )


def _asynchronous(config: AsyncInference | None, instances: int) -> AsyncRoute | None:
    if config is None:
        return None
    return AsyncRoute(
        output=config.output_config.s3_output_path or "",
        failure=config.output_config.s3_failure_path,
        each=config.client_config.max_concurrent_invocations_per_instance or TOGETHER,
        instances=max(1, instances),
    )


def _capture(config: DataCaptureConfig | None) -> CaptureRoute | None:
    if config is None or not config.enable_capture or config.initial_sampling_percentage <= 0:
        return None
    modes = {option.capture_mode for option in config.capture_options}
    both = "InputAndOutput" in modes
    return CaptureRoute(
        percentage=config.initial_sampling_percentage,
        inputs=both or "Input" in modes,
        outputs=both or "Output" in modes,
    )
