"""What the loop does about endpoints and inference components, done by hand: settled as a test wants it."""

from __future__ import annotations

from dataclasses import replace

from modelport.domain.endpoint import EndpointState, EndpointStatus, VariantSummary
from modelport.domain.inference_component import ComponentState, ComponentStatus
from modelport.domain.resource import Kind
from modelport.stores.records.records import Records


def serve(records: Records, endpoint: str) -> None:
    """Let an endpoint's newest wish have come true: it is InService with the config it names."""
    with records.transaction() as tx:
        found = tx.get(Kind.ENDPOINT, endpoint)
        config = tx.get(Kind.ENDPOINT_CONFIG, found.spec.endpoint_config_name).spec
        variants = tuple(VariantSummary(item.variant_name, 1.0, 1.0) for item in config.production_variants)
        status = EndpointState(EndpointStatus.IN_SERVICE, config.endpoint_config_name, variants)
        notes = replace(found.modelport, previous_config=found.status.endpoint_config_name)
        tx.put(replace(found, status=status, modelport=notes, observed_generation=found.generation))


def settle(
    records: Records,
    component: str,
    status: ComponentStatus = ComponentStatus.IN_SERVICE,
    reason: str | None = None,
) -> None:
    """Let a component's newest wish be settled, with all the copies it asks for where it is InService."""
    with records.transaction() as tx:
        found = tx.get(Kind.INFERENCE_COMPONENT, component)
        copies = found.spec.copy_count if status is ComponentStatus.IN_SERVICE else 0
        state = ComponentState(status, copies, reason)
        tx.put(replace(found, status=state, observed_generation=found.generation))


def remove(records: Records, component: str) -> None:
    """Let a component that is being deleted be gone."""
    with records.transaction() as tx:
        assert tx.get(Kind.INFERENCE_COMPONENT, component).modelport.deleting
        tx.remove(Kind.INFERENCE_COMPONENT, component)
