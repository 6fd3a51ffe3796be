"""What `deploy`, `promote` and a change of weights mean for the variants of a config."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from modelport.domain.endpoint import DataCaptureConfig, EndpointConfigSpec, ProductionVariant
from modelport.domain.errors import Conflict, InvalidInput, NotFound
from modelport.domain.planning.asked import request_of

WHOLE = 100.0


def weights_of(config: EndpointConfigSpec, changed: Mapping[str, float]) -> dict[str, float]:
    """Return the weight of each production variant.

    Args:
        config: The config, with its initial weights.
        changed: Weights set after it was made; names it does not have are ignored.
    """
    return {
        variant.variant_name: changed.get(variant.variant_name, variant.initial_variant_weight)
        for variant in config.production_variants
    }


def shares_of(weights: Mapping[str, float]) -> dict[str, float]:
    """Return the true share of each variant, 0 to 1; all 0 when no weight is positive."""
    total = sum(weights.values())
    return {name: weight / total if total > 0 else 0.0 for name, weight in weights.items()}


def change_weights(current: Mapping[str, float], wished: Mapping[str, float]) -> dict[str, float]:
    """Return all weights after some were changed.

    Args:
        current: Weight of each production variant.
        wished: New weights, at least 0; variants left out keep theirs.

    Raises:
        NotFound: A variant is unknown.
        InvalidInput: No weight is given, one is not a number of at least 0, or none is left above 0.
    """
    if not wished:
        raise InvalidInput("no weight was given", hint=f"variants: {', '.join(sorted(current))}")
    check_variants(current, wished)
    for name, weight in wished.items():
        if not (math.isfinite(weight) and weight >= 0):
            raise InvalidInput(f"weight {weight!r} of variant {name!r} is not a number of at least 0")
    merged = {**current, **wished}
    if sum(merged.values()) <= 0:
        raise InvalidInput(
            "no variant would get any traffic: all weights are 0", hint="give one a weight above 0"
        )
    return merged


def check_variants(current: Mapping[str, float], named: Mapping[str, float]) -> None:
    """Refuse names that no variant has.

    Raises:
        NotFound: A variant is unknown.
    """
    for name in named:
        if name not in current:
            raise NotFound(f"there is no variant {name!r}", hint=f"variants: {', '.join(sorted(current))}")


def choose_variant_name(config: EndpointConfigSpec | None, group: str, version: int, model: str) -> str:
    """Return the variant name of a version in a config: `v3`, or `GROUP-v3` where `v3` is another model."""
    taken = (
        {}
        if config is None
        else {
            variant.variant_name: variant.model_name
            for variant in config.production_variants + config.shadow_production_variants
        }
    )
    short = f"v{version}"
    if taken.get(short, model) == model:
        return short
    return f"{group[: 62 - len(short)]}-{short}"


def add_variant(
    base: EndpointConfigSpec | None,
    weights: Mapping[str, float],
    *,
    name: str,
    variant: str,
    model: str,
    traffic_percent: float | None,
    shadow: bool,
    capture_percent: float | None,
) -> EndpointConfigSpec:
    """Return the config of a deploy.

    Args:
        base: The config that serves now, None for a new endpoint.
        weights: The weights it serves with.
        name: Of the new config.
        variant: Name of the new variant.
        model: The Model behind it.
        traffic_percent: Its true share, 0 to 100, the others scaled; None: it replaces all others.
        shadow: It gets copies of the traffic beside the others, and answers nobody.
        capture_percent: Share of requests to keep, 0 to 100; None keeps what is.

    Raises:
        InvalidInput: A percentage is out of range, or nothing would take the rest of the traffic.
        Conflict: A shadow has nothing to shadow.
    """
    _check_percent(traffic_percent, "traffic")
    _check_percent(capture_percent, "capture")
    others = (
        ()
        if base is None
        else tuple(item for item in base.production_variants if item.variant_name != variant)
    )
    shadows = (
        ()
        if base is None
        else tuple(item for item in base.shadow_production_variants if item.variant_name != variant)
    )
    newcomer = ProductionVariant(variant, model)
    if shadow:
        if traffic_percent is not None:
            raise InvalidInput(
                "a shadow takes no share of the traffic", hint="leave out --traffic or --shadow"
            )
        if not others:
            raise Conflict("there is no other variant to shadow", hint="deploy one first, without --shadow")
        own = {item.variant_name: weights[item.variant_name] for item in others}
        production = _weighted(others, own if sum(own.values()) > 0 else dict.fromkeys(own, 1.0))
        shadows = (*shadows, newcomer)
    elif traffic_percent is None:
        production = (newcomer,)
    else:
        production = _share(others, weights, newcomer, traffic_percent)
    return _made_of(
        base or EndpointConfigSpec(name, ()),
        name=name,
        production=production,
        shadows=shadows,
        capture=_capture(base, capture_percent),
    )


def promote_variant(base: EndpointConfigSpec, *, name: str, variant: str) -> EndpointConfigSpec:
    """Return the config in which one variant, until now one of several or a shadow, takes all traffic.

    Args:
        base: The config that serves now.
        name: Of the new config.
        variant: Which variant.

    Raises:
        NotFound: There is no such variant.
    """
    variants = {
        item.variant_name: item for item in base.production_variants + base.shadow_production_variants
    }
    if variant not in variants:
        raise NotFound(f"there is no variant {variant!r}", hint=f"variants: {', '.join(sorted(variants))}")
    return _made_of(
        base,
        name=name,
        production=(replace(variants[variant], initial_variant_weight=1.0),),
        shadows=tuple(item for item in base.shadow_production_variants if item.variant_name != variant),
        capture=base.data_capture_config,
    )


def check_config(config: EndpointConfigSpec) -> None:
    """Refuse a config that could not serve.

    Raises:
        InvalidInput: It has no variant, two of one name, a weight below 0, no weight above 0, a capture
            percentage or mode that is not one, variants without a Model among or beside what needs one, or a
            serverless variant beside what none has.
    """
    variants = config.production_variants + config.shadow_production_variants
    if not config.production_variants:
        raise InvalidInput("a config needs at least one production variant")
    names = [variant.variant_name for variant in variants]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InvalidInput(f"two variants are named {doubled[0]!r}", hint="give each a name of its own")
    change_weights(
        dict.fromkeys(names, 0.0),
        {item.variant_name: item.initial_variant_weight for item in config.production_variants},
    )
    for variant in variants:
        weight = variant.initial_variant_weight
        if not (math.isfinite(weight) and weight >= 0):
            raise InvalidInput(f"weight of variant {variant.variant_name!r} is not a number of at least 0")
        if variant.initial_instance_count < 1:
            raise InvalidInput(f"instance count of variant {variant.variant_name!r} is not at least 1")
    _check_models(config)
    _check_serverless(config)
    if config.data_capture_config is not None:
        _check_capture(config.data_capture_config)


def _check_models(config: EndpointConfigSpec) -> None:
    """Refuse variants of both sorts in one config, and what only those with a Model can have."""
    for shadow in config.shadow_production_variants:
        if not shadow.model_name:
            raise InvalidInput(f"shadow variant {shadow.variant_name!r} has no model", hint="name one")
    if not config.holds_components:
        bare = [item.variant_name for item in config.production_variants if not item.model_name]
        if bare:
            raise InvalidInput(
                f"variant {bare[0]!r} has no model and others have one",
                hint="name a model for each, or for none: they hold inference components then",
            )
        return
    serverless = any(item.serverless_config is not None for item in config.production_variants)
    for member, given in (
        ("shadow variants", bool(config.shadow_production_variants)),
        ("an asynchronous inference config", config.async_inference_config is not None),
        ("a serverless config", serverless),
    ):
        if given:
            raise InvalidInput(
                f"the variants have no model, so they hold inference components, and the config has {member}",
                hint=f"leave it out, or name a model for each variant: components serve without {member}",
            )


def _check_serverless(config: EndpointConfigSpec) -> None:
    """Refuse what SageMaker does not offer with serverless variants. Source: "Serverless inference"."""
    shadows = config.shadow_production_variants
    serverless = [one for one in (*config.production_variants, *shadows) if one.serverless_config is not None]
    if not serverless:
        return
    for member, given in (
        ("several variants", len(config.production_variants) + len(shadows) > 1),
        ("an asynchronous inference config", config.async_inference_config is not None),
    ):
        if given:
            raise InvalidInput(
                f"variant {serverless[0].variant_name!r} is serverless, and the config has {member}",
                hint=f"leave that out, or give the variant instances: serverless ones are without {member}",
            )


def check_many(config: EndpointConfigSpec, variant: ProductionVariant) -> None:
    """Refuse what SageMaker does not offer with a Model of many models. Source: "Multi-model endpoints".

    Args:
        config: The config.
        variant: One whose Model is many.

    Raises:
        InvalidInput: It is a shadow or has one, is serverless, or the config is asynchronous.
    """
    for member, given in (
        ("a shadow, or has one", bool(config.shadow_production_variants)),
        ("serverless", variant.serverless_config is not None),
        ("asked asynchronously", config.async_inference_config is not None),
    ):
        if given:
            raise InvalidInput(
                f"variant {variant.variant_name!r} is {member}, and its model {variant.model_name!r} "
                "stands for many",
                hint="make a Model of the archive of the one",
            )


def _check_capture(capture: DataCaptureConfig) -> None:
    _check_percent(capture.initial_sampling_percentage, "capture")
    if not capture.capture_options:
        raise InvalidInput("capture options are empty", hint="Input, Output, or both")
    for option in capture.capture_options:
        if option.capture_mode not in ("Input", "Output", "InputAndOutput"):
            raise InvalidInput(
                f"capture mode {option.capture_mode!r} is not known", hint="Input, Output or InputAndOutput"
            )


def _made_of(
    base: EndpointConfigSpec,
    *,
    name: str,
    production: tuple[ProductionVariant, ...],
    shadows: tuple[ProductionVariant, ...],
    capture: DataCaptureConfig | None,
) -> EndpointConfigSpec:
    """Return another config that is as `base` in everything that is not about variants and capture."""
    made = replace(
        base,
        endpoint_config_name=name,
        production_variants=production,
        shadow_production_variants=shadows,
        data_capture_config=capture,
        tags=(),  # they say whose `base` is, and what for
    )
    return replace(made, request=request_of(made, base))


def _share(
    others: tuple[ProductionVariant, ...],
    weights: Mapping[str, float],
    newcomer: ProductionVariant,
    percent: float,
) -> tuple[ProductionVariant, ...]:
    shares = shares_of({item.variant_name: weights[item.variant_name] for item in others})
    if percent < WHOLE and sum(shares.values()) <= 0:
        raise InvalidInput(
            f"no other variant can take the remaining {WHOLE - percent:g} % of the traffic",
            hint="leave out --traffic: the first version takes all of it",
        )
    scaled = {name: share * (WHOLE - percent) for name, share in shares.items()}
    return (*_weighted(others, scaled), replace(newcomer, initial_variant_weight=percent))


def _weighted(
    variants: tuple[ProductionVariant, ...], weights: Mapping[str, float]
) -> tuple[ProductionVariant, ...]:
    return tuple(replace(item, initial_variant_weight=weights[item.variant_name]) for item in variants)


def _capture(base: EndpointConfigSpec | None, percent: float | None) -> DataCaptureConfig | None:
    before = None if base is None else base.data_capture_config
    if percent is None:
        return before
    if percent == 0:
        return None
    if before is None:
        return DataCaptureConfig(percent)
    return replace(before, initial_sampling_percentage=percent, enable_capture=True)


def _check_percent(percent: float | None, what: str) -> None:
    if percent is not None and not 0 <= percent <= WHOLE:
        raise InvalidInput(f"{what} {percent!r} is not a percentage from 0 to 100")
