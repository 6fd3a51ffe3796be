"""Requests on their way to replicas: processes that run a model's own code, each behind a Unix socket.

A replica speaks SageMaker's container contract, `POST /invocations`. A body goes there as it came, and what
the code answers goes back as it was said. The replica with the fewest open requests gets the next one; where
none has room, requests wait here. Each connection carries one request at a time and is kept.

What may have had effects is not done twice: a request that a fresh connection took in whole is never sent
again. One that met the end of a kept connection is, once: servers close those whenever they like.

Source: SageMaker, "How containers serve requests"; RFC 9112 section 9.3.1, "Retrying requests".
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelport.dataplane.admission import Admission
from modelport.dataplane.exchange import Exchange
from modelport.dataplane.forwarded import Call, StreamedCall
from modelport.dataplane.replicas import Load, Replica, choose
from modelport.domain.errors import Unavailable
from modelport.settings import Settings

if TYPE_CHECKING:
    from modelport.dataplane.batching import Finish

KEPT_S = 30.0
"""An unused connection is kept for so long."""

FIRST_CALL_S = 0.001
PACE_WEIGHT = 0.2  # of the newest reply in the running average of the time between two


class Forwarders:
    """Everything that a worker forwards to.

    Args:
        folder: `run/replicas`.
        settings: Limits.
        loop: The event loop.
        now: Monotonic seconds.
        finish: Takes each exchange with its reply, or the error that stands for it.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], float],
        finish: Finish,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._loop = loop
        self._now = now
        self.finish = finish
        self._replicas: dict[str, Replica] = {}
        self._forwarders: dict[tuple[str, ...], Forwarder] = {}

    def find(self, names: tuple[str, ...]) -> Forwarder:
        """Return what forwards to these replicas: the same for as long as some table names them."""
        found = self._forwarders.get(names)
        if found is None:
            found = self._forwarders[names] = Forwarder(
                [self._replica(name) for name in names],
                self._settings,
                self._loop,
                self._now,
                self.finish,
                self._go_on,
            )
        return found

    def keep_only(self, named: Collection[tuple[str, ...]]) -> None:
        """Forget all replicas but those of these variants, and end the connections there."""
        for names in [names for names in self._forwarders if names not in named]:
            del self._forwarders[names]
        needed = {name for names in named for name in names}
        for name in [name for name in self._replicas if name not in needed]:
            self._replicas.pop(name).tidy(float("inf"))

    def tidy(self) -> None:
        """End connections that nobody used for long; let those go on who wait for a replica that was down."""
        oldest = self._now() - KEPT_S
        for replica in self._replicas.values():
            replica.tidy(oldest)
            self._go_on(replica)

    def close(self) -> None:
        """Drop what is open and end all connections."""
        for forwarder in self._forwarders.values():
            forwarder.close()
        self.keep_only(())

    def _replica(self, name: str) -> Replica:
        found = self._replicas.get(name)
        if found is None:
            found = self._replicas[name] = Replica(
                self._folder / name, self._loop, self._now, self._settings.header_bytes_max
            )
        return found

    def _go_on(self, replica: Replica) -> None:
        """Let those go on who wait for room at a replica, whichever table they belong to."""
        for forwarder in self._forwarders.values():
            if forwarder.busy and replica in forwarder.replicas:
                forwarder.go_on()


class Forwarder:
    """Forwards to the replicas of a variant, where a `Batcher` runs a model in memory.

    Args:
        replicas: Which. Several forwarders may share one.
        limits: Of open requests, of replies and of time.
        loop: The event loop.
        now: Monotonic seconds.
        finish: Takes each exchange with its reply, or the error that stands for it.
        on_room: Told of a replica that may have room again.
    """

    def __init__(
        self,
        replicas: Sequence[Replica],
        limits: Settings,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], float],
        finish: Finish,
        on_room: Callable[[Replica], None],
    ) -> None:
        self.replicas = tuple(replicas)
        self.limits = limits
        self.loop = loop
        self.now = now
        self.finish = finish
        self._on_room = on_room
        self._turn = 0
        self._waiting: OrderedDict[Call, None] = OrderedDict()
        self._open: set[Call] = set()
        self._admission = Admission(FIRST_CALL_S, now())
        self._pace_s = FIRST_CALL_S
        self.busy = False  # requests wait for room

    def check(self) -> None:
        """Return when some replica worked when it was asked last.

        Raises:
            Unavailable: None did; says why.
        """
        if not any(replica.works for replica in self.replicas):
            raise self.nobody()

    def nobody(self) -> Unavailable:
        """Return the error that says that no replica answers."""
        count = len(self.replicas)
        return Unavailable(
            f"none of the {count} replicas takes requests" if count else "there is no replica yet",
            hint="`modelport status` says what runs",
        )

    def admits(self) -> bool:
        """Return whether one more request may wait for room."""
        return self._admission.offer(self.now(), len(self._waiting) * self._pace_s)

    def submit(self, exchange: Exchange) -> None:
        """Take a request; its `finish` is called later, never from here."""
        ask = exchange.plan.ask
        streams = ask is not None and ask.dialect.streams and exchange.answered is not None
        call = StreamedCall(self, exchange) if streams else Call(self, exchange)
        if self.busy:
            self._waiting[call] = None
            self.go_on()
        elif not self.send(call):
            self._waiting[call] = None
            self.busy = True

    def send(self, call: Call) -> bool:
        """Send a request on its way, or to its end; return whether there was room."""
        while True:
            now = self.now()
            loads = [Load(each.open, each.down_until > now, each in call.refused) for each in self.replicas]
            try:
                index = choose(loads, limit=self.limits.replica_requests_max, turn=self._turn)
            except LookupError:
                self.loop.call_soon(call.end, self.nobody())
                return True
            if index is None:
                return False
            replica = self.replicas[index]
            try:
                upstream = (None if call.sent else replica.take()) or replica.connect()
            except OSError:
                replica.suspect()
                call.refused.add(replica)
                continue
            self._turn = index + 1
            replica.open += 1
            self._open.add(call)
            call.go(replica, upstream)
            return True

    def send_again(self, call: Call, replica: Replica) -> None:
        """Send a request that a replica lost once more, before all that wait."""
        replica.open -= 1
        self._open.discard(call)
        if not self.send(call):
            self._waiting[call] = None
            self._waiting.move_to_end(call, last=False)
            self.busy = True
        self._on_room(replica)

    def release(self, call: Call, replica: Replica) -> None:
        """Take note that a request is at a replica no more."""
        replica.open -= 1
        self._open.discard(call)
        self._on_room(replica)

    def observe(self, seconds: float) -> None:
        """Take note of a reply that took so long."""
        self._pace_s += PACE_WEIGHT * (seconds / max(1, len(self._open)) - self._pace_s)
        self._admission.answer(1, seconds)

    def go_on(self) -> None:
        """Send those that wait while there is room."""
        while self._waiting:
            call = next(iter(self._waiting))
            if not self.send(call):
                break
            del self._waiting[call]
        self.busy = bool(self._waiting)

    def leave(self, call: Call) -> None:
        """Let a request wait no longer."""
        self._waiting.pop(call, None)
        self.busy = bool(self._waiting)

    def close(self) -> None:
        """Drop whatever is open."""
        for call in [*self._waiting, *self._open]:
            call.stop(Unavailable("the worker ends"))
