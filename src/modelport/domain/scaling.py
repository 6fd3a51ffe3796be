"""Numbers of instances and copies that follow a metric: targets, policies, and what came of them.

Source: Application Auto Scaling, target tracking scaling policies; SageMaker, "Automatic scaling".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from modelport.domain.resource import Nothing, Resource

COOLDOWN_S = 300.0
"""After a change, where a policy says nothing. Source: TargetTrackingScalingPolicyConfiguration."""


@dataclass(frozen=True, slots=True)
class Suspended:
    """Which changes are not to be made, for the time being."""

    dynamic_scaling_in_suspended: bool = False
    dynamic_scaling_out_suspended: bool = False
    scheduled_scaling_suspended: bool = False


@dataclass(frozen=True, slots=True)
class VariantInstances:
    """The number of instances of a variant."""

    endpoint: str
    variant: str

    @property
    def target_name(self) -> str:
        """The name of its target."""
        return f"{self.endpoint}/{self.variant}"


@dataclass(frozen=True, slots=True)
class ComponentCopies:
    """The number of copies of an inference component."""

    component: str

    @property
    def target_name(self) -> str:
        """The name of its target; no endpoint's name has a colon."""
        return f"inference-component:{self.component}"


Scalable = VariantInstances | ComponentCopies
"""What can follow a metric."""


@dataclass(frozen=True, slots=True)
class ScalableTargetSpec:
    """The wish that a number of instances or copies follow policies, within bounds.

    Args:
        endpoint: Whose.
        variant: Which; where the target is an inference component: the one that holds it.
        min_capacity: Fewest.
        max_capacity: Most.
        role_arn: Echoed only.
        suspended_state: What is not to happen, for the time being.
        inference_component: Whose copies they are; None: they are the variant's instances.
    """

    endpoint: str
    variant: str
    min_capacity: int
    max_capacity: int
    role_arn: str | None = None
    suspended_state: Suspended = Suspended()
    inference_component: str | None = None

    @property
    def scalable(self) -> Scalable:
        """What follows."""
        if self.inference_component is not None:
            return ComponentCopies(self.inference_component)
        return VariantInstances(self.endpoint, self.variant)


@dataclass(frozen=True, slots=True)
class MetricDimension:
    """A dimension of a metric, as AWS writes it."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class TrackedMetric:
    """The metric that a policy holds at its target.

    Args:
        namespace: For example `AWS/SageMaker`.
        metric_name: For example `ApproximateBacklogSizePerInstance`.
        statistic: Average, Minimum, Maximum, SampleCount or Sum, of a minute.
        dimensions: Name and value of each.
        per_instance: It is divided by the number of instances, and a minute without any is one of 0:
            Invocations, which nobody counts while there are none.
    """

    namespace: str
    metric_name: str
    statistic: str
    dimensions: tuple[MetricDimension, ...] = ()
    per_instance: bool = False


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """One policy.

    Args:
        policy_name: Its name, unique for a target.
        metric: What it looks at.
        target_value: What that is to be.
        created_at: Aware, UTC.
        scale_out_cooldown: Seconds after a change upwards in which none follows.
        scale_in_cooldown: Seconds after any change in which none downwards follows.
        disable_scale_in: It never takes instances away.
        configuration: As an AWS client wrote it.
    """

    policy_name: str
    metric: TrackedMetric
    target_value: float
    created_at: datetime
    scale_out_cooldown: float = COOLDOWN_S
    scale_in_cooldown: float = COOLDOWN_S
    disable_scale_in: bool = False
    configuration: dict[str, object] | None = None


@dataclass(frozen=True, slots=True)
class ScalingActivity:
    """A change that was made, or failed.

    Args:
        at: When, aware, UTC.
        before: Instances before it.
        after: Instances wished for.
        cause: Why, for people.
        problem: Why it could not be made; None: it was.
    """

    at: datetime
    before: int
    after: int
    cause: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ScalingState:
    """What is so of a target: its policies, and its latest activities, the newest last."""

    policies: tuple[ScalingPolicy, ...] = ()
    activities: tuple[ScalingActivity, ...] = ()


ScalableTarget = Resource[ScalableTargetSpec, ScalingState, Nothing]
