"""Asynchronous requests: taken in at once, answered when it is their turn."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from modelport.control.buckets import Buckets
from modelport.domain.errors import InvalidInput, NotFound, Unavailable
from modelport.domain.invocations import Invocation, Place, place_in, read_place
from modelport.domain.objects import NoSuchBucket
from modelport.domain.routes import AsyncRoute, RouteTable
from modelport.stores.records.invocations import InvocationQueue
from modelport.stores.records.records import Records

TTL_S = 6 * 3600
TIMEOUT_S = 15 * 60
"""Where a request says nothing. Source: InvokeEndpointAsync, its two members in seconds."""

RETRY_AFTER_S = 5.0


class Artifacts(Protocol):
    """Where bodies lie that come with their request."""

    def put(self, chunks: list[bytes]) -> str:
        """Store bytes and return their SHA-256."""
        ...


@dataclass(frozen=True, slots=True)
class Wish:
    """What an asynchronous request asks for.

    Args:
        endpoint: Whom.
        input_location: URL of the object with its body; None: `body` is it.
        body: Its body; None: `input_location` tells.
        inference_id: The caller's name for it; None: it gets one.
        ttl_s: Seconds after which its turn must have come.
        timeout_s: Seconds its answer may take then.
        filename: Of the object its answer becomes; None: it gets one.
        path_extension: What that object's key has between the endpoint's output path and the file name.
        headers: Of the request to the model, names in lower case.
    """

    endpoint: str
    input_location: str | None = None
    body: bytes | None = None
    inference_id: str | None = None
    ttl_s: float = TTL_S
    timeout_s: float = TIMEOUT_S
    filename: str | None = None
    path_extension: str = ""
    headers: dict[str, str] = field(default_factory=dict)


class Invocations:
    """Takes asynchronous requests in.

    Args:
        records: Where they wait.
        artifacts: Where their bodies lie that came with them.
        buckets: Where answers go.
        routes: Returns the table that serves.
        pending_max: Requests of one endpoint that may wait.
        wake: Called after each one.
    """

    def __init__(
        self,
        records: Records,
        artifacts: Artifacts,
        buckets: Buckets,
        routes: Callable[[], RouteTable],
        *,
        pending_max: int,
        wake: Callable[[], None],
    ) -> None:
        self._records = records
        self._artifacts = artifacts
        self._buckets = buckets
        self._routes = routes
        self._pending_max = pending_max
        self._wake = wake

    def submit(self, wish: Wish, *, principal: str) -> Invocation:
        """Take a request in, durably: from here on it is answered, or its failure told, whoever dies.

        It may be asked more than once, where a process dies between the model's answer and its storing.

        Args:
            wish: What is asked for.
            principal: Who asks.

        Raises:
            NotFound: There is no such endpoint, or no bucket for the answer.
            InvalidInput: The endpoint is no asynchronous one, or a location is none.
            Unavailable: Too many requests of the endpoint wait.
        """
        asked = self._find(wish.endpoint)
        if (wish.input_location is None) == (wish.body is None):
            raise InvalidInput(
                "the request has "
                + ("both an InputLocation and a body" if wish.body is not None else "no InputLocation"),
                hint="give the location of an object in S3, or the body itself",
            )
        name = str(uuid.uuid4())
        folder = "".join(f"{part}/" for part in wish.path_extension.split("/") if part)
        output = place_in(asked.output, f"{folder}{wish.filename or f'{name}.out'}", "S3OutputPath")
        failure = None
        if asked.failure is not None:
            failure = place_in(asked.failure, f"{name}-error.out", "S3FailurePath")
        source = None if wish.input_location is None else read_place(wish.input_location, "InputLocation")
        for place in (output, failure):
            self._check_bucket(place)
        digest = "" if wish.body is None else self._artifacts.put([wish.body])
        with self._records.transaction(principal=principal) as tx:
            queue = InvocationQueue(tx)
            if queue.size(wish.endpoint) >= self._pending_max:
                raise Unavailable(
                    f"{self._pending_max} requests of endpoint {wish.endpoint!r} wait already",
                    retry_after_s=RETRY_AFTER_S,
                )
            invocation = Invocation(
                endpoint=wish.endpoint,
                inference_id=wish.inference_id or name,
                output=output,
                failure=failure,
                expires_at=tx.now + timedelta(seconds=wish.ttl_s),
                timeout_s=wish.timeout_s,
                source=source,
                digest=digest,
                headers=wish.headers,
            )
            queue.add(invocation)
        self._wake()
        return invocation

    def _find(self, endpoint: str) -> AsyncRoute:
        route = next((one for one in self._routes().endpoints if one.endpoint == endpoint), None)
        if route is None:
            raise NotFound(f"there is no endpoint {endpoint[:80]!r} in service")
        if route.asynchronous is None:
            raise InvalidInput(
                f"endpoint {endpoint!r} answers synchronously",
                hint="ask it by InvokeEndpoint, or give its config an AsyncInferenceConfig",
            )
        return route.asynchronous

    def _check_bucket(self, place: Place | None) -> None:
        if place is None:
            return
        try:
            self._buckets.bucket(place.bucket)
        except NotFound as error:
            raise NoSuchBucket(f"there is no bucket {place.bucket!r}, where the answer would go") from error
