"""How many descriptors this process may hold open, and how many connections that leaves room for."""

from __future__ import annotations

import resource
from contextlib import suppress

import structlog

RESERVED = 256  # models, captures, sockets of our own, and what libraries open

log = structlog.get_logger()


def make_room(connections: int) -> int:
    """Raise this process's soft limit as far as `connections` need it and the hard limit lets it.

    Returns:
        How many connections there is room for: `connections`, or fewer.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + RESERVED
    if hard != resource.RLIM_INFINITY:
        needed = min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < needed:
        with suppress(ValueError, OSError):  # macOS has a limit below the one it names
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
            soft = needed
    if soft == resource.RLIM_INFINITY:
        return connections
    room = min(connections, soft - min(RESERVED, soft // 2))
    if room < connections:
        log.warning("worker.few_descriptors", limit=soft, connections=room, wanted=connections)
    return room
