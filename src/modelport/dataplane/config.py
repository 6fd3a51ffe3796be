"""What a worker is told when it starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modelport.access.principals import Callers
from modelport.dataplane.handover import Handover
from modelport.settings import Settings


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """One inference worker.

    Args:
        settings: The home and every limit.
        index: Which worker this is, from 0; names its loading marks.
        allowed_hosts: Host names accepted besides loopback's, from `access.hosts.parse_allowed`.
        callers: Who may ask; None: everybody who reaches the port.
        try_model: Loads the model of a digest in a process of its own and says why it does not work, or
            None when it does; asked only about a model that a former worker may have died of. None: such
            a model is refused.
        handover: The way of connections to other workers; None: there is none.
    """

    settings: Settings
    index: int = 0
    allowed_hosts: frozenset[str] = frozenset()
    callers: Callers | None = None
    try_model: Callable[[str], str | None] | None = None
    handover: Handover | None = None
