"""What is served, as the pages of a protocol show it."""

from __future__ import annotations

from modelport.dataplane.router import version_of
from modelport.dataplane.tables import ServedEndpoint, Tables
from modelport.dataplane.variants import ServedVariant
from modelport.domain.errors import NotFound, Unavailable


class Served:
    """Looks endpoints up for pages.

    Args:
        tables: What is served.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def names(self) -> list[str]:
        """Return the endpoints in service, by name."""
        return self._tables.current.names()

    def endpoint(self, name: str) -> ServedEndpoint:
        """Return an endpoint.

        Raises:
            NotFound: There is none of this name.
        """
        table = self._tables.current
        return table.endpoints.get(name) or table.open_endpoint(name)

    def variant(self, name: str, version: str | None) -> ServedVariant:
        """Return the variant that serves a version, or the one with the most traffic.

        Raises:
            NotFound: There is no such endpoint, or it does not serve this version.
        """
        endpoint = self.endpoint(name)
        variants = [
            variant
            for variant in endpoint.variants
            if version is None or version_of(variant.route.model_version) == version
        ]
        if not variants:
            raise NotFound(
                f"model {name[:80]!r} has no version {str(version)[:80]!r} in service",
                hint=f"in service: {', '.join(self.versions(name)) or 'none'}",
            )
        return max(variants, key=lambda variant: variant.route.weight)

    def versions(self, name: str) -> list[str]:
        """Return the versions that an endpoint serves.

        Raises:
            NotFound: There is no such endpoint.
        """
        variants = self.endpoint(name).variants
        return list(dict.fromkeys(version_of(variant.route.model_version) for variant in variants))

    def check_ready(self, name: str, version: str | None) -> None:
        """Return when every variant that gets traffic has a model that works, in memory or not.

        Raises:
            NotFound: There is no such endpoint, or it does not serve this version.
            Unavailable: A model does not work; says why.
        """
        if version is not None:
            self.variant(name, version).check()
            return
        variants = self.endpoint(name).variants
        served = [variant for variant in variants if variant.route.weight > 0]
        for variant in served:
            variant.check()
        if not served:
            raise Unavailable(f"no variant of endpoint {name!r} has a weight above 0")
