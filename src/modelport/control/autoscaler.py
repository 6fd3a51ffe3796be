"""Lets numbers of instances and copies follow their metrics: replicas of custom code start and end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import structlog

from modelport.domain.clock import Clock
from modelport.domain.endpoint import Endpoint, EndpointStatus
from modelport.domain.errors import ModelportError
from modelport.domain.inference_component import ComponentChange, ComponentStatus, InferenceComponent
from modelport.domain.metrics import MINUTE_S, SeriesKey, gather, minute_of
from modelport.domain.planning.scaling import IN_MINUTES, Minutes, Scale, plan_instances
from modelport.domain.resource import Kind
from modelport.domain.scaling import (
    ComponentCopies,
    Scalable,
    ScalableTarget,
    ScalingActivity,
    ScalingPolicy,
    ScalingState,
)
from modelport.stores.records.metrics import MetricIndex
from modelport.stores.records.records import Records
from modelport.stores.records.transaction import Transaction

PERIOD_S = 10.0
ACTIVITIES_KEPT = 50
PRINCIPAL = "autoscaling"

_log = structlog.get_logger("modelport.autoscaling")


class Endpoints(Protocol):
    """The service of endpoints, as far as numbers of instances need it."""

    def set_weights(
        self,
        name: str,
        weights: Mapping[str, float],
        instance_counts: Mapping[str, int] | None = None,
        *,
        principal: str,
    ) -> Endpoint:
        """Wish for other weights or instance counts."""
        ...


class Components(Protocol):
    """The service of inference components, as far as numbers of copies need it."""

    def update(self, name: str, change: ComponentChange, *, principal: str) -> InferenceComponent:
        """Wish for other copies."""
        ...


class Autoscaler:
    """Looks at all scalable targets now and then.

    Args:
        records: Where targets, what they scale, and metrics are kept.
        endpoints: Takes the wishes about instances.
        components: Takes the wishes about copies.
        clock: Time.
        wait_scale: What cooldowns are multiplied by.
    """

    def __init__(
        self,
        records: Records,
        endpoints: Endpoints,
        components: Components,
        clock: Clock,
        *,
        wait_scale: float = 1.0,
    ) -> None:
        self._records = records
        self._endpoints = endpoints
        self._components = components
        self._clock = clock
        self._wait_scale = wait_scale

    def look(self) -> None:
        """Let each target that should have more or fewer instances have them."""
        with self._records.reading() as tx:
            targets: list[ScalableTarget] = tx.all(Kind.SCALABLE_TARGET)
            gone = [one.name for one in targets if _is_gone(tx, one)]
            planned = [(one, found) for one in targets if (found := self._plan(tx, one)) is not None]
        for target, (current, scale) in planned:
            self._scale(target, current, scale)
        if gone:
            self._forget(gone)

    def _plan(self, tx: Transaction, target: ScalableTarget) -> tuple[int, Scale] | None:
        """Return how many instances or copies a target has and what to change; None: nothing, or not now."""
        current = _current(tx, target)
        if current is None:
            return None
        observed = {
            policy.policy_name: self._minutes(tx, policy, current) for policy in target.status.policies
        }
        scale = plan_instances(
            target.spec, target.status, current, observed, self._clock.now(), self._wait_scale
        )
        return None if scale is None else (current, scale)

    def _minutes(self, tx: Transaction, policy: ScalingPolicy, instances: int) -> Minutes:
        end, metric = minute_of(self._clock.now().timestamp()), policy.metric
        starts = range(end - IN_MINUTES * MINUTE_S, end, MINUTE_S)
        dimensions = sorted((one.name, one.value) for one in metric.dimensions)
        key = SeriesKey(metric.namespace, metric.metric_name, tuple(dimensions))
        found = gather(MetricIndex(tx).read(key, starts[0], end), MINUTE_S)
        share = max(1, instances) if metric.per_instance else 1
        return [
            found[start].statistic(metric.statistic) / share if start in found else None for start in starts
        ]

    def _scale(self, target: ScalableTarget, current: int, scale: Scale) -> None:
        problem = None
        try:
            self._wish(target.spec.scalable, scale.instances)
        except ModelportError as error:  # it began to change just now, or went
            problem = error.message
        activity = ScalingActivity(self._clock.now(), current, scale.instances, scale.cause, problem)
        _log.info("target.scaled", target=target.name, instances=scale.instances, problem=problem)
        with self._records.transaction(principal=PRINCIPAL) as tx:
            known: ScalableTarget | None = tx.find(Kind.SCALABLE_TARGET, target.name)
            if known is not None:
                tx.put(replace(known, status=_with(known.status, activity)))
                what = "copies" if target.spec.inference_component else "instances"
                told = f"{current} to {scale.instances} {what}, {scale.cause}"
                tx.event("status", Kind.SCALABLE_TARGET, target.name, problem or told)

    def _wish(self, scalable: Scalable, number: int) -> None:
        if isinstance(scalable, ComponentCopies):
            change = ComponentChange(copy_count=number)
            self._components.update(scalable.component, change, principal=PRINCIPAL)
        else:
            counts = {scalable.variant: number}
            self._endpoints.set_weights(scalable.endpoint, {}, counts, principal=PRINCIPAL)

    def _forget(self, names: list[str]) -> None:
        with self._records.transaction() as tx:
            for name in names:
                if tx.remove(Kind.SCALABLE_TARGET, name):
                    tx.event("delete", Kind.SCALABLE_TARGET, name, "what it scaled is gone")


def _is_gone(tx: Transaction, target: ScalableTarget) -> bool:
    component = target.spec.inference_component
    if component is not None:
        return tx.find(Kind.INFERENCE_COMPONENT, component) is None
    return tx.find(Kind.ENDPOINT, target.spec.endpoint) is None


def _current(tx: Transaction, target: ScalableTarget) -> int | None:
    """Return how many instances or copies serve; None while that changes, or where nothing serves."""
    scalable = target.spec.scalable
    if isinstance(scalable, ComponentCopies):
        component: InferenceComponent | None = tx.find(Kind.INFERENCE_COMPONENT, scalable.component)
        if component is None or not component.settled:
            return None
        status = component.status
        serves = status.inference_component_status is ComponentStatus.IN_SERVICE
        return status.current_copy_count if serves else None
    endpoint: Endpoint | None = tx.find(Kind.ENDPOINT, scalable.endpoint)
    if endpoint is None or not endpoint.settled:
        return None
    counts = {one.variant_name: one.current_instance_count for one in endpoint.status.production_variants}
    in_service = endpoint.status.endpoint_status is EndpointStatus.IN_SERVICE
    return counts.get(scalable.variant) if in_service else None


def _with(state: ScalingState, activity: ScalingActivity) -> ScalingState:
    kept: tuple[Any, ...] = (*state.activities, activity)[-ACTIVITIES_KEPT:]
    return replace(state, activities=kept)
