"""Endpoints: a stable URL, the config it points at, and the variants behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from modelport.domain.deployment import Stage
from modelport.domain.resource import Nothing, Resource, Tag


class EndpointStatus(StrEnum):
    """Where an endpoint stands. Source: SageMaker, DescribeEndpoint."""

    CREATING = "Creating"
    UPDATING = "Updating"
    ROLLING_BACK = "RollingBack"
    IN_SERVICE = "InService"
    FAILED = "Failed"
    DELETING = "Deleting"


TRANSITIONS: dict[EndpointStatus, tuple[EndpointStatus, ...]] = {
    EndpointStatus.CREATING: (EndpointStatus.IN_SERVICE, EndpointStatus.FAILED, EndpointStatus.DELETING),
    EndpointStatus.IN_SERVICE: (EndpointStatus.UPDATING, EndpointStatus.FAILED, EndpointStatus.DELETING),
    EndpointStatus.UPDATING: (
        EndpointStatus.IN_SERVICE,
        EndpointStatus.ROLLING_BACK,
        EndpointStatus.FAILED,
        EndpointStatus.DELETING,
    ),
    EndpointStatus.ROLLING_BACK: (
        EndpointStatus.IN_SERVICE,
        EndpointStatus.FAILED,
        EndpointStatus.DELETING,
    ),
    EndpointStatus.FAILED: (EndpointStatus.UPDATING, EndpointStatus.DELETING),
    EndpointStatus.DELETING: (),
}
"""Which status may follow which. A Failed endpoint may be updated: SageMaker makes you delete it."""


@dataclass(frozen=True, slots=True)
class Serverless:
    """A variant whose replicas run only while they are asked.

    Source: SageMaker, ProductionVariantServerlessConfig.
    """

    max_concurrency: int
    provisioned_concurrency: int = 0


@dataclass(frozen=True, slots=True)
class ProductionVariant:
    """One variant of a config. `initial_variant_weight` is relative; `instance_type` is echoed only.

    The number of instances is the number of replicas of custom code, and accounting for models that every
    worker holds; the timeout is the replicas'. A variant without a Model (its name is empty) holds inference
    components.
    """

    variant_name: str
    model_name: str = ""
    initial_instance_count: int = 1
    instance_type: str | None = None
    initial_variant_weight: float = 1.0
    container_startup_health_check_timeout_in_seconds: int | None = None
    serverless_config: Serverless | None = None


@dataclass(frozen=True, slots=True)
class CaptureOption:
    """`capture_mode` is Input, Output or InputAndOutput."""

    capture_mode: str


@dataclass(frozen=True, slots=True)
class DataCaptureConfig:
    """What of the traffic is kept; the percentage is 0 to 100."""

    initial_sampling_percentage: float
    enable_capture: bool = True
    destination_s3_uri: str | None = None
    capture_options: tuple[CaptureOption, ...] = (CaptureOption("Input"), CaptureOption("Output"))


@dataclass(frozen=True, slots=True)
class AsyncOutput:
    """Where answers go, and reasons why there are none: `s3://BUCKET/PREFIX` each."""

    s3_output_path: str | None = None
    s3_failure_path: str | None = None


@dataclass(frozen=True, slots=True)
class AsyncClient:
    """How many requests one instance is asked at one time; None: as modelport chooses."""

    max_concurrent_invocations_per_instance: int | None = None


@dataclass(frozen=True, slots=True)
class AsyncInference:
    """An endpoint that is asked asynchronously. Source: SageMaker, AsyncInferenceConfig."""

    output_config: AsyncOutput
    client_config: AsyncClient = AsyncClient()


@dataclass(frozen=True, slots=True)
class EndpointConfigSpec:
    """The wish for a config; immutable once made. `request`: as an AWS client wrote it."""

    endpoint_config_name: str
    production_variants: tuple[ProductionVariant, ...]
    shadow_production_variants: tuple[ProductionVariant, ...] = ()
    data_capture_config: DataCaptureConfig | None = None
    async_inference_config: AsyncInference | None = None
    tags: tuple[Tag, ...] = ()
    request: dict[str, Any] = field(default_factory=dict)

    @property
    def holds_components(self) -> bool:
        """Whether its variants hold inference components: none of them has a Model."""
        return not any(variant.model_name for variant in self.production_variants)


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """The wish for an endpoint: which config, and how traffic moves to it.

    `deployment_config` is in SageMaker's spelling, see `domain/deployment.py`; empty: all at once.
    """

    endpoint_name: str
    endpoint_config_name: str
    tags: tuple[Tag, ...] = ()
    deployment_config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VariantSummary:
    """What is so of one variant: weights and counts, as they are and as they should be."""

    variant_name: str
    current_weight: float
    desired_weight: float
    current_instance_count: int = 1
    desired_instance_count: int = 1


@dataclass(frozen=True, slots=True)
class EndpointState:
    """What is so of an endpoint.

    Args:
        endpoint_status: Where it stands.
        endpoint_config_name: The config that serves now; None before the first.
        production_variants: The variants that serve now.
        failure_reason: Why it is Failed, or why the last update was rolled back; None otherwise.
    """

    endpoint_status: EndpointStatus
    endpoint_config_name: str | None = None
    production_variants: tuple[VariantSummary, ...] = ()
    failure_reason: str | None = None


@dataclass(frozen=True, slots=True)
class EndpointNotes:
    """Ours.

    Args:
        weights: Variant name to wished weight, where it was changed after the config was made.
        instance_counts: Likewise, the wished number of instances.
        previous_config: The config served before this one; what `rollback` goes back to.
        previous_weights: The weights it served with.
        revision: The route table that first carried the present state; 0 before.
        in_service_at: When it last became InService, UTC.
        deleting: A delete was asked for.
        stage: How far an update with a deployment config has come; None: none is under way.
        last_deployment_config: What the last update moved traffic by.
        served: Variant name to Model name, of every variant that ever served here; tells whose captures lie
            in a variant's folder.
    """

    weights: dict[str, float] = field(default_factory=dict)
    instance_counts: dict[str, int] = field(default_factory=dict)
    previous_config: str | None = None
    previous_weights: dict[str, float] = field(default_factory=dict)
    revision: int = 0
    in_service_at: datetime | None = None
    deleting: bool = False
    stage: Stage | None = None
    last_deployment_config: dict[str, Any] = field(default_factory=dict)
    served: dict[str, str] = field(default_factory=dict)


EndpointConfig = Resource[EndpointConfigSpec, Nothing, Nothing]
Endpoint = Resource[EndpointSpec, EndpointState, EndpointNotes]
