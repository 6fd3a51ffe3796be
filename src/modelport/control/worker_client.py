"""Asks the workers, over their Unix socket, what asynchronous requests ask."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import httpx
import msgspec

from modelport.control.async_runner import Answer
from modelport.domain.errors import Unavailable

SLACK_S = 5.0  # a worker's own deadline comes first
OCTETS = "application/octet-stream"


class WorkerClient:
    """Asks whichever worker takes the connection.

    Args:
        socket: Where the workers listen; nobody else reaches it.
    """

    def __init__(self, socket: Path) -> None:
        self._client = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket), limits=httpx.Limits(max_connections=None)),
            base_url="http://localhost",
        )

    def __call__(self, endpoint: str, headers: Mapping[str, str], body: bytes, timeout_s: float) -> Answer:
        """Return what a worker said.

        Args:
            endpoint: Whom to ask.
            headers: Of the request.
            body: Of the request.
            timeout_s: Seconds the answer may take.

        Raises:
            Unavailable: None can be asked now.
        """
        try:
            reply = self._client.post(
                f"/endpoints/{quote(endpoint, safe='')}/async-invocations",
                content=body,
                headers={**headers, "x-modelport-timeout-ms": str(int(timeout_s * 1000))},
                timeout=httpx.Timeout(timeout_s + SLACK_S, connect=SLACK_S),
            )
        except httpx.HTTPError as error:
            raise Unavailable(f"no worker answers: {error}") from error
        if reply.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise Unavailable(_message(reply.content))
        found = reply.headers.get("content-type", OCTETS)
        told = "" if reply.status_code == 200 else _message(reply.content)
        return Answer(reply.status_code, found, reply.content, told)

    def close(self) -> None:
        """End all connections."""
        self._client.close()


def _message(body: bytes) -> str:
    """Return what an error reply of a worker tells, with the model's own words where it has some."""
    try:
        document = msgspec.json.decode(body)
        told, original = str(document["Message"]), document.get("OriginalMessage")
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return body[:500].decode("utf-8", "replace")
    return told if original is None or original in told else f"{told}\n{original}"
