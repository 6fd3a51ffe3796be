"""A reply that comes in parts: what its maker and the client's connection say to each other."""

from __future__ import annotations

from typing import Protocol


class Sink(Protocol):
    """Where parts go: the client's connection."""

    def send_part(self, data: bytes) -> None:
        """Send one part."""
        ...

    def end_parts(self) -> None:
        """Say that the reply is complete."""
        ...


class Source(Protocol):
    """Where parts come from."""

    def start(self, sink: Sink) -> None:
        """Send the parts there are, and from now on each as it comes."""
        ...

    def pause(self) -> None:
        """Send as few as possible: the client does not keep up."""
        ...

    def resume(self) -> None:
        """Go on."""
        ...

    def lose(self) -> None:
        """Give up: nobody hears it any more."""
        ...


class Stream(bytes):
    """The head of a reply whose body comes in parts. Such a reply is the last of its connection.

    Attributes:
        source: Is started when it is the reply's turn; until then its parts are its own affair.
    """

    source: Source
