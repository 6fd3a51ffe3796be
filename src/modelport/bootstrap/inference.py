"""One inference worker."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from modelport.access.hosts import parse_allowed
from modelport.bootstrap.engine import local_engine
from modelport.bootstrap.home import saved_settings
from modelport.bootstrap.supervised import announce_ready, open_callers, tether
from modelport.dataplane.config import WorkerConfig
from modelport.dataplane.handover import Handover
from modelport.dataplane.worker import run_worker
from modelport.domain.clock import SystemClock


def run(home: Path, index: int, fd: Sequence[int], handover: str | None = None) -> int:
    """Serve predictions until asked to stop.

    Args:
        home: The platform's.
        index: Which worker this is, from 0.
        fd: Inherited listening sockets.
        handover: Inherited descriptors as numbers with commas: the board, this worker's inbox, and the
            way into every worker's inbox.
    """
    tether()
    settings, clock = saved_settings(home), SystemClock()
    config = WorkerConfig(
        settings,
        index,
        allowed_hosts=parse_allowed(settings.allowed_hosts, settings.host),
        callers=open_callers(settings, clock),
        try_model=local_engine(settings).try_model,
        handover=_open_handover(index, handover, settings.connections_max) if handover else None,
    )
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket(fileno=number)) for number in fd]
        run_worker(config, listeners, clock, on_ready=announce_ready)
    return 0


def _open_handover(index: int, descriptors: str, connections_max: int) -> Handover:
    board, inbox, *outlets = (int(number) for number in descriptors.split(","))
    return Handover(
        index,
        socket.socket(fileno=inbox),
        [socket.socket(fileno=outlet) for outlet in outlets],
        board,
        time.monotonic_ns,
        connections_max=connections_max,
    )
