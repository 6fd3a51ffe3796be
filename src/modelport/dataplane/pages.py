"""Paths that answer GET by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog

from modelport.access.scopes import Scope
from modelport.dataplane.exchange import Exchange
from modelport.dataplane.replies import plain_error

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Page:
    """A path that answers GET by itself.

    Args:
        scope: What the caller must be allowed to do.
        show: Makes the reply.
        before: For a reply that takes long to make: called on the loop, and `show` after it in a thread.
    """

    scope: Scope
    show: Callable[[], bytes]
    before: Callable[[], None] | None = None

    def answer(self, exchange: Exchange) -> None:
        """Reply, now or later."""
        if self.before is None:
            exchange.reply(self.show())
            return
        self.before()
        making = asyncio.get_running_loop().run_in_executor(None, self.show)
        making.add_done_callback(partial(_reply_made, exchange))


def _reply_made(exchange: Exchange, made: asyncio.Future[bytes]) -> None:
    try:
        reply = made.result()
    except Exception:  # a fault of ours is still a reply
        log.exception("page.failed")
        reply = plain_error(500, "the server failed on this request")
    exchange.reply(reply)
