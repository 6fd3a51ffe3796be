"""An upgrade: the supervisor becomes a newer program in the same process, then replaces its children.

checking ──▶ replacing ──▶ done
    └─────────────┴──────▶ failed   what had not been replaced runs on as it was

A child of the new program checks first that it starts, reads the settings and understands what it would take
over. Then the supervisor becomes that program (`execv`): same process id, same lock, same listening sockets,
same children, which it knows from what it was left. One after the other they are replaced: a process that
may have another beside it only when its successor is ready, any other stopped first.

Source: nginx, "Upgrading Executable on the Fly" (SIGUSR2); execve(2) on what a process keeps.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any


class UpgradeState(StrEnum):
    """Where an upgrade stands."""

    CHECKING = "checking"
    REPLACING = "replacing"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asked for.

    Args:
        id: Tells requests apart.
        python: The interpreter whose installed package takes over.
    """

    id: str
    python: str


@dataclass(frozen=True, slots=True)
class Replaced:
    """A process that has a successor.

    Args:
        name: Its name in the table.
        from_pid: The old one's process id.
        to_pid: The new one's.
    """

    name: str
    from_pid: int
    to_pid: int


@dataclass(slots=True)
class Upgrade:
    """How far an upgrade is.

    Args:
        request: What was asked for.
        from_version: What ran before.
        to_version: What takes over; None until it runs.
        state: Where it stands.
        error: Why it failed.
        replaced: In the order in which it happened.
    """

    request: Request
    from_version: str
    to_version: str | None = None
    state: UpgradeState = UpgradeState.CHECKING
    error: str | None = None
    replaced: list[Replaced] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Return whether nothing more will happen."""
        return self.state in (UpgradeState.DONE, UpgradeState.FAILED)

    def fail(self, error: str) -> None:
        """End it; what was replaced stays replaced."""
        self.state, self.error = UpgradeState.FAILED, error

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Upgrade:
        """Read what `document` returned, also that of another version of this program.

        Raises:
            KeyError: Something is missing.
        """
        request = document["request"]
        return cls(
            Request(request["id"], request["python"]),
            document["from_version"],
            document.get("to_version"),
            UpgradeState(document["state"]),
            document.get("error"),
            [Replaced(one["name"], one["from_pid"], one["to_pid"]) for one in document["replaced"]],
        )


@dataclass(frozen=True, slots=True)
class Heirloom:
    """A running process, as one program leaves it to the next.

    Args:
        name: Its name in the table.
        pid: Its process id.
        ready_fd: Descriptor of its ready pipe.
        tether_fd: Descriptor of the pipe whose end it watches; None where the kernel does.
        ready: It had said that it is ready.
        restarts: How often it was started again.
        since: When it entered its state, ISO 8601.
        last_exit: How the one before it ended.
    """

    name: str
    pid: int
    ready_fd: int
    tether_fd: int | None
    ready: bool
    restarts: int
    since: str
    last_exit: str | None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Return the descriptors that must stay open."""
        return (self.ready_fd,) if self.tether_fd is None else (self.ready_fd, self.tether_fd)

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Heirloom:
        """Read what `document` returned, also that of another version of this program.

        Raises:
            KeyError: Something is missing.
        """
        return cls(**{one.name: document[one.name] for one in fields(cls)})
