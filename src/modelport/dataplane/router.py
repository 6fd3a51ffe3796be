"""Which variant answers: pure decisions over one endpoint's routes.

Source: SageMaker, InitialVariantWeight (a variant's share is its weight divided by the sum of all) and
TargetVariant (overrides the weights).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from modelport.domain.errors import NotFound, Unavailable
from modelport.domain.routes import EndpointRoute, VariantRoute


class Shares:
    """Weights as shares of [0, 1).

    Args:
        weights: One for each variant, finite, at least 0.
    """

    __slots__ = ("_bounds", "only")

    def __init__(self, weights: Sequence[float]) -> None:
        total = sum(weights)
        served = [index for index, weight in enumerate(weights) if weight > 0]
        self.only: int | None = served[0] if len(served) == 1 else None
        self._bounds = [
            (bound / total, index) for index, bound in enumerate(accumulate(weights)) if weights[index] > 0
        ]

    def pick(self, draw: float) -> int | None:
        """Return the index of the variant that a draw from [0, 1) falls to; None when all weights are 0."""
        for bound, index in self._bounds:
            if draw < bound:
                return index
        return self._bounds[-1][1] if self._bounds else None  # the last bound may round below 1


class Routes:
    """The variants of one endpoint, ready to choose from.

    Args:
        endpoint: As the route table has it.
    """

    __slots__ = ("_by_name", "_endpoint", "_shares", "_versions", "production", "shadows")

    def __init__(self, endpoint: EndpointRoute) -> None:
        self._endpoint = endpoint.endpoint
        self.production: tuple[VariantRoute, ...] = tuple(v for v in endpoint.variants if not v.shadow)
        self.shadows: tuple[VariantRoute, ...] = tuple(v for v in endpoint.variants if v.shadow)
        self._by_name: dict[str, list[int]] = {}  # two of one name while traffic moves between configs
        for index, variant in enumerate(self.production):
            self._by_name.setdefault(variant.variant, []).append(index)
        self._shares = Shares([variant.weight for variant in self.production])
        self._versions: dict[str, list[int]] = {}
        for index, variant in enumerate(self.production):
            self._versions.setdefault(version_of(variant.model_version), []).append(index)

    @property
    def only(self) -> int | None:
        """Return the variant that gets all traffic, None when there are several or none."""
        return self._shares.only

    def choose(self, target: str | None, draw: float, *, version: str | None = None) -> int:
        """Return the index in `production` of the variant that answers.

        Args:
            target: The variant the caller asked for; None leaves it to the weights.
            draw: A draw from [0, 1).
            version: The model version the caller asked for, "3"; whatever the weights, as with a target.

        Raises:
            NotFound: The endpoint has no such variant, or none that serves this version.
            Unavailable: No variant has a weight above 0.
        """
        if target is not None:
            named = self._by_name.get(target)
            if named is None:
                raise NotFound(
                    f"endpoint {self._endpoint!r} has no variant {target!r}",
                    hint=f"its variants: {', '.join(self._by_name) or 'none'}",
                )
            if version is not None:
                served = self._versions.get(version, ())
                named = [index for index in named if index in served]
            if not named:
                raise NotFound(
                    f"variant {target!r} of endpoint {self._endpoint!r} does not serve version {version}"
                )
            return named[0] if len(named) == 1 else self._among(named, draw)
        if version is not None:
            return self._serving(version, draw)
        picked = self._shares.pick(draw)
        if picked is None:
            raise Unavailable(
                f"no variant of endpoint {self._endpoint!r} has a weight above 0",
                hint="name one in X-Amzn-SageMaker-Target-Variant, or give one a weight",
            )
        return picked

    def _serving(self, version: str, draw: float) -> int:
        served = self._versions.get(version)
        if served is None:
            raise NotFound(
                f"endpoint {self._endpoint!r} does not serve version {version[:80]!r}",
                hint=f"its versions: {', '.join(self._versions) or 'none'}",
            )
        return self._among(served, draw)

    def _among(self, some: list[int], draw: float) -> int:
        """Return one of some variants by their weights; the first where none has any."""
        picked = Shares([self.production[index].weight for index in some]).pick(draw)
        return some[picked or 0]


def version_of(model_version: str) -> str:
    """Return the version's number out of `NAME:3`."""
    return model_version.rpartition(":")[2]
