"""One inference worker: its parts put together, from the first table to the last reply."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from modelport.dataplane.config import WorkerConfig
from modelport.domain.clock import Clock


def run_worker(
    config: WorkerConfig,
    sockets: Sequence[socket.socket],
    clock: Clock,
    *,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve predictions until SIGTERM or SIGINT, then finish what is open and return.

    Args:
        config: What to serve and within which limits.
        sockets: Listening sockets, inherited; they stay open in whoever made them.
        clock: Time.
        on_ready: Called once, when the last activated table is loaded and requests are accepted.
    """
    raise NotImplementedError
