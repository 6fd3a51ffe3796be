"""What all connections of a worker share: limits, time, the plans of heads, and the end."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from modelport.dataplane.exchange import Plan
from modelport.dataplane.handover import Handover, Load
from modelport.dataplane.heads import Malformed, RequestHead, Wanted, read_head
from modelport.dataplane.http import Connection
from modelport.domain.clock import Clock
from modelport.settings import Settings

KEPT_HEADS = 2048
KEPT_HEAD_BYTES = 1024
TICK_S = 1.0


class Server:
    """What all connections of a worker share.

    Args:
        settings: Limits.
        plan_for: Decides by a head.
        wanted: Header names that `plan_for` looks at.
        clock: Time.
        loop: The event loop; connections live on it.
        count_refused: Called with the status of a request refused for its form.
        handover: The way to other workers; None: there is none.
    """

    def __init__(
        self,
        settings: Settings,
        plan_for: Callable[[RequestHead], Plan],
        wanted: Wanted,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        count_refused: Callable[[int], None] = lambda _: None,
        handover: Handover | None = None,
    ) -> None:
        self.settings = settings
        self.monotonic = clock.monotonic
        self.loop = loop
        self.count_refused = count_refused
        self.now = clock.monotonic()
        self.heads: dict[bytes, Plan] = {}
        self.connections: set[Connection] = set()
        self.draining = False
        self.bodies_bytes = 0  # of bodies that are not complete
        self._handover = handover
        self._plan_for = plan_for
        self._wanted = wanted
        timeouts = (
            settings.header_timeout_s,
            settings.body_timeout_s,
            settings.idle_timeout_s,
            settings.write_timeout_s,
        )
        self._tick_s = max(0.01, min(TICK_S, *(timeout / 4 for timeout in timeouts)))
        self._timer = loop.call_later(self._tick_s, self._tick)

    def connect(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self)

    def plan(self, block: bytes) -> Plan:
        """Return the plan of a head seen for the first time, and keep it.

        Raises:
            Malformed: It is no proper head.
        """
        if len(block) > self.settings.header_bytes_max:
            raise Malformed(431, f"the head is larger than {self.settings.header_bytes_max} bytes")
        plan = self._plan_for(read_head(block, self._wanted))
        if len(block) <= KEPT_HEAD_BYTES:
            if len(self.heads) >= KEPT_HEADS:
                self.heads.clear()
            self.heads[block] = plan
        return plan

    def drain(self) -> None:
        """Let every connection leave for another worker; called again, those that could not before."""
        self.draining = True
        for connection in list(self.connections):
            connection.leave()

    def end_quiet(self) -> None:
        """Close the connections on which nothing is open."""
        for connection in list(self.connections):
            connection.end_if_quiet()

    def may_hand_over(self) -> bool:
        """Return whether another worker would take a connection."""
        return self._handover is not None and self._handover.possible(must=self.draining)

    def hand_over(self, transport: asyncio.Transport) -> bool:
        """Give a connection's socket to another worker; return whether one takes it."""
        if self._handover is None:
            return False
        return self._handover.give(transport.get_extra_info("socket").fileno(), must=self.draining)

    def share(self) -> None:
        """Tell the other workers what is held here, and let them have what is more than a fair share."""
        if self._handover is None or self.draining:
            return
        busy = [one for one in self.connections if one.asked_since(self.now - self._tick_s)]
        give_busy, give_idle = self._handover.share(Load(len(busy), len(self.connections) - len(busy)))
        for connection in busy[:give_busy]:
            connection.leave()
        if give_idle:
            asking = set(busy)
            quiet = (one for one in self.connections if one.is_quiet() and one not in asking)
            for connection in list(itertools.islice(quiet, give_idle)):
                connection.leave()

    def close(self) -> None:
        """Cut what is left."""
        self._timer.cancel()
        for connection in list(self.connections):
            connection.abort()

    def _tick(self) -> None:
        self.now = self.monotonic()
        for connection in list(self.connections):
            connection.check_patience(self.now)
        self._timer = self.loop.call_later(self._tick_s, self._tick)
