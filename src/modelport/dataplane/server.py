"""What all connections of a worker share: limits, time, the plans of heads, and the end."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from email.utils import format_datetime

from modelport.dataplane.exchange import Plan
from modelport.dataplane.handover import Handover, Load
from modelport.dataplane.heads import Malformed, RequestHead, Wanted, read_head
from modelport.dataplane.http import Connection
from modelport.dataplane.patience import Rounds
from modelport.domain.clock import Clock
from modelport.settings import Settings

KEPT_HEADS = 2048
KEPT_HEAD_BYTES = 1024
TICK_S = 1.0


class Plans:
    """What is done with which head, on one listener.

    Args:
        plan_for: Decides by a head.
        wanted: Header names that `plan_for` looks at.
        bytes_max: Largest head.
    """

    __slots__ = ("_bytes_max", "_plan_for", "_wanted", "kept")

    def __init__(self, plan_for: Callable[[RequestHead], Plan], wanted: Wanted, bytes_max: int) -> None:
        self.kept: dict[bytes, Plan] = {}
        self._plan_for = plan_for
        self._wanted = wanted
        self._bytes_max = bytes_max

    def learn(self, block: bytes) -> Plan:
        """Return the plan of a head seen for the first time, and keep it.

        Raises:
            Malformed: It is no proper head.
        """
        if len(block) > self._bytes_max:
            raise Malformed(431, f"the head is larger than {self._bytes_max} bytes")
        plan = self._plan_for(read_head(block, self._wanted))
        if len(block) <= KEPT_HEAD_BYTES:
            if len(self.kept) >= KEPT_HEADS:
                self.kept.clear()
            self.kept[block] = plan
        return plan


class Server:
    """What all connections of a worker share.

    Args:
        settings: Limits.
        clock: Time.
        loop: The event loop; connections live on it.
        count_refused: Called with the status of a request refused for its form.
        count_cut: Called with the reason why a connection was cut without a reply.
        handover: The way to other workers; None: there is none.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        *,
        count_refused: Callable[[int], None] = lambda _: None,
        count_cut: Callable[[str], None] = lambda _: None,
        handover: Handover | None = None,
    ) -> None:
        self.settings = settings
        self.monotonic = clock.monotonic
        self.loop = loop
        self.count_refused = count_refused
        self.count_cut = count_cut
        self.pipelined_max = max(1, settings.pipelined_requests_max)
        self.bodies_bytes_max = max(settings.bodies_bytes_max, settings.body_bytes_max)
        self.connections: set[Connection] = set()
        self.draining = False
        self.bodies_bytes = 0  # of requests that are not complete, or put aside, and of large unanswered ones
        self.opening = self.last_opening = b"\r\n"  # what follows each reply's first line; see `_tick`
        self._clock = clock
        self._handover = handover
        timeouts = (
            settings.header_timeout_s,
            settings.body_timeout_s,
            settings.idle_timeout_s,
            settings.write_timeout_s,
        )
        self._tick_s = max(0.01, min(TICK_S, *(timeout / 4 for timeout in timeouts)))
        self.now = clock.monotonic()
        self.rounds = Rounds(self._tick_s, self.now)
        self._tick()

    def connect(self, plans: Plans, *, spoke: bool = False) -> Connection:
        """Return the protocol of a connection; `spoke`: its client has asked before, in another worker."""
        return Connection(self, plans, spoke=spoke)

    def hold(self, count: int) -> None:
        """Count bytes of requests that have to be kept.

        Raises:
            Malformed: All connections together keep enough already.
        """
        if self.bodies_bytes + count > self.bodies_bytes_max:
            raise Malformed(503, "too many large bodies are on their way at once")
        self.bodies_bytes += count

    def let_go(self, count: int) -> None:
        """Count them no more."""
        self.bodies_bytes -= count

    def drain(self) -> None:
        """Let every connection leave for another worker; called again, those that could not before."""
        self.draining = True
        self.now = self.monotonic()
        for connection in list(self.connections):
            connection.leave()

    def end_quiet(self) -> None:
        """Close the connections on which nothing is open."""
        for connection in list(self.connections):
            connection.end_if_quiet()

    def may_hand_over(self) -> bool:
        """Return whether another worker would take a connection."""
        return self._handover is not None and self._handover.possible(must=self.draining)

    def hand_over(self, transport: asyncio.Transport, *, spoke: bool) -> bool:
        """Give a connection's socket to another worker; return whether one takes it.

        Args:
            transport: The connection's.
            spoke: Its client has asked before.
        """
        if self._handover is None:
            return False
        descriptor = transport.get_extra_info("socket").fileno()
        return self._handover.give(descriptor, spoke=spoke, must=self.draining)

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
        """Move the time on: the coarse clock, the Date of replies, and whoever has been waited for."""
        self.now = self.monotonic()
        date = f"\r\nDate: {format_datetime(self._clock.now(), usegmt=True)}\r\n".encode("ascii")
        self.opening, self.last_opening = date, b"\r\nConnection: close" + date
        self.rounds.tick(self.now)
        self._timer = self.loop.call_later(self._tick_s, self._tick)
