"""Who asks. Without a token file it is `local`, which is why only loopback may be bound then."""

from __future__ import annotations

from dataclasses import dataclass

from modelport.access.hosts import is_loopback
from modelport.access.keys import Key, KeyFile
from modelport.access.scopes import Scope, covers
from modelport.access.signatures import ChunkSigner, SignedRequest, UnknownKey, claimed_payload, verify
from modelport.access.tokens import TokenFile
from modelport.domain.clock import Clock
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
                hint=f"add {scope.value} to the line of {self.name!r} in the server's token or key file",
            )


LOCAL = Principal("local", frozenset({Scope.ADMIN}))
NOBODY = Principal("nobody", frozenset())


class Callers:
    """Everybody who may ask: by a bearer token, or by an AWS key's signature.

    Args:
        clock: What signatures' times are compared with.
        tokens: The configured token file; None: whoever reaches a port is `local`.
        keys: The configured key file; None: no AWS key stands for anybody.
    """

    def __init__(self, clock: Clock, tokens: TokenFile | None = None, keys: KeyFile | None = None) -> None:
        self._clock = clock
        self._tokens = tokens
        self._keys = keys

    @property
    def everybody(self) -> bool:
        """Whether nobody is asked who he is."""
        return self._tokens is None

    @property
    def problems(self) -> list[str]:
        """What is wrong with the files now."""
        return [
            problem for file in (self._tokens, self._keys) if file is not None for problem in file.problems
        ]

    def by_token(self, authorization: str | None) -> Principal:
        """Return who sent a request.

        Args:
            authorization: Value of the Authorization header; None when there was none.

        Raises:
            Unauthenticated: Tokens are configured and the header does not carry a known one.
        """
        if self._tokens is None:
            return LOCAL
        kind, _, token = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not token.strip():
            raise Unauthenticated(
                "the request carries no bearer token",
                hint="set MODELPORT_TOKEN, or send 'Authorization: Bearer TOKEN'",
            )
        grant = self._tokens.find(token.strip())
        if grant is None:
            raise Unauthenticated(
                "the bearer token is not known here", hint="compare it with the server's token file"
            )
        return Principal(grant.name, grant.scopes)

    def claimed(self, request: SignedRequest) -> Principal:
        """Return whose key a request names, before its body is there to verify the signature.

        Raises:
            UnknownKey: Nobody's.
        """
        return LOCAL if self.everybody else _principal(self._key(request))

    def by_signature(
        self, request: SignedRequest, payload: str | None = None
    ) -> tuple[Principal, ChunkSigner | None]:
        """Return who signed a request, and what signs the chunks of its body.

        Args:
            request: As it came.
            payload: SHA-256 of its body in hex; None: S3's, which a header announces.

        Raises:
            BadSignature: Nobody that is known here; or the body, the time or a header is another one.
        """
        if self.everybody:
            return LOCAL, None
        key = self._key(request)
        payload = claimed_payload(request) if payload is None else payload
        return _principal(key), verify(request, key.secret, payload, self._clock.now())

    def _key(self, request: SignedRequest) -> Key:
        if self._keys is None:
            raise UnknownKey(
                "this platform knows its callers by tokens, and has no AWS keys for them",
                hint="its operator can set MODELPORT_KEY_FILE; the modelport command takes a token",
            )
        key = self._keys.find(request.credential.access_key)
        if key is None:
            raise UnknownKey(
                f"the access key {request.credential.access_key[:40]!r} is not known here",
                hint="compare AWS_ACCESS_KEY_ID with the server's key file",
            )
        return key


def _principal(key: Key) -> Principal:
    return Principal(key.name, key.scopes)


def check_files(*, tokens_configured: bool, keys_configured: bool) -> None:
    """Let a platform start only if its AWS keys are not the one locked door of two.

    Raises:
        Refused: There are keys and no tokens: whoever leaves the signature out would be let in.
    """
    if keys_configured and not tokens_configured:
        raise Refused(
            "AWS keys are configured and no tokens: a request without a signature would not be asked for one",
            hint="set MODELPORT_TOKEN_FILE too",
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
