"""What is served now: a route table tied to models, and swapped as a whole.

A request belongs to the table that was current when its body was complete, to its end; a table that is no
longer current drains, and only then may models that no other table names be forgotten.

A table of a thousand endpoints is light: an endpoint takes shape when it is asked for the first time, and an
endpoint that a new table does not change goes over to it as it is, with its lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from modelport.dataplane.forward import Forwarders
from modelport.dataplane.handles import ModelHandle
from modelport.dataplane.hosted import HostingVariant
from modelport.dataplane.pipeline import Pipeline, Uncounted
from modelport.dataplane.router import Routes
from modelport.dataplane.variants import ForwardedVariant, LoadedVariant, PipelineVariant, ServedVariant, Slot
from modelport.domain.errors import NotFound
from modelport.domain.routes import (
    CaptureRoute,
    EndpointRoute,
    HostedBy,
    HostedRoute,
    RouteTable,
    StageRoute,
    VariantRoute,
)
from modelport.telemetry.slots import MetricSlot
from modelport.wire.feed import HostedName

if TYPE_CHECKING:
    from modelport.dataplane.protocols import Ask

Handles = Callable[[str], ModelHandle]
"""Digest to the handle of its model."""


class ServedEndpoint:
    """One endpoint of one table, or of several after each other that do not change it.

    Args:
        route: From the table.
        handles: Gives the handle of a model.
        forwarders: The ways to replicas.
        slot: Where its numbers go.
        used: Takes the names of hosted models that were asked.
    """

    __slots__ = ("capture", "name", "only", "route", "routes", "shadows", "variants", "waiting")

    def __init__(
        self,
        route: EndpointRoute,
        handles: Handles,
        forwarders: Forwarders,
        slot: MetricSlot,
        used: Callable[[HostedName], None],
    ) -> None:
        name = route.endpoint

        def serve_stage(variant: VariantRoute, stage: StageRoute | HostedRoute, slot: Slot) -> ServedVariant:
            if stage.digest:
                return LoadedVariant(name, variant, handles(stage.digest), slot)
            return ForwardedVariant(name, variant, forwarders.find(stage.replicas), slot)

        def serve(variant: VariantRoute) -> ServedVariant:
            if variant.hosting is not None:
                by_name = variant.hosting.by is HostedBy.COMPONENT

                def serve_hosted(model: HostedRoute) -> ServedVariant:
                    version = model.name if by_name else variant.model_version
                    shown = replace(variant, model_version=version, hosting=None)
                    return serve_stage(shown, model, slot)

                served: ServedVariant = HostingVariant(name, variant, serve_hosted, self, used, slot)
            elif variant.then:
                stages = [serve_stage(variant, stage, Uncounted()) for stage in variant.stages]
                served = PipelineVariant(name, variant, Pipeline(stages, forwarders.finish), slot)
            else:
                served = serve_stage(variant, variant.stages[0], slot)
            served.asynchronous = route.asynchronous is not None
            return served

        self.name = route.endpoint
        self.route = route
        self.routes = Routes(route)
        self.variants = [serve(variant) for variant in self.routes.production]
        self.shadows = [serve(variant) for variant in self.routes.shadows]
        only = self.routes.only
        self.only = None if only is None else self.variants[only]
        capture = route.capture
        self.capture: CaptureRoute | None = capture if capture and capture.percentage > 0 else None
        self.waiting = 0  # requests that wait for their model, or were decoded or read, and are not answered

    def choose(self, ask: Ask, draw: float) -> ServedVariant:
        """Return the variant that a request goes to.

        Args:
            ask: What is asked for.
            draw: A draw from [0, 1).

        Raises:
            NotFound: There is no such variant, or none that serves this version.
            Unavailable: No variant has a weight above 0.
        """
        if ask.component is not None and ask.variant is None:
            for variant in self.variants:
                if isinstance(variant, HostingVariant) and variant.hosts(ask.component):
                    return variant
        return self.variants[self.routes.choose(ask.variant, draw, version=ask.version)]

    def close(self) -> None:
        """Let go of all lanes; nobody asks it any more."""
        for variant in (*self.variants, *self.shadows):
            variant.forget()


class ServingTable:
    """A route table that can answer.

    Args:
        routes: The table.
        handles: Gives the handle of a model.
        forwarders: The ways to replicas.
        slot: Where its numbers go.
        used: Takes the names of hosted models that were asked.
    """

    def __init__(
        self,
        routes: RouteTable,
        handles: Handles,
        forwarders: Forwarders,
        slot: MetricSlot,
        used: Callable[[HostedName], None] = lambda _: None,
    ) -> None:
        self.routes = routes
        self.digests = routes.digests()
        self.replicas = routes.replicas()
        self.endpoints: dict[str, ServedEndpoint] = {}  # those that were asked
        self._by_name = {route.endpoint: route for route in routes.endpoints}
        self._handles = handles
        self._forwarders = forwarders
        self._slot = slot
        self._used = used
        self.open = 0  # requests that belong to it
        self.on_drained: Callable[[], None] | None = None  # set once another table is current

    def open_endpoint(self, name: str) -> ServedEndpoint:
        """Return an endpoint that is asked for the first time.

        Raises:
            NotFound: There is none of this name.
        """
        route = self._by_name.get(name)
        if route is None:
            known = self.names()
            offer = f"in service: {', '.join(known[:5])}{', …' if len(known) > 5 else ''}"
            raise NotFound(
                f"there is no endpoint {name[:80]!r}",
                hint=offer if known else "nothing is in service; deploy a model first",
            )
        served = self.endpoints[name] = ServedEndpoint(
            route, self._handles, self._forwarders, self._slot, self._used
        )
        return served

    def names(self) -> list[str]:
        """Return the endpoints in service, by name."""
        return sorted(self._by_name)

    def adopt(self, older: ServingTable) -> None:
        """Take over the endpoints that this table does not change."""
        for name, served in older.endpoints.items():
            if self._by_name.get(name) == served.route:
                self.endpoints[name] = served

    def leave(self) -> None:
        """Let go of one request."""
        self.open -= 1
        if self.open == 0 and self.on_drained is not None:
            self.on_drained()


class Tables:
    """The current table, and those that still answer what they began.

    Args:
        first: What is current to begin with.
        drained: Called with a table that is no longer current when its last request is answered.
    """

    def __init__(self, first: ServingTable, drained: Callable[[ServingTable], None]) -> None:
        self.current = first
        self.draining: list[ServingTable] = []
        self._drained = drained

    def activate(self, table: ServingTable) -> None:
        """Let new requests belong to `table`."""
        old, self.current = self.current, table
        if old is table:
            return
        table.adopt(old)
        self.draining.append(old)
        old.on_drained = lambda: self._drop(old)
        if old.open == 0:
            self._drop(old)

    def open(self) -> int:
        """Return how many requests are not answered yet."""
        return self.current.open + sum(table.open for table in self.draining)

    def _drop(self, table: ServingTable) -> None:
        table.on_drained = None
        self.draining.remove(table)
        for name, served in table.endpoints.items():
            if self.current.endpoints.get(name) is not served:
                served.close()
        self._drained(table)
