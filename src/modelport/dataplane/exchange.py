"""One request on its way through the worker, and the plan its head fixed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import msgspec

from modelport.dataplane.replies import plain_error

if TYPE_CHECKING:
    from asyncio import TimerHandle

    from modelport.dataplane.lanes import Lane, Queue
    from modelport.dataplane.protocols import Ask
    from modelport.dataplane.tables import ServingTable
    from modelport.runtime.rows import Rows


class Plan:
    """What a request's head decides. Heads repeat byte for byte, so plans are kept and shared.

    Args:
        handle: Takes the exchange when its body is complete, and sees to it that `reply` is called once.
        length: Bytes of the body; -1 when the body says so itself, in chunks.
        keep_alive: The connection may go on afterwards.
        expects_continue: The client waits for `100 Continue`.
        refuse_early: Returns a reply when the request can be refused without its body, else None.
        refuse: Words a refusal for its form (status, reason) in the protocol's own way.
        ask: For predictions: what is asked of which endpoint.
    """

    __slots__ = ("ask", "expects_continue", "handle", "keep_alive", "length", "refuse", "refuse_early")

    def __init__(
        self,
        handle: Callable[[Exchange], None],
        *,
        length: int,
        keep_alive: bool,
        expects_continue: bool = False,
        refuse_early: Callable[[], bytes | None] = lambda: None,
        refuse: Callable[[int, str], bytes] = plain_error,
        ask: Ask | None = None,
    ) -> None:
        self.handle = handle
        self.length = length
        self.keep_alive = keep_alive
        self.expects_continue = expects_continue
        self.refuse_early = refuse_early
        self.refuse = refuse
        self.ask = ask


class Exchange(msgspec.Struct, eq=False):
    """A request, from its last byte to its reply. A struct, since one is made for each request.

    Args:
        answered: Called with this and the reply's bytes, exactly once; None for a shadow's copy, and when
            nobody is left to hear it.
        plan: From its head.
        body: All of it.
        began: When its last byte was seen, by the monotonic clock, in seconds.
        answer: The reply, while those before it are not sent yet.
        timer: Ends the wait for a model's own thread.
        drop: Ends that wait because nobody is left to hear the answer.
        deadline: Monotonic seconds. This and the rest: once a variant was chosen.
        lane: Which variant answers, and how.
        prediction_id: As it is replied.
        queue: Where it counts as waiting.
        rows: What is asked about; None: still to be decoded, off the loop.
        sampled: Its copy is kept.
        table: The table it belongs to, whatever is activated meanwhile.
    """

    answered: Callable[[Exchange, bytes], None] | None
    plan: Plan
    body: bytes
    began: float
    answer: bytes | None = None
    timer: TimerHandle | None = None
    drop: Callable[[Exchange], None] | None = None
    deadline: float = 0.0
    lane: Lane = cast("Lane", None)
    prediction_id: bytes = b""
    queue: Queue = cast("Queue", None)
    rows: Rows | None = None
    sampled: bool = False
    table: ServingTable = cast("ServingTable", None)

    def reply(self, answer: bytes) -> None:
        """Send the reply, in its turn."""
        if self.answered is not None:
            self.answered(self, answer)
