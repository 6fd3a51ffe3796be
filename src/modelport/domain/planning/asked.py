"""What a config repeats of the request that the config it was made of came by.

Describing a config that an AWS client made repeats its whole `request`, see `domain/resource.py`. One that a
deploy or a promote makes of it goes on saying what still holds: also of what means nothing here, a key or a
role, and never of what was changed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from modelport.domain.endpoint import DataCaptureConfig, EndpointConfigSpec, ProductionVariant

REPLACED = (
    "EndpointConfigName",
    "ProductionVariants",
    "ShadowProductionVariants",
    "DataCaptureConfig",
    "Tags",
)


def request_of(made: EndpointConfigSpec, base: EndpointConfigSpec) -> dict[str, Any]:
    """Return the request of a config, as an AWS client would have written it.

    Args:
        made: The config, of typed fields.
        base: The config it was made of.

    Returns:
        Empty where no AWS client made `base` either: the typed fields say everything.
    """
    if not base.request:
        return {}
    request = {member: value for member, value in base.request.items() if member not in REPLACED}
    request["EndpointConfigName"] = made.endpoint_config_name
    request["ProductionVariants"] = _variants(made.production_variants, base)
    if made.shadow_production_variants:
        request["ShadowProductionVariants"] = _variants(made.shadow_production_variants, base)
    if made.data_capture_config is not None:
        asked = base.request.get("DataCaptureConfig", {})
        request["DataCaptureConfig"] = asked | _capture(made.data_capture_config)
    return request


def _variants(variants: tuple[ProductionVariant, ...], base: EndpointConfigSpec) -> list[dict[str, Any]]:
    known = {one.variant_name: one for one in base.production_variants + base.shadow_production_variants}
    asked = {
        item["VariantName"]: item
        for member in ("ProductionVariants", "ShadowProductionVariants")
        for item in base.request.get(member, ())
    }

    def write(one: ProductionVariant) -> dict[str, Any]:
        before = known.get(one.variant_name)
        stays = before is not None and one == replace(
            before, initial_variant_weight=one.initial_variant_weight
        )
        written = asked[one.variant_name] if stays else _newcomer(one)
        return written | {"InitialVariantWeight": one.initial_variant_weight}

    return [write(one) for one in variants]


def _newcomer(one: ProductionVariant) -> dict[str, Any]:
    return {
        "VariantName": one.variant_name,
        "ModelName": one.model_name,
        "InitialInstanceCount": one.initial_instance_count,
    }


def _capture(capture: DataCaptureConfig) -> dict[str, Any]:
    written: dict[str, Any] = {
        "EnableCapture": capture.enable_capture,
        "InitialSamplingPercentage": capture.initial_sampling_percentage,
        "CaptureOptions": [{"CaptureMode": option.capture_mode} for option in capture.capture_options],
    }
    if capture.destination_s3_uri is not None:
        written["DestinationS3Uri"] = capture.destination_s3_uri
    return written
