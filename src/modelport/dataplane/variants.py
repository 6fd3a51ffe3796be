"""Who answers: the variants of an endpoint, by where their models are.

In the memory of this worker, in replicas, several after each other; `dataplane/hosted.py` has those that host
several beside each other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from modelport.dataplane.batching import Batcher
from modelport.dataplane.forward import Forwarder
from modelport.dataplane.handles import Dormant, ModelHandle
from modelport.dataplane.lanes import UNREAD, CodecKey, Lane, StreamLane
from modelport.dataplane.pipeline import Pipeline, Uncounted
from modelport.domain.errors import InvalidInput, Unavailable
from modelport.domain.routes import VariantRoute
from modelport.domain.signature import Signature
from modelport.runtime.codecs import Decoder, Encoder
from modelport.telemetry import metrics
from modelport.telemetry.slots import MetricSlot, Series

if TYPE_CHECKING:
    from modelport.dataplane.protocols import Ask

LANES_MAX = 64
Slot = MetricSlot | Uncounted


class ServedVariant(ABC):
    """One variant.

    Args:
        endpoint: Whose.
        route: From the table.
        slot: Where its numbers go.
    """

    __slots__ = (
        "__weakref__",
        "_codes",
        "_slot",
        "asynchronous",
        "batch_rows",
        "duration",
        "endpoint",
        "inference",
        "lanes",
        "route",
        "shadow_dropped",
        "waiting",
    )

    duration: Series  # this and the next two: once it has a lane; a variant nobody asks shows no numbers
    inference: Series
    batch_rows: Series

    def __init__(self, endpoint: str, route: VariantRoute, slot: Slot) -> None:
        self.endpoint = endpoint
        self.route = route
        self._slot = slot
        self._codes: dict[tuple[str, int], Series] = {}
        self.lanes: dict[CodecKey, Lane] = {}
        self.asynchronous = False  # it is asked so, and in no other way
        self.waiting = 0  # for a shadow: copies that wait
        self.shadow_dropped = (
            slot.series(metrics.SHADOW_DROPPED, endpoint, route.variant) if route.shadow else None
        )

    @abstractmethod
    def open_lane(self, ask: Ask, overloaded: bytes) -> Lane:
        """Return a new lane for requests like this one, and keep it; see `Lane`.

        Raises:
            Dormant: The model is not in memory, and may be loaded.
            Unavailable: The model does not work; says why.
            InvalidInput: Such requests cannot be answered.
        """

    def aim(self, ask: Ask) -> ServedVariant:
        """Return who answers a request in the end.

        Raises:
            Absent: It names a model that is not hosted, and may come.
            InvalidInput: It names a hosted model, and there are none here; or none, or no known one.
        """
        if ask.hosted is not None:
            header = "Inference-Component" if ask.component is not None else "Target-Model"
            raise InvalidInput(
                f"variant {self.route.variant!r} of endpoint {self.endpoint!r} serves one model",
                hint=f"leave X-Amzn-SageMaker-{header} out",
            )
        return self

    @abstractmethod
    def check(self) -> None:
        """Return when its model works, in memory or not.

        Raises:
            Unavailable: It does not; says why.
        """

    @abstractmethod
    def signature(self) -> Signature:
        """Return what its model takes and gives.

        Raises:
            Unavailable: The model does not work, or this worker has not loaded it yet.
            InvalidInput: Nobody knows.
        """

    def forget(self) -> None:
        """Let go of what its lanes hold of a model that leaves memory."""
        self.lanes.clear()

    def count(self, protocol: str, status: int) -> Series:
        """Return the counter of replies with this status."""
        series = self._codes.get((protocol, status))
        if series is None:
            route = self.route
            series = self._codes[protocol, status] = self._slot.series(
                metrics.REQUESTS, self.endpoint, route.variant, route.model_version, protocol, str(status)
            )
        return series

    def count_nonfinite(self) -> None:
        """Count an answer with a NaN or an infinity among its numbers."""
        route = self.route
        self._slot.series(metrics.NONFINITE, self.endpoint, route.variant, route.model_version).add()

    def _keep_lane(
        self,
        ask: Ask,
        batcher: Batcher | Forwarder | Pipeline,
        decode: Decoder,
        encoder: Encoder,
        overloaded: bytes,
    ) -> Lane:
        protocol = ask.dialect.name
        labels = (self.endpoint, self.route.variant, self.route.model_version)
        self.duration = self._slot.series(metrics.REQUEST_DURATION, *labels)
        self.inference = self._slot.series(metrics.INFERENCE_DURATION, *labels)
        self.batch_rows = self._slot.series(metrics.BATCH_SIZE, *labels)
        kind = StreamLane if ask.dialect.streams else Lane
        lane = kind(self, batcher, decode, encoder, lambda status: self.count(protocol, status), overloaded)
        if len(self.lanes) >= LANES_MAX:
            self.lanes.clear()
        self.lanes[ask.codec_key] = lane
        return lane


class LoadedVariant(ServedVariant):
    """One variant whose model workers load.

    Args:
        endpoint: Whose.
        route: From the table.
        handle: Of its model.
        slot: Where its numbers go.
    """

    __slots__ = ("_handle",)

    def __init__(self, endpoint: str, route: VariantRoute, handle: ModelHandle, slot: Slot) -> None:
        super().__init__(endpoint, route, slot)
        self._handle = handle

    def batcher(self) -> Batcher:
        """Return what runs its model.

        Raises:
            Dormant: The model is not in memory, and may be loaded.
            Unavailable: The model does not work; says why.
        """
        handle = self._handle
        if handle.batcher is not None:
            return handle.batcher
        self.check()
        raise Dormant(handle)

    def keep(self, keeper: ServedVariant) -> None:
        """Let `keeper` forget its lanes, too, when the model leaves memory."""
        self._handle.keep(keeper)

    def open_lane(self, ask: Ask, overloaded: bytes) -> Lane:
        """Return a new lane, with the codecs of the request's protocol."""
        batcher = self.batcher()
        decode, encoder = ask.dialect.codecs(batcher.model, ask, self.route.model_version)
        self._handle.keep(self)
        return self._keep_lane(ask, batcher, decode, encoder, overloaded)

    def check(self) -> None:
        """Return when its model works, in memory or not."""
        if self._handle.failure is not None:
            raise Unavailable(
                f"model {self.route.model_version} of variant {self.route.variant!r} is not loaded: "
                f"{self._handle.failure}",
                hint="deploy a version that loads, or roll back",
                retry_after_s=5.0,
            )

    def signature(self) -> Signature:
        """Return what its model takes and gives."""
        self.check()
        signature = self._handle.signature
        if signature is None:
            raise Unavailable(
                f"model {self.route.model_version} is not in memory yet", hint="ask for a prediction once"
            )
        return signature


class ForwardedVariant(ServedVariant):
    """One variant whose model is code of its own, and runs in replicas.

    Args:
        endpoint: Whose.
        route: From the table.
        forwarder: The way to them.
        slot: Where its numbers go.
    """

    __slots__ = ("_forwarder",)

    def __init__(self, endpoint: str, route: VariantRoute, forwarder: Forwarder, slot: Slot) -> None:
        super().__init__(endpoint, route, slot)
        self._forwarder = forwarder

    def open_lane(self, ask: Ask, overloaded: bytes) -> Lane:
        """Return a new lane, on which bodies go as they come."""
        if not ask.dialect.forwards:
            raise own_words(self.endpoint)
        return self._keep_lane(ask, self._forwarder, UNREAD, UNREAD, overloaded)

    def check(self) -> None:
        """Return when some replica works."""
        self._forwarder.check()

    def signature(self) -> Signature:
        """Say that only its code knows."""
        raise own_words(self.endpoint)


class PipelineVariant(ServedVariant):
    """One variant whose requests go through several models.

    Args:
        endpoint: Whose.
        route: From the table.
        pipeline: The stages.
        slot: Where its numbers go.
    """

    __slots__ = ("_pipeline",)

    def __init__(self, endpoint: str, route: VariantRoute, pipeline: Pipeline, slot: Slot) -> None:
        super().__init__(endpoint, route, slot)
        self._pipeline = pipeline

    def open_lane(self, ask: Ask, overloaded: bytes) -> Lane:
        """Return a new lane, on which bodies go as they come; all models must be in memory."""
        if not ask.dialect.forwards or ask.dialect.streams:
            raise own_words(self.endpoint)
        for stage in self._pipeline.stages:
            if isinstance(stage, LoadedVariant):
                stage.batcher()
                stage.keep(self)
        return self._keep_lane(ask, self._pipeline, UNREAD, UNREAD, overloaded)

    def check(self) -> None:
        """Return when all stages work."""
        for stage in self._pipeline.stages:
            stage.check()

    def signature(self) -> Signature:
        """Say that nobody knows what all of it takes."""
        raise own_words(self.endpoint)

    def forget(self) -> None:
        """Let go of its lanes and those of its stages."""
        super().forget()
        for stage in self._pipeline.stages:
            stage.forget()


def own_words(endpoint: str) -> InvalidInput:
    """Return the error that says that an endpoint is asked in the words of its own code only."""
    return InvalidInput(
        f"endpoint {endpoint!r} runs code of its own, and only that knows what it takes",
        hint=f"ask it at /endpoints/{endpoint}/invocations",
    )
