"""Which replicas a variant of custom code needs, and what they are called."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from modelport.domain.endpoint import EndpointConfigSpec, ProductionVariant, Serverless
from modelport.domain.registry import Model
from modelport.domain.routes import EndpointRoute

REPLICAS_MAX = 32
"""Of one variant: each is a process of this machine with a model of its own."""

ASYNC_TIMEOUT_S = 3600.0
"""An asynchronous request may take so long. Source: InvokeEndpointAsync, InvocationTimeoutSeconds."""

SERVERLESS_COPIES = 2
"""Of a serverless variant while it is asked, unless it may do less at one time."""

SHOWN_LENGTH = 40
"""Of an endpoint's name in those of its replicas, which people see in the table of processes."""


@dataclass(frozen=True, slots=True)
class VariantReplicas:
    """The replicas of one container of a variant.

    Args:
        endpoint: Whose it is.
        variant: Its name.
        model: What they run.
        names: One for each instance. They differ wherever the code, its model or its variables could.
        start_timeout_s: Seconds one may take to be ready; None: as the settings say.
        invocation_timeout_s: Seconds a request may take; None: as the settings say.
        step: Number of the container, from 0.
    """

    endpoint: str
    variant: str
    model: Model
    names: tuple[str, ...]
    start_timeout_s: float | None = None
    invocation_timeout_s: float | None = None
    step: int = 0


def replicas_of(
    endpoint: str, config: EndpointConfigSpec, counts: Mapping[str, int], models: Mapping[str, Model]
) -> tuple[VariantReplicas, ...]:
    """Return the replicas that an endpoint needs under a config.

    Args:
        endpoint: Its name.
        config: The config.
        counts: Variant name to number of instances, where that was changed after the config was made.
        models: Every Model the config names.
    """
    patient = config.async_inference_config is not None

    def count_of(item: ProductionVariant) -> int:
        if item.serverless_config is not None:
            return serverless_copies(item.serverless_config)
        return counts.get(item.variant_name, item.initial_instance_count)

    def replicas(item: ProductionVariant, count: int, step: int) -> VariantReplicas:
        model = models[item.model_name]
        return VariantReplicas(
            endpoint,
            item.variant_name,
            model,
            _names(endpoint, item.variant_name, model, count, step, patient=patient),
            item.container_startup_health_check_timeout_in_seconds,
            ASYNC_TIMEOUT_S if patient else None,
            step,
        )

    wanted = [(item, count_of(item)) for item in config.production_variants]
    wanted += [(item, item.initial_instance_count) for item in config.shadow_production_variants]
    return tuple(
        replicas(item, count, number)
        for item, count in wanted
        if item.model_name
        for number, step in enumerate(models[item.model_name].modelport.steps)
        if step.code is not None
    )


def hosted_replicas(
    endpoint: str, variant: str, name: str, model: Model, copies: int, start_timeout_s: float | None = None
) -> VariantReplicas:
    """Return the replicas of a model that a variant hosts.

    Args:
        endpoint: Name of the endpoint.
        variant: Name of the variant.
        name: Of the model there; empty: it is the only one, and these are the replicas of the variant.
        model: What they run; its code is known.
        copies: How many.
        start_timeout_s: Seconds one may take to be ready; None: as the settings say.
    """
    place = f"{variant}/{name}" if name else variant
    names = _names(endpoint, place, model, copies, 0, patient=False)
    return VariantReplicas(endpoint, variant, model, names, start_timeout_s)


def serverless_copies(config: Serverless) -> int:
    """Return how many replicas a serverless variant has while it has any."""
    return min(config.max_concurrency, config.provisioned_concurrency or SERVERLESS_COPIES, REPLICAS_MAX)


def is_on_demand(item: ProductionVariant, model: Model) -> bool:
    """Return whether the replicas of a variant run only while it is asked."""
    serverless = item.serverless_config
    return (
        serverless is not None
        and serverless.provisioned_concurrency == 0
        and model.modelport.code is not None
        and not model.modelport.further
    )


def too_many(replicas: Iterable[VariantReplicas]) -> str | None:
    """Return why some replicas cannot be run all; None when they can."""
    for one in replicas:
        if len(one.names) > REPLICAS_MAX:
            return (
                f"variant {one.variant!r} asks for {len(one.names)} instances of custom code; "
                f"one machine runs at most {REPLICAS_MAX} for a variant"
            )
    return None


def names_in(routes: Iterable[EndpointRoute | None]) -> frozenset[str]:
    """Return the names of all replicas that some routes lead to."""
    return frozenset(
        name
        for route in routes
        if route is not None
        for variant in route.variants
        for part in variant.parts
        for name in part.replicas
    )


def _names(
    endpoint: str, variant: str, model: Model, count: int, step: int, *, patient: bool
) -> tuple[str, ...]:
    code = model.modelport.steps[step].code
    told: tuple[str, ...] = (endpoint, variant, model.name, model.created_at.isoformat(), str(code))
    told += (("patient",) if patient else ()) + ((str(step),) if step else ())
    digest = hashlib.sha256("\0".join(told).encode("utf-8")).hexdigest()[:16]
    return tuple(f"{endpoint[:SHOWN_LENGTH]}-{digest}-{number}" for number in range(count))
