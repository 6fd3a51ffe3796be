"""Scalable targets and their policies: wishes that `control/autoscaler.py` makes true."""

from __future__ import annotations

from dataclasses import replace

from modelport.control.services.resources import forget, make
from modelport.domain.endpoint import Endpoint
from modelport.domain.errors import InvalidInput, NotFound, Refused
from modelport.domain.metrics import SAMPLE_STATISTICS
from modelport.domain.resource import Kind
from modelport.domain.scaling import (
    ScalableTarget,
    ScalableTargetSpec,
    ScalingPolicy,
    ScalingState,
    Suspended,
    target_name,
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
        endpoint: str,
        variant: str,
        *,
        least: int | None = None,
        most: int | None = None,
        role_arn: str | None = None,
        suspended: Suspended | None = None,
        principal: str,
    ) -> ScalableTarget:
        """Let a variant's number of instances follow policies, or change its bounds.

        Args:
            endpoint: Whose.
            variant: Which.
            least: Fewest instances, at least 0; None: as before.
            most: Most instances; None: as before.
            role_arn: Echoed only.
            suspended: What is not to happen; None: as before.
            principal: Who asks.

        Raises:
            NotFound: There is no such endpoint or variant.
            InvalidInput: Bounds are missing, or contradict each other.
        """
        name = target_name(endpoint, variant)
        with self._records.transaction(principal=principal) as tx:
            _check_variant(tx, endpoint, variant)
            known: ScalableTarget | None = tx.find(Kind.SCALABLE_TARGET, name)
            if known is None and (least is None or most is None):
                raise InvalidInput("a new target needs both MinCapacity and MaxCapacity")
            spec = known.spec if known is not None else ScalableTargetSpec(endpoint, variant, 0, 0)
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
            told = f"{spec.min_capacity} to {spec.max_capacity} instances"
            if known is not None:
                tx.event("update", Kind.SCALABLE_TARGET, name, told)
                return tx.put(replace(known, spec=spec, generation=known.generation + 1, modified_at=tx.now))
            return make(tx, Kind.SCALABLE_TARGET, name, spec, status=ScalingState(), told=told)

    def targets(self) -> list[ScalableTarget]:
        """Return all targets, by name."""
        with self._records.reading() as tx:
            return tx.all(Kind.SCALABLE_TARGET)

    def deregister(self, endpoint: str, variant: str, *, principal: str) -> None:
        """Forget a target and its policies; its instances stay as they are.

        Raises:
            NotFound: There is none.
        """
        name = target_name(endpoint, variant)
        with self._records.transaction(principal=principal) as tx:
            tx.get(Kind.SCALABLE_TARGET, name)
            forget(tx, Kind.SCALABLE_TARGET, name)

    def put_policy(
        self, endpoint: str, variant: str, policy: ScalingPolicy, *, principal: str
    ) -> ScalingPolicy:
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
            target: ScalableTarget = tx.get(Kind.SCALABLE_TARGET, target_name(endpoint, variant))
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

    def delete_policy(self, endpoint: str, variant: str, name: str, *, principal: str) -> None:
        """Take a policy away.

        Raises:
            NotFound: There is no such target or policy.
        """
        with self._records.transaction(principal=principal) as tx:
            target: ScalableTarget = tx.get(Kind.SCALABLE_TARGET, target_name(endpoint, variant))
            policies = tuple(one for one in target.status.policies if one.policy_name != name)
            if len(policies) == len(target.status.policies):
                raise NotFound(f"target {target.name!r} has no policy {name[:80]!r}")
            tx.put(replace(target, status=replace(target.status, policies=policies), modified_at=tx.now))
            tx.event("update", Kind.SCALABLE_TARGET, target.name, f"policy {name} deleted")


def _check_variant(tx: Transaction, endpoint: str, variant: str) -> None:
    found: Endpoint = tx.get(Kind.ENDPOINT, endpoint)
    variants = [item.variant_name for item in found.status.production_variants]
    if variant not in variants:
        raise NotFound(
            f"endpoint {endpoint!r} has no variant {variant[:80]!r}", hint=f"it has: {', '.join(variants)}"
        )
