"""One model that tables name: in memory, dormant on disk, or found not to work.

Tables hold handles, not models, so that a model may leave memory and come back under every table that names
it. What its variants keep of it (lanes) goes with it: a request then finds none, and asks the handle.
"""

from __future__ import annotations

from typing import Protocol
from weakref import WeakSet

from modelport.dataplane.batching import Batcher
from modelport.dataplane.costs import Costs
from modelport.domain.signature import Signature


class Keeper(Protocol):
    """Keeps parts of a loaded model."""

    def forget(self) -> None:
        """Let go of them."""
        ...


class Dormant(Exception):
    """The model is not in memory, and there is no reason why it should not be.

    Args:
        handle: Of the model.
    """

    def __init__(self, handle: ModelHandle) -> None:
        super().__init__(handle.digest)
        self.handle = handle


class ModelHandle:
    """One model, by digest.

    Args:
        digest: SHA-256 of its manifest.
    """

    __slots__ = ("_keepers", "batcher", "costs", "digest", "failure", "known", "signature", "size")

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self.batcher: Batcher | None = None  # None: not in memory
        self.failure: str | None = None  # why it does not work
        self.known = False  # it worked, here or in another worker, and may be loaded when it is asked for
        self.size = 0  # bytes it took when it was loaded last
        self.signature: Signature | None = None  # what it takes and gives, once it was loaded here
        self.costs: Costs | None = None  # of its calls, as measured when it was loaded first
        self._keepers: WeakSet[Keeper] = WeakSet()

    @property
    def due(self) -> bool:
        """Return whether it must be loaded before a table that names it may serve: it is new, or failed."""
        return self.batcher is None and not self.known

    def keep(self, keeper: Keeper) -> None:
        """Remember who keeps parts of it."""
        self._keepers.add(keeper)

    def settle(self, batcher: Batcher, costs: Costs, size: int) -> None:
        """Say that it is in memory."""
        self.batcher, self.costs, self.size = batcher, costs, size
        self.signature = batcher.model.signature
        self.expect()

    def fail(self, reason: str) -> None:
        """Say why it does not work."""
        self.failure, self.known = reason, False

    def expect(self) -> None:
        """Say that it works, though it is not in memory."""
        self.failure, self.known = None, True

    def leave(self) -> None:
        """Say that it is not in memory any more, and let nobody keep parts of it."""
        self.batcher = None
        for keeper in self._keepers:
            keeper.forget()
        self._keepers.clear()
