"""What is served now: a route table tied to models in memory, and swapped as a whole.

A request belongs to the table that was current when its body was complete, to its end; a table that is no
longer current drains, and only then may models that no other table needs be unloaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from modelport.dataplane.batching import Batcher
from modelport.dataplane.router import Routes
from modelport.domain.errors import Unavailable
from modelport.domain.routes import CaptureRoute, EndpointRoute, RouteTable, VariantRoute
from modelport.runtime.codecs import Decoder, Encoder, MixedReply
from modelport.telemetry import metrics
from modelport.telemetry.slots import MetricSlot, Series

LANES_MAX = 64
INLINE_BODY_BYTES = 128 << 10  # larger bodies are decoded in the model's thread
CodecKey = tuple[str, str | None, str | None, str | None]
"""Protocol name, Content-Type, Content-Encoding, Accept."""


class Queue(Protocol):
    """Something requests wait in, that counts them."""

    waiting: int


class Lane:
    """One variant, asked in one protocol with one pair of content types: all that a request needs.

    Args:
        variant: Who answers.
        batcher: Runs its model.
        decode: Body to rows.
        encoder: Outputs to body.
        codes: Status to counter, for this variant and protocol.
    """

    __slots__ = (
        "_mixed",
        "batcher",
        "codes",
        "decode",
        "duration",
        "encode",
        "inline_bytes",
        "ok",
        "reply",
        "reply_type",
        "variant",
    )

    def __init__(
        self,
        variant: ServedVariant,
        batcher: Batcher,
        decode: Decoder,
        encoder: Encoder,
        codes: Callable[[int], Series],
    ) -> None:
        self.variant = variant
        self.batcher = batcher
        self.decode = decode
        self.encode = encoder.encode
        self.reply_type = encoder.content_type
        self.codes = codes
        self.ok = codes(200)
        self.duration = variant.duration
        self.inline_bytes = -1 if decode.off_loop or encoder.off_loop else INLINE_BODY_BYTES
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
        """Return the whole reply whose body has binary tensors behind its JSON."""
        return self._mixed % (answer.fields, prediction_id, len(answer), answer)


class ServedVariant:
    """One variant with its model, or the reason why there is none.

    Args:
        endpoint: Whose.
        route: From the table.
        model: The batcher of its model, or why it is not in memory.
        slot: Where its numbers go.
    """

    __slots__ = (
        "_batcher",
        "_codes",
        "_slot",
        "batch_rows",
        "duration",
        "endpoint",
        "failure",
        "inference",
        "lanes",
        "route",
        "shadow_dropped",
        "waiting",
    )

    def __init__(self, endpoint: str, route: VariantRoute, model: Batcher | str, slot: MetricSlot) -> None:
        self.endpoint = endpoint
        self.route = route
        self._batcher = None if isinstance(model, str) else model
        self.failure = model if isinstance(model, str) else None
        self._slot = slot
        self._codes: dict[tuple[str, int], Series] = {}
        self.lanes: dict[CodecKey, Lane] = {}
        self.waiting = 0  # for a shadow: copies that wait
        labels = (endpoint, route.variant, route.model_version)
        self.duration = slot.series(metrics.REQUEST_DURATION, *labels)
        self.inference = slot.series(metrics.INFERENCE_DURATION, *labels)
        self.batch_rows = slot.series(metrics.BATCH_SIZE, *labels)
        self.shadow_dropped = (
            slot.series(metrics.SHADOW_DROPPED, endpoint, route.variant) if route.shadow else None
        )

    def batcher(self) -> Batcher:
        """Return what runs its model.

        Raises:
            Unavailable: The model is not in memory; says why.
        """
        if self._batcher is None:
            raise Unavailable(
                f"model {self.route.model_version} of variant {self.route.variant!r} is not loaded: "
                f"{self.failure}",
                hint="deploy a version that loads, or roll back",
                retry_after_s=5.0,
            )
        return self._batcher

    def add_lane(self, key: CodecKey, decode: Decoder, encoder: Encoder) -> Lane:
        """Return a lane for this protocol and pair of content types, and keep it."""
        protocol = key[0]
        lane = Lane(self, self.batcher(), decode, encoder, lambda status: self.count(protocol, status))
        if len(self.lanes) >= LANES_MAX:
            self.lanes.clear()
        self.lanes[key] = lane
        return lane

    def count(self, protocol: str, status: int) -> Series:
        """Return the counter of replies with this status."""
        series = self._codes.get((protocol, status))
        if series is None:
            route = self.route
            series = self._codes[protocol, status] = self._slot.series(
                metrics.REQUESTS, self.endpoint, route.variant, route.model_version, protocol, str(status)
            )
        return series


class ServedEndpoint:
    """One endpoint of a table.

    Args:
        route: From the table.
        models: Digest to the batcher of its model, or why it is not in memory.
        slot: Where its numbers go.
    """

    __slots__ = ("capture", "name", "only", "routes", "shadows", "variants", "waiting")

    def __init__(self, route: EndpointRoute, models: Mapping[str, Batcher | str], slot: MetricSlot) -> None:
        self.name = route.endpoint
        self.routes = Routes(route)
        self.variants = [self._serve(variant, models, slot) for variant in self.routes.production]
        self.shadows = [self._serve(variant, models, slot) for variant in self.routes.shadows]
        only = self.routes.only
        self.only = None if only is None else self.variants[only]
        capture = route.capture
        self.capture: CaptureRoute | None = capture if capture and capture.percentage > 0 else None
        self.waiting = 0  # requests decoded or read, and not answered yet

    def _serve(
        self, variant: VariantRoute, models: Mapping[str, Batcher | str], slot: MetricSlot
    ) -> ServedVariant:
        return ServedVariant(self.name, variant, models.get(variant.digest, "it was not loaded"), slot)


class ServingTable:
    """A route table that can answer.

    Args:
        routes: The table.
        models: Digest to the batcher of its model, or why it is not in memory.
        slot: Where its numbers go.
    """

    def __init__(self, routes: RouteTable, models: Mapping[str, Batcher | str], slot: MetricSlot) -> None:
        self.routes = routes
        self.endpoints = {route.endpoint: ServedEndpoint(route, models, slot) for route in routes.endpoints}
        self.open = 0  # requests that belong to it
        self.on_drained: Callable[[], None] | None = None  # set once another table is current

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
        self._drained(table)
