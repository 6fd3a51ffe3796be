"""Where a request may go: the only thing the data plane knows about the control plane's world."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VariantRoute:
    """One variant of an endpoint.

    Args:
        variant: Its name.
        model_version: `NAME:3`, echoed in replies.
        digest: SHA-256 of the model's manifest: which model answers.
        weight: Relative share of traffic, at least 0; ignored for a shadow.
        shadow: It gets a copy of requests and its answers are dropped (but captured).
    """

    variant: str
    model_version: str
    digest: str
    weight: float = 1.0
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class CaptureRoute:
    """What of an endpoint's traffic is kept.

    Args:
        percentage: Share of requests kept, 0 to 100.
        inputs: Keep what was asked.
        outputs: Keep what was answered.
    """

    percentage: float
    inputs: bool = True
    outputs: bool = True


@dataclass(frozen=True, slots=True)
class EndpointRoute:
    """One endpoint: its variants, and what to capture (None: nothing)."""

    endpoint: str
    variants: tuple[VariantRoute, ...]
    capture: CaptureRoute | None = None


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Everything a worker serves, at one revision. Immutable; a request is bound to one for its life."""

    revision: int
    endpoints: tuple[EndpointRoute, ...] = ()

    def digests(self) -> frozenset[str]:
        """Return the digests of all models this table needs in memory."""
        return frozenset(variant.digest for endpoint in self.endpoints for variant in endpoint.variants)
