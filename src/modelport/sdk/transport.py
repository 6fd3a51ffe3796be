"""One server address: requests out, answers or modelport's own errors back."""

from __future__ import annotations

import json
import ssl
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from modelport.access.hosts import is_loopback
from modelport.domain.clock import Clock, SystemClock
from modelport.domain.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    ModelFailed,
    ModelportError,
    NotAcceptable,
    NotFound,
    PayloadTooLarge,
    Refused,
    TimedOut,
    Unauthenticated,
    Unavailable,
    Unreachable,
    UnsupportedMediaType,
    by_code,
)

CONNECT_PAUSES_S = (0.05, 0.15, 0.3)
"""Seconds between tries to connect: a server that is being restarted listens again at once."""

_REPEATABLE = frozenset({"GET", "HEAD"})
_BY_STATUS: dict[int, type[ModelportError]] = {
    400: InvalidInput,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    406: NotAcceptable,
    413: PayloadTooLarge,
    415: UnsupportedMediaType,
    421: Refused,
    424: ModelFailed,
}


class Transport:
    """Requests to one server.

    Args:
        url: Scheme, host and port, for example `http://127.0.0.1:8090`.
        token: Bearer token; None sends none.
        timeout_s: Seconds a server may be silent before the wait ends.
        dock: Stands in for the network in tests.
        clock: Waits between tries.

    Raises:
        InvalidInput: `url` is not an http or https URL.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout_s: float = 60.0,
        dock: httpx.BaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput(
                f"{url!r} is not the URL of a server",
                hint="expected http://HOST:PORT, as `modelport up` prints it",
            )
        self.url = url.rstrip("/")
        self._clock = clock or SystemClock()
        if dock is None and parts.scheme == "http":
            # Plain HTTP never verifies anything; loading the machine's certificates takes 30 ms.
            dock = httpx.HTTPTransport(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=httpx.Timeout(timeout_s, connect=10.0),
            transport=dock,
            trust_env=not is_loopback(parts.hostname),
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ask(
        self,
        method: str,
        path: str,
        document: Any = None,
        *,
        params: Mapping[str, Any] | None = None,
    ) -> Any:
        """Send a JSON document, or none, and return the JSON answer; None where there is none.

        Args:
            method: HTTP method.
            path: Path below the server's URL; its user-given parts are already quoted.
            document: What to send as JSON; None sends no body.
            params: Query; None values are left out.

        Raises:
            ModelportError: The server refused, in the class that its code names.
            Unreachable: No server answered.
        """
        content, headers = None, {}
        if document is not None:
            content = json.dumps(document, allow_nan=False).encode()
            headers["Content-Type"] = "application/json"
        response = self.send(method, path, content, headers=headers, params=params)
        return json.loads(response.content) if response.content else None

    def send(
        self,
        method: str,
        path: str,
        content: bytes | Iterable[bytes] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        """Send bytes and return the whole answer, whose status is below 400.

        A connection that could not be made is tried again; a request that may have been received is
        tried again only where it changes nothing.

        Raises:
            ModelportError: The server refused, in the class that its code names.
            Unreachable: No server answered, or the connection broke.
            TimedOut: The server was silent for too long.
        """
        query = {name: value for name, value in (params or {}).items() if value is not None}
        request = self._http.build_request(method, path, content=content, headers=headers, params=query)
        pauses = iter(CONNECT_PAUSES_S)
        while True:
            try:
                response = self._http.send(request)
                break
            except httpx.TimeoutException as error:
                raise TimedOut(
                    f"{self.url} did not answer in time ({type(error).__name__})",
                    hint="see `modelport status`",
                ) from error
            except httpx.TransportError as error:
                again = isinstance(error, httpx.ConnectError) or method in _REPEATABLE
                pause = next(pauses, None) if again else None
                if pause is None:
                    raise self._unreachable(error) from error
                self._clock.sleep(pause)
        if response.status_code >= 400:
            raise read_error(response)
        return response

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        if isinstance(error, httpx.ConnectError):
            return Unreachable(
                f"no server answers at {self.url} ({error})",
                hint="start one with `modelport up`, or set MODELPORT_URL",
            )
        return Unreachable(
            f"the connection to {self.url} broke ({type(error).__name__}: {error}); "
            "the request may have been carried out",
            hint="see `modelport status`, then try again",
        )


def quote(name: str) -> str:
    """Return a user's string as one component of a path."""
    return urllib.parse.quote(name, safe="")


def read_error(response: httpx.Response) -> ModelportError:
    """Return the error an answer carries: a problem document, or an inference error.

    Source: RFC 9457; SageMaker runtime `{"Message": …}`.
    """
    try:
        document = json.loads(response.content)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {}
    message = _text(document, "detail", "Message", "message", "error", "title")
    if message is None:
        message = f"the server answered {response.status_code} {response.reason_phrase}"
    code = document.get("code")
    kind = by_code(code) if isinstance(code, str) else _BY_STATUS.get(response.status_code, ModelportError)
    hint = _text(document, "hint")
    if kind is Unavailable or response.status_code == 503:
        return Unavailable(message, hint=hint, retry_after_s=_seconds(response.headers.get("Retry-After")))
    if issubclass(kind, InvalidInput):
        row, feature = document.get("row"), document.get("feature")
        return kind(
            message,
            hint=hint,
            row=row if isinstance(row, int) else None,
            feature=feature if isinstance(feature, str) else None,
        )
    return kind(message, hint=hint)


def _text(document: dict[str, Any], *keys: str) -> str | None:
    for key in keys:
        if isinstance(document.get(key), str):
            return str(document[key])
    return None


def _seconds(header: str | None) -> float:
    try:
        return max(0.0, float(header or 1.0))
    except ValueError:
        return 1.0
