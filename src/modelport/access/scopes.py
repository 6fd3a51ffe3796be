"""What a caller may do: the scopes that routes ask for and tokens grant."""

from __future__ import annotations

from enum import StrEnum

from modelport.domain.errors import InvalidInput


class Scope(StrEnum):
    """One permission, `noun:verb`. `admin` holds all of them; a `write` holds the `read` of its noun."""

    PUBLIC = "public"  # asked for by routes that say nothing worth hiding; everybody holds it
    REGISTRY_READ = "registry:read"
    REGISTRY_WRITE = "registry:write"
    ENDPOINTS_READ = "endpoints:read"
    ENDPOINTS_WRITE = "endpoints:write"
    ENDPOINTS_INVOKE = "endpoints:invoke"
    LABELS_WRITE = "labels:write"
    OBJECTS_READ = "objects:read"
    OBJECTS_WRITE = "objects:write"
    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    EVENTS_READ = "events:read"
    STATUS_READ = "status:read"
    ADMIN = "admin"


GRANTABLE = tuple(scope for scope in Scope if scope is not Scope.PUBLIC)


def covers(held: frozenset[Scope], asked: Scope) -> bool:
    """Return whether a caller who holds `held` may do what `asked` names."""
    if asked is Scope.PUBLIC or Scope.ADMIN in held or asked in held:
        return True
    noun, _, verb = asked.partition(":")
    return verb == "read" and f"{noun}:write" in held


def parse_scopes(text: str) -> frozenset[Scope]:
    """Read `SCOPE[,SCOPE…]` as a token file writes it.

    Raises:
        InvalidInput: A scope is unknown or the text is empty.
    """
    known = {scope.value: scope for scope in GRANTABLE}
    scopes = set()
    for name in text.split(","):
        if name not in known:
            raise InvalidInput(f"unknown scope {name!r}", hint=f"known scopes: {', '.join(known)}")
        scopes.add(known[name])
    return frozenset(scopes)
