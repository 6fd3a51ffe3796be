"""Scalable targets and their policies: wishes that `control/autoscaler.py` makes true."""

from __future__ import annotations

from dataclasses import replace

from modelport.control.services.resources import forget, make
from modelport.domain.endpoint import Endpoint
from modelport.domain.errors import InvalidInput, NotFound, Refused
from modelport.domain.inference_component import InferenceComponent
from modelport.domain.metrics import SAMPLE_STATISTICS
from modelport.domain.resource import Kind
from modelport.domain.scaling import (
    ComponentCopies,
    Scalable,
    ScalableTarget,
    ScalableTargetSpec,
    ScalingPolicy,
    ScalingState,
    Suspended,
    VariantInstances,
)
from modelport.stores.records.records import Records
from modelport.stores.records.transaction import Transaction

POLICIES_MAX = 50
"""Of one target. Source: quotas of Application Auto Scaling."""


class Scaling:
    """Reads and writes scalable targets.

    Args:
        records: Where they are kept.
    """

    def __init__(self, records: Records) -> None:
        self._records = records

    def register(
        self,
        scalable: Scalable,
        *,
        least: int | None = None,
        most: int | None = None,
        role_arn: str | None = None,
        suspended: Suspended | None = None,
        principal: str,
    ) -> ScalableTarget:
        """Let a number of instances or copies follow policies, or change its bounds.

        Args:
            scalable: Whose.
            least: Fewest, at least 0; None: as before.
            most: Most; None: as before.
            role_arn: Echoed only.
            suspended: What is not to happen; None: as before.
            principal: Who asks.

        Raises:
            NotFound: There is no such endpoint, variant or inference component.
            InvalidInput: Bounds are missing, or contradict each other.
        """
        name = scalable.target_name
        with self._records.transaction(principal=principal) as tx:
            fresh = _unbounded(tx, scalable)
            known: ScalableTarget | None = tx.find(Kind.SCALABLE_TARGET, name)
            if known is None and (least is None or most is None):
                raise InvalidInput("a new target needs both MinCapacity and MaxCapacity")
            spec = fresh if known is None else known.spec
            spec = replace(
                spec,
                min_capacity=spec.min_capacity if least is None else least,
                max_capacity=spec.max_capacity if most is None else most,
                role_arn=role_arn or spec.role_arn,
                suspended_state=suspended or spec.suspended_state,
            )
            if not 0 <= spec.min_capacity <= spec.max_capacity:
                raise InvalidInput(
                    f"MinCapacity is {spec.min_capacity} and MaxCapacity {spec.max_capacity}, "
                    "expected 0 <= MinCapacity <= MaxCapacity"
                )
            what = "copies" if spec.inference_component else "instances"
            told = f"{spec.min_capacity} to {spec.max_capacity} {what}"
            if known is not None:
                tx.event("update", Kind.SCALABLE_TARGET, name, told)
                return tx.put(replace(known, spec=spec, generation=known.generation + 1, modified_at=tx.now))
            return make(tx, Kind.SCALABLE_TARGET, name, spec, status=ScalingState(), told=told)

    def targets(self) -> list[ScalableTarget]:
        """Return all targets, by name."""
        with self._records.reading() as tx:
            return tx.all(Kind.SCALABLE_TARGET)

    def deregister(self, scalable: Scalable, *, principal: str) -> None:
        """Forget a target and its policies; its instances or copies stay as they are.

        Raises:
            NotFound: There is none.
        """
        name = scalable.target_name
        with self._records.transaction(principal=principal) as tx:
            tx.get(Kind.SCALABLE_TARGET, name)
            forget(tx, Kind.SCALABLE_TARGET, name)

    def put_policy(self, scalable: Scalable, policy: ScalingPolicy, *, principal: str) -> ScalingPolicy:
        """Give a target a policy, in the place of the one of its name.

        Raises:
            NotFound: There is no such target.
            InvalidInput: It can never be judged.
            Refused: There are too many.
        """
        if policy.metric.statistic not in SAMPLE_STATISTICS:
            raise InvalidInput(
                f"statistic {policy.metric.statistic[:40]!r} is not known", hint=", ".join(SAMPLE_STATISTICS)
            )
        if policy.target_value <= 0:
            raise InvalidInput(f"TargetValue is {policy.target_value:g}, expected more than 0")
        with self._records.transaction(principal=principal) as tx:
            target: ScalableTarget = tx.get(Kind.SCALABLE_TARGET, scalable.target_name)
            known = {one.policy_name: one for one in target.status.policies}
            if policy.policy_name in known:
                policy = replace(policy, created_at=known[policy.policy_name].created_at)
            elif len(known) >= POLICIES_MAX:
                raise Refused(f"the target has {POLICIES_MAX} policies already", hint="delete some")
            policies = tuple((known | {policy.policy_name: policy}).values())
            tx.put(replace(target, status=replace(target.status, policies=policies), modified_at=tx.now))
            told = f"policy {policy.policy_name}: {policy.metric.metric_name} at {policy.target_value:g}"
            tx.event("update", Kind.SCALABLE_TARGET, target.name, told)
        return policy

    def delete_policy(self, scalable: Scalable, name: str, *, principal: str) -> None:
        """Take a policy away.

        Raises:
            NotFound: There is no such target or policy.
        """
        with self._records.transaction(principal=principal) as tx:
            target: ScalableTarget = tx.get(Kind.SCALABLE_TARGET, scalable.target_name)
            policies = tuple(one for one in target.status.policies if one.policy_name != name)
            if len(policies) == len(target.status.policies):
                raise NotFound(f"target {target.name!r} has no policy {name[:80]!r}")
            tx.put(replace(target, status=replace(target.status, policies=policies), modified_at=tx.now))
            tx.event("update", Kind.SCALABLE_TARGET, target.name, f"policy {name} deleted")


def _unbounded(tx: Transaction, scalable: Scalable) -> ScalableTargetSpec:
    """Return a target of what is there, without bounds."""
    if isinstance(scalable, ComponentCopies):
        component: InferenceComponent = tx.get(Kind.INFERENCE_COMPONENT, scalable.component)
        place = component.spec
        return ScalableTargetSpec(
            place.endpoint_name, place.variant_name, 0, 0, inference_component=component.name
        )
    _check_variant(tx, scalable)
    return ScalableTargetSpec(scalable.endpoint, scalable.variant, 0, 0)


def _check_variant(tx: Transaction, wanted: VariantInstances) -> None:
    found: Endpoint = tx.get(Kind.ENDPOINT, wanted.endpoint)
    variants = [item.variant_name for item in found.status.production_variants]
    if wanted.variant not in variants:
        raise NotFound(
            f"endpoint {wanted.endpoint!r} has no variant {wanted.variant[:80]!r}",
            hint=f"it has: {', '.join(variants)}",
        )
