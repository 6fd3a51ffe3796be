"""Where a request may go: the only thing the data plane knows about the control plane's world."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from modelport.domain.errors import InvalidInput

REPLICA = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
"""The name of a replica's socket: one component of a path, and never a way out of its folder."""


@dataclass(frozen=True, slots=True)
class StageRoute:
    """One stage of a variant whose requests go through several: a digest or replicas, as of a variant."""

    digest: str = ""
    replicas: tuple[str, ...] = ()


class HostedBy(StrEnum):
    """Why a variant hosts models, and what a request names one of them by.

    TARGET_MODEL: its Model is many; they come when they are asked for, by their key. COMPONENT: inference
    components, by their names. SERVERLESS: one, of the empty name, that comes when it is asked for.
    """

    TARGET_MODEL = "TargetModel"
    COMPONENT = "InferenceComponent"
    SERVERLESS = "Serverless"


@dataclass(frozen=True, slots=True)
class HostedRoute:
    """One of the models that a variant hosts: a digest or replicas, as of a variant."""

    name: str
    digest: str = ""
    replicas: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hosting:
    """The models that a variant hosts, beside each other.

    Args:
        by: What a request names one of them by.
        source: What they come from; where that is another, those of the same names are others.
        models: Those that are there.
        together: Requests that one worker lets in at one time; None: as many as come.
    """

    by: HostedBy
    source: str
    models: tuple[HostedRoute, ...] = ()
    together: int | None = None


@dataclass(frozen=True, slots=True)
class VariantRoute:
    """One variant of an endpoint.

    Args:
        variant: Its name.
        model_version: `NAME:3`, echoed in replies.
        digest: SHA-256 of the model's manifest: which model answers. Empty where the model is code of its
            own, which no worker loads.
        weight: Relative share of traffic, at least 0; ignored for a shadow.
        shadow: It gets a copy of requests and its answers are dropped (but captured).
        replicas: Where that code runs: names of Unix sockets in the home's `run/replicas`. Without a digest
            and without replicas nobody answers, for the time being.
        then: What its answers go through after that, one stage after the other.
        hosting: The models it hosts; it has no other then. None: it hosts none.

    Raises:
        InvalidInput: A part has both a digest and replicas, or a replica's name is no plain file name.
    """

    variant: str
    model_version: str
    digest: str
    weight: float = 1.0
    shadow: bool = False
    replicas: tuple[str, ...] = ()
    then: tuple[StageRoute, ...] = ()
    hosting: Hosting | None = None

    def __post_init__(self) -> None:
        for part in self.parts:
            if part.digest and part.replicas:
                raise InvalidInput(
                    f"variant {self.variant!r} has both a model to load and replicas",
                    hint="give it one of them",
                )
            for name in part.replicas:
                if not REPLICA.fullmatch(name):
                    raise InvalidInput(
                        f"found replica {name[:80]!r}, expected letters, digits, '.', '_' and '-', "
                        "at most 100"
                    )

    @property
    def stages(self) -> tuple[StageRoute, ...]:
        """All that its requests go through, in their order."""
        return (StageRoute(self.digest, self.replicas), *self.then)

    @property
    def parts(self) -> tuple[StageRoute | HostedRoute, ...]:
        """All that answers in it: its stages, or the models that it hosts."""
        return self.stages if self.hosting is None else self.hosting.models

    def digests(self) -> frozenset[str]:
        """Return the digests of the models that it needs in memory."""
        return frozenset(part.digest for part in self.parts if part.digest)

    def host(self, models: tuple[HostedRoute, ...]) -> VariantRoute:
        """Return the variant with other models hosted."""
        return self if self.hosting is None else replace(self, hosting=replace(self.hosting, models=models))


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
class AsyncRoute:
    """How an endpoint answers that is asked asynchronously, and in no other way.

    Args:
        output: `s3://BUCKET/PREFIX`, where its answers go.
        failure: Likewise, the reasons why there are none; None: nowhere but into the events.
        each: Requests that one instance is asked at one time.
        instances: How many there are.
    """

    output: str
    failure: str | None = None
    each: int = 4
    instances: int = 1

    @property
    def together(self) -> int:
        """Requests that are asked at one time."""
        return self.each * self.instances


@dataclass(frozen=True, slots=True)
class EndpointRoute:
    """One endpoint: its variants, what to capture (None: nothing), and how it is asked (None: at once)."""

    endpoint: str
    variants: tuple[VariantRoute, ...]
    capture: CaptureRoute | None = None
    asynchronous: AsyncRoute | None = None


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Everything a worker serves, at one revision. Immutable; a request is bound to one for its life."""

    revision: int
    endpoints: tuple[EndpointRoute, ...] = ()

    def digests(self) -> frozenset[str]:
        """Return the digests of all models this table needs in memory."""
        return frozenset(
            digest
            for endpoint in self.endpoints
            for variant in endpoint.variants
            for digest in variant.digests()
        )

    def replicas(self) -> frozenset[tuple[str, ...]]:
        """Return the replicas of each part that has some."""
        return frozenset(
            part.replicas
            for endpoint in self.endpoints
            for variant in endpoint.variants
            for part in variant.parts
            if part.replicas
        )
