"""What is served now: a route table tied to models, and swapped as a whole.

A request belongs to the table that was current when its body was complete, to its end; a table that is no
longer current drains, and only then may models that no other table names be forgotten.

A table of a thousand endpoints is light: an endpoint takes shape when it is asked for the first time, and an
endpoint that a new table does not change goes over to it as it is, with its lanes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, Protocol

from modelport.dataplane import event_stream
from modelport.dataplane.batching import Batcher
from modelport.dataplane.forward import Forwarder, Forwarders
from modelport.dataplane.handles import Dormant, ModelHandle
from modelport.dataplane.pipeline import Pipeline, Uncounted
from modelport.dataplane.router import Routes
from modelport.domain.errors import InvalidInput, NotFound, Unavailable
from modelport.domain.routes import CaptureRoute, EndpointRoute, RouteTable, StageRoute, VariantRoute
from modelport.domain.signature import Signature
from modelport.runtime.codecs import Decoder, Encoder, Lengthy, MixedReply
from modelport.telemetry import metrics
from modelport.telemetry.slots import MetricSlot, Series

if TYPE_CHECKING:
    from modelport.dataplane.protocols import Ask

LANES_MAX = 64
INLINE_BODY_BYTES = 128 << 10  # larger bodies are decoded in the model's thread
CodecKey = tuple[str, str | None, str | None, str | None]
"""Protocol name, Content-Type, Content-Encoding, Accept."""

Slot = MetricSlot | Uncounted
Handles = Callable[[str], ModelHandle]
"""Digest to the handle of its model."""


class Queue(Protocol):
    """Something requests wait in, that counts them."""

    waiting: int


class Lane:
    """One variant, asked in one protocol with one pair of content types: all that a request needs.

    Args:
        variant: Who answers.
        batcher: Runs its model, forwards to where it runs, or passes from one to the next.
        decode: Body to rows.
        encoder: Outputs to body.
        codes: Status to counter, for this variant and protocol.
        overloaded: Whole reply to a request that comes while more come than can be answered: refusing has to
            be cheap.
    """

    __slots__ = (
        "_mixed",
        "batcher",
        "codes",
        "decode",
        "duration",
        "encode",
        "in_passing",
        "ok",
        "overloaded",
        "passing_bytes",
        "reply",
        "reply_type",
        "variant",
    )

    def __init__(
        self,
        variant: ServedVariant,
        batcher: Batcher | Forwarder | Pipeline,
        decode: Decoder,
        encoder: Encoder,
        codes: Callable[[int], Series],
        overloaded: bytes,
    ) -> None:
        self.variant = variant
        self.batcher = batcher
        self.decode = decode
        self.in_passing = decode.in_passing
        self.encode = encoder.encode
        self.reply_type = encoder.content_type
        self.codes = codes
        self.overloaded = overloaded
        self.ok = codes(200)
        self.duration = variant.duration
        self.passing_bytes = -1 if encoder.off_loop else INLINE_BODY_BYTES
        route = variant.route
        fields = (
            f"x-Amzn-Invoked-Production-Variant: {route.variant}\r\n"
            f"X-Modelport-Model-Version: {route.model_version}\r\n"
        ).encode("latin-1").replace(b"%", b"%%") + (
            b"X-Modelport-Prediction-Id: %b\r\nContent-Length: %d\r\n\r\n%b"
        )
        media = encoder.content_type.encode("latin-1").replace(b"%", b"%%")
        self.reply = b"HTTP/1.1 200 OK\r\nContent-Type: " + media + b"\r\n" + fields
        """With prediction id, length and body in its places."""
        self._mixed = b"HTTP/1.1 200 OK\r\n%b" + fields

    def reply_mixed(self, prediction_id: bytes, answer: MixedReply) -> bytes:
        """Return the whole reply whose body brings header lines of its own."""
        return self._mixed % (answer.fields, prediction_id, len(answer), answer)


class StreamLane(Lane):
    """A lane whose replies are event streams: all at once for a model in memory, else in parts."""

    __slots__ = ()

    def reply_mixed(self, prediction_id: bytes, answer: MixedReply) -> bytes:
        """Return the whole reply, in frames."""
        body = event_stream.parts(answer)
        fields = _stream_fields(answer.content_type.encode("latin-1"), b"")
        return self._mixed % (fields, prediction_id, len(body), body)

    def opening(self, prediction_id: bytes, media: bytes, fields: bytes) -> bytes:
        """Return the head of a reply in parts, each of which is a chunk.

        Args:
            prediction_id: The request's.
            media: Type of what the parts make together.
            fields: Further header lines, each with its line end.
        """
        head, _, _ = self._mixed.partition(b"Content-Length")
        return (head + b"Transfer-Encoding: chunked\r\n\r\n") % (_stream_fields(media, fields), prediction_id)


def _stream_fields(media: bytes, fields: bytes) -> bytes:
    kind = event_stream.CONTENT_TYPE.encode("ascii")
    return b"Content-Type: %b\r\nX-Amzn-SageMaker-Content-Type: %b\r\n%b" % (kind, media, fields)


class Unread:
    """Stands for the codecs where nobody here reads what is asked, or writes what is answered."""

    content_type = ""
    off_loop = True

    def __call__(self, _body: bytes) -> NoReturn:
        """Refuse."""
        raise Lengthy

    in_passing = encode = __call__


UNREAD = Unread()


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


class ServedEndpoint:
    """One endpoint of one table, or of several after each other that do not change it.

    Args:
        route: From the table.
        handles: Gives the handle of a model.
        forwarders: The ways to replicas.
        slot: Where its numbers go.
    """

    __slots__ = ("capture", "name", "only", "route", "routes", "shadows", "variants", "waiting")

    def __init__(
        self, route: EndpointRoute, handles: Handles, forwarders: Forwarders, slot: MetricSlot
    ) -> None:
        name = route.endpoint

        def serve_stage(variant: VariantRoute, stage: StageRoute, slot: Slot) -> ServedVariant:
            if stage.digest:
                return LoadedVariant(name, variant, handles(stage.digest), slot)
            return ForwardedVariant(name, variant, forwarders.find(stage.replicas), slot)

        def serve(variant: VariantRoute) -> ServedVariant:
            if variant.then:
                stages = [serve_stage(variant, stage, Uncounted()) for stage in variant.stages]
                served: ServedVariant = PipelineVariant(
                    name, variant, Pipeline(stages, forwarders.finish), slot
                )
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
    """

    def __init__(
        self, routes: RouteTable, handles: Handles, forwarders: Forwarders, slot: MetricSlot
    ) -> None:
        self.routes = routes
        self.digests = routes.digests()
        self.replicas = routes.replicas()
        self.endpoints: dict[str, ServedEndpoint] = {}  # those that were asked
        self._by_name = {route.endpoint: route for route in routes.endpoints}
        self._handles = handles
        self._forwarders = forwarders
        self._slot = slot
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
        served = self.endpoints[name] = ServedEndpoint(route, self._handles, self._forwarders, self._slot)
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
