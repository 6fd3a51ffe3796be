"""One request on its way through the worker, and the plan its head fixed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from modelport.dataplane.replies import plain_error

if TYPE_CHECKING:
    from asyncio import TimerHandle

    from modelport.dataplane.protocols import Ask
    from modelport.dataplane.tables import Lane, Queue, ServingTable
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


class Exchange:
    """A request, from its last byte to its reply.

    Args:
        answered: Called with this and the reply's bytes, exactly once; None for a shadow's copy.
        plan: From its head.
        body: All of it.
        began: When its last byte was seen, by the monotonic clock, in seconds.
    """

    __slots__ = (
        "answer",
        "answered",
        "began",
        "body",
        "deadline",
        "lane",
        "plan",
        "prediction_id",
        "queue",
        "rows",
        "sampled",
        "table",
        "timer",
    )

    deadline: float  # monotonic seconds
    lane: Lane  # which variant answers, and how; this and the rest of these: once a variant was chosen
    prediction_id: bytes
    queue: Queue  # where it counts as waiting
    rows: Rows | None  # None: still to be decoded, off the loop
    sampled: bool  # its copy is kept
    table: ServingTable  # the table it belongs to, whatever is activated meanwhile

    def __init__(
        self, answered: Callable[[Exchange, bytes], None] | None, plan: Plan, body: bytes, began: float
    ) -> None:
        self.answered = answered
        self.plan = plan
        self.body = body
        self.began = began
        self.answer: bytes | None = None
        self.timer: TimerHandle | None = None

    def reply(self, answer: bytes) -> None:
        """Send the reply, in its turn."""
        if self.answered is not None:
            self.answered(self, answer)
