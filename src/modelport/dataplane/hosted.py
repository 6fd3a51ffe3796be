"""Variants that host several models beside each other, and the requests that name one of them.

One that is not there yet is asked of control, and the request waits: the next table may have it, or control
says that none ever will. What was asked is told to control now and then, so that others leave first.

Source: SageMaker, "Multi-model endpoints", "Inference components", "Serverless inference".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from modelport.dataplane.exchange import Exchange
from modelport.dataplane.lanes import Lane, Queue
from modelport.dataplane.variants import ServedVariant, Slot
from modelport.dataplane.waiting import GoOn, Waiting
from modelport.domain.errors import InvalidInput, ModelFailed, ModelportError, NotFound, NotReady, Throttled
from modelport.domain.routes import HostedBy, HostedRoute, RouteTable, VariantRoute
from modelport.domain.signature import Signature
from modelport.telemetry import metrics
from modelport.telemetry.slots import MetricSlot
from modelport.wire.feed import HostedName

if TYPE_CHECKING:
    from modelport.dataplane.protocols import Ask

TOLD_MAX = 200
"""So many names are told control in one frame, also where each is long."""


class Absent(Exception):
    """A hosted model is not there, and may come when it is asked for.

    Args:
        model: Which.
    """

    def __init__(self, model: HostedName) -> None:
        super().__init__(model)
        self.model = model


class HostingVariant(ServedVariant):
    """One variant that hosts models.

    It has no lanes of its own: whoever is asked in the end has them.

    Args:
        endpoint: Whose.
        route: From the table.
        serve: Makes the variant that a hosted model is.
        queue: Counts the requests that the endpoint has.
        used: Takes the names of models that were asked.
        slot: Where numbers go.
    """

    __slots__ = ("_models", "_queue", "_serve", "_served", "_used", "hosting")

    def __init__(
        self,
        endpoint: str,
        route: VariantRoute,
        serve: Callable[[HostedRoute], ServedVariant],
        queue: Queue,
        used: Callable[[HostedName], None],
        slot: Slot,
    ) -> None:
        super().__init__(endpoint, route, slot)
        assert route.hosting is not None  # noqa: S101 - others are made otherwise
        self.hosting = route.hosting
        self._models = {model.name: model for model in route.hosting.models}
        self._serve = serve
        self._served: dict[str, ServedVariant] = {}  # those that were asked
        self._queue = queue
        self._used = used

    def aim(self, ask: Ask) -> ServedVariant:
        """Return the hosted model that a request names."""
        name = self._name_in(ask)
        together = self.hosting.together
        if together is not None and self._queue.waiting >= together:
            raise Throttled(
                f"{self._queue.waiting} requests are open, and MaxConcurrency of variant "
                f"{self.route.variant!r} is {together}"
            )
        served = self._served.get(name)
        if served is None:
            route = self._models.get(name)
            if route is None:
                self._miss(name)
            served = self._served[name] = self._serve(route)
            served.asynchronous = self.asynchronous
        if self.hosting.by is not HostedBy.COMPONENT:
            self._used(self._full(name))
        return served

    def hosts(self, name: str) -> bool:
        """Return whether it hosts a component of this name."""
        return self.hosting.by is HostedBy.COMPONENT and name in self._models

    def open_lane(self, ask: Ask, overloaded: bytes) -> Lane:
        """Open that of the model which is named."""
        return self.aim(ask).open_lane(ask, overloaded)

    def check(self) -> None:
        """Return: what it hosts works or not, one by one."""

    def signature(self) -> Signature:
        """Say that each model takes what it takes."""
        raise InvalidInput(
            f"endpoint {self.endpoint!r} hosts several models, and each takes what it takes",
            hint=f"ask it at /endpoints/{self.endpoint}/invocations",
        )

    def forget(self) -> None:
        """Let go of all lanes."""
        for served in self._served.values():
            served.forget()

    def _name_in(self, ask: Ask) -> str:
        if self.hosting.by is HostedBy.SERVERLESS:
            super().aim(ask)  # it serves one model
            return ""
        wanted, other = ask.target_model, ask.component
        header = "X-Amzn-SageMaker-Target-Model"
        if self.hosting.by is HostedBy.COMPONENT:
            wanted, other, header = other, wanted, "X-Amzn-SageMaker-Inference-Component"
        if wanted is None or other is not None:
            raise InvalidInput(
                f"endpoint {self.endpoint!r} hosts several models", hint=f"name one in {header}"
            )
        return wanted

    def _miss(self, name: str) -> NoReturn:
        if self.hosting.by is HostedBy.COMPONENT:
            known = ", ".join(sorted(self._models)[:5])
            raise NotFound(
                f"endpoint {self.endpoint!r} has no inference component {name[:80]!r} in service",
                hint=f"in service: {known}" if known else "create one first",
            )
        raise Absent(self._full(name))

    def _full(self, name: str) -> HostedName:
        return HostedName(self.endpoint, self.route.variant, self.hosting.source, name)


class HostedRequests:
    """The requests of one worker that wait for models to be hosted.

    Args:
        slot: Where requests are counted.
        now: Monotonic seconds.
        requests_max: How many may wait.
        wait_s: How long each may wait.
    """

    def __init__(
        self, slot: MetricSlot, *, now: Callable[[], float], requests_max: int, wait_s: float
    ) -> None:
        self._used: set[HostedName] = set()
        self._waiting: Waiting[HostedName] = Waiting(
            now=now,
            requests_max=requests_max,
            wait_s=wait_s,
            refuse_more=lambda count: NotReady(f"{count} requests of this worker wait for models to come"),
            refuse_late=lambda _: NotReady("the model is still on its way", hint="try again in a moment"),
            count=lambda outcome: slot.series(metrics.HOSTED_REQUESTS, outcome).add(),
        )
        self.ask: Callable[[tuple[HostedName, ...]], None] = lambda _: None  # tells control what is wanted
        self.tell_used: Callable[[tuple[HostedName, ...]], None] = lambda _: None

    def hold(self, exchange: Exchange, model: HostedName, go_on: GoOn) -> None:
        """Keep a request until its model is hosted.

        Args:
            exchange: The request; its deadline is set.
            model: Which.
            go_on: Called once, later.

        Raises:
            NotReady: Too many wait already.
        """
        first = not self._waiting.is_wanted(model)
        self._waiting.hold(exchange, model, go_on)
        if first:
            self.ask((model,))

    def use(self, model: HostedName) -> None:
        """Take note that a model was asked."""
        self._used.add(model)

    def speak(self) -> None:
        """Tell control what requests wait for, and what was asked; called every second."""
        wanted = self._waiting.wanted()
        for start in range(0, len(wanted), TOLD_MAX):
            self.ask(tuple(wanted[start : start + TOLD_MAX]))
        used, self._used = list(self._used), set()
        for start in range(0, len(used), TOLD_MAX):
            self.tell_used(tuple(used[start : start + TOLD_MAX]))

    def look_at(self, table: RouteTable) -> None:
        """Let those go on whose model is in a new table, or whose variant is not."""
        wanted = self._waiting.wanted()
        if not wanted:
            return
        hosted: dict[tuple[str, str, str], set[str]] = {}
        for endpoint in table.endpoints:
            for variant in endpoint.variants:
                if variant.hosting is not None:
                    place = (endpoint.endpoint, variant.variant, variant.hosting.source)
                    hosted.setdefault(place, set()).update(one.name for one in variant.hosting.models)
        for model in wanted:
            there = hosted.get((model.endpoint, model.variant, model.source))
            if there is None or model.name in there:
                self._waiting.settle(model, "hosted")

    def refuse(self, model: HostedName, reason: str, *, known: bool) -> None:
        """Let nobody wait for a model any more."""
        problem: ModelportError = ModelFailed(reason) if known else NotFound(reason)
        self._waiting.settle(model, "failed", problem)
