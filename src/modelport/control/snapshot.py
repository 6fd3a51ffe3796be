"""What is wished, read anew in each pass but only where it changed."""

from __future__ import annotations

from typing import Any

import structlog

from modelport.domain.alarm import Alarm, AlarmState
from modelport.domain.endpoint import Endpoint, EndpointConfig, ProductionVariant
from modelport.domain.errors import Corrupted
from modelport.domain.inference_component import InferenceComponent
from modelport.domain.registry import Model
from modelport.domain.resource import Kind
from modelport.stores.records.records import Records
from modelport.stores.records.transaction import Transaction

_log = structlog.get_logger("modelport.snapshot")


class Snapshot:
    """What is wished and known, as of the last `refresh`. A record is known by its digest.

    Args:
        records: Where they are kept.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self._known: dict[Kind, dict[str, tuple[str, Any]]] = {
            kind: {}
            for kind in (
                Kind.ENDPOINT,
                Kind.ENDPOINT_CONFIG,
                Kind.MODEL,
                Kind.INFERENCE_COMPONENT,
                Kind.ALARM,
            )
        }
        self.damaged: frozenset[str] = frozenset()
        self.damaged_components: frozenset[str] = frozenset()

    def refresh(self) -> None:
        """Look again. Endpoints and components whose record is damaged are left out, and named."""
        damaged: dict[Kind, set[str]] = {kind: set() for kind in self._known}
        with self._records.reading() as tx:
            for kind, known in self._known.items():
                digests = tx.digests(kind)
                for name in known.keys() - digests.keys():
                    del known[name]
                for name, digest in digests.items():
                    if name not in known or known[name][0] != digest:
                        known[name] = (digest, _read(tx, kind, name))
                    if known[name][1] is None:
                        damaged[kind].add(name)
        self.damaged = frozenset(damaged[Kind.ENDPOINT])
        self.damaged_components = frozenset(damaged[Kind.INFERENCE_COMPONENT])

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints, by name."""
        known = self._known[Kind.ENDPOINT]
        return [known[name][1] for name in sorted(known) if known[name][1] is not None]

    def config(self, name: str) -> EndpointConfig | None:
        """Return a config, None when there is none."""
        found: EndpointConfig | None = self._known[Kind.ENDPOINT_CONFIG].get(name, ("", None))[1]
        return found

    def alarming(self) -> frozenset[str]:
        """Return the names of the alarms that are in ALARM."""
        alarms: list[Alarm | None] = [alarm for _, alarm in self._known[Kind.ALARM].values()]
        return frozenset(
            alarm.name
            for alarm in alarms
            if alarm is not None and alarm.status.state_value is AlarmState.ALARM
        )

    def endpoint(self, name: str) -> Endpoint | None:
        """Return an endpoint, None when there is none, or its record is damaged."""
        found: Endpoint | None = self._known[Kind.ENDPOINT].get(name, ("", None))[1]
        return found

    def variant(self, endpoint: str, name: str) -> ProductionVariant | None:
        """Return a variant of the config that an endpoint serves; None where that is not known any more."""
        found = self.endpoint(endpoint)
        config = None if found is None else self.config(found.status.endpoint_config_name or "")
        variants = () if config is None else config.spec.production_variants
        return next((item for item in variants if item.variant_name == name), None)

    def model(self, name: str) -> Model | None:
        """Return a Model, None when there is none."""
        found: Model | None = self._known[Kind.MODEL].get(name, ("", None))[1]
        return found

    def components(self) -> list[InferenceComponent]:
        """Return the inference components, by name."""
        known = self._known[Kind.INFERENCE_COMPONENT]
        return [known[name][1] for name in sorted(known) if known[name][1] is not None]

    def models(self, config: EndpointConfig | None) -> dict[str, Model]:
        """Return those of a config's Models that exist, by name."""
        if config is None:
            return {}
        known = self._known[Kind.MODEL]
        found = {
            variant.model_name: known.get(variant.model_name, ("", None))[1]
            for variant in config.spec.production_variants + config.spec.shadow_production_variants
        }
        return {name: model for name, model in found.items() if model is not None}


def _read(tx: Transaction, kind: Kind, name: str) -> Any:
    try:
        return tx.find(kind, name)
    except Corrupted as error:
        _log.error("record.damaged", kind=kind.value, name=name, error=error.message)
        return None
