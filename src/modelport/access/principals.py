"""Who asks. Without a token file it is `local`, which is why only loopback may be bound then."""

from __future__ import annotations

from dataclasses import dataclass

from modelport.access.hosts import is_loopback
from modelport.access.scopes import Scope, covers
from modelport.access.tokens import TokenFile
from modelport.domain.errors import Forbidden, Refused, Unauthenticated


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller.

    Args:
        name: As events record it.
        scopes: What it may do.
    """

    name: str
    scopes: frozenset[Scope]

    def require(self, scope: Scope) -> None:
        """Let the caller pass if it holds `scope`.

        Raises:
            Forbidden: It does not.
        """
        if not covers(self.scopes, scope):
            raise Forbidden(
                f"{self.name!r} holds {', '.join(sorted(self.scopes)) or 'no scope'}; "
                f"this needs {scope.value!r}",
                hint=f"add {scope.value} to the line of {self.name!r} in the token file",
            )


LOCAL = Principal("local", frozenset({Scope.ADMIN}))
NOBODY = Principal("nobody", frozenset())


def authenticate(authorization: str | None, tokens: TokenFile | None) -> Principal:
    """Return who sent a request.

    Args:
        authorization: Value of the Authorization header; None when there was none.
        tokens: The configured token file; None: no tokens, so everybody who reaches the port is `local`.

    Raises:
        Unauthenticated: Tokens are configured and the header does not carry a known one.
    """
    if tokens is None:
        return LOCAL
    kind, _, token = (authorization or "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise Unauthenticated(
            "the request carries no bearer token",
            hint="set MODELPORT_TOKEN, or send 'Authorization: Bearer TOKEN'",
        )
    grant = tokens.find(token.strip())
    if grant is None:
        raise Unauthenticated(
            "the bearer token is not known here", hint="compare it with the server's token file"
        )
    return Principal(grant.name, grant.scopes)


def authenticate_key(tokens: TokenFile | None) -> Principal:
    """Return who sent a request that an AWS key signed. No signature is verified yet.

    Args:
        tokens: The configured token file; None: no tokens, so everybody who reaches the port is `local`.

    Raises:
        Unauthenticated: Tokens are configured, and no key stands for one of them.
    """
    if tokens is None:
        return LOCAL
    raise Unauthenticated(
        "this platform knows its callers by tokens, and has no AWS keys for them",
        hint="use its REST API, or the modelport command with MODELPORT_TOKEN",
    )


def check_bind(host: str, *, tokens_configured: bool) -> None:
    """Let a platform bind to `host` only if nobody unknown can reach it.

    Raises:
        Refused: `host` is not loopback and there are no tokens.
    """
    if not tokens_configured and not is_loopback(host):
        raise Refused(
            f"{host} can be reached from other machines, and no tokens are configured",
            hint="set MODELPORT_TOKEN_FILE, or bind to 127.0.0.1",
        )
