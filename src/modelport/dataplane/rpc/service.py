"""The methods of `inference.GRPCInferenceService`: each asks a worker the same over HTTP.

Methods that are not of the Open Inference Protocol (`ModelStreamInfer`, `RepositoryIndex`, …) are
UNIMPLEMENTED, as grpcio answers by itself.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
import msgspec
from google.protobuf.message import DecodeError

from modelport.dataplane.replies import describe
from modelport.dataplane.rpc.link import Header, Link, LinkLost, Reply
from modelport.dataplane.rpc.messages import MESSAGES, SERVICE
from modelport.dataplane.rpc.translating import make_response, path_of, read_request
from modelport.domain.errors import InvalidInput

Status = grpc.StatusCode
STATUSES = {
    400: Status.INVALID_ARGUMENT,
    401: Status.UNAUTHENTICATED,
    403: Status.PERMISSION_DENIED,
    404: Status.NOT_FOUND,
    408: Status.DEADLINE_EXCEEDED,
    413: Status.RESOURCE_EXHAUSTED,
    415: Status.INVALID_ARGUMENT,
    424: Status.INTERNAL,
    431: Status.RESOURCE_EXHAUSTED,
    503: Status.UNAVAILABLE,
    504: Status.DEADLINE_EXCEEDED,
}
"""What an HTTP status is in gRPC; INTERNAL for any other."""

PASSED_ON = ("authorization", "x-amzn-sagemaker-target-variant", "x-amzn-sagemaker-inference-id")
"""Metadata of a call that becomes headers of the request."""

TOLD = (
    "retry-after",
    "x-amzn-invoked-production-variant",
    "x-modelport-model-version",
    "x-modelport-prediction-id",
)
"""Headers of the reply that become trailing metadata."""

HEADER_FORM = re.compile(r"[\x20-\x7e]*")
TIMEOUT_MS_MAX = 999_999_999
TEXT_LENGTH_MAX = 1500  # clients refuse trailing metadata beyond 8 KiB, and percent-encoding triples it
NOT_READY = (404, 503)


class Failed(Exception):
    """A call that ends with a status other than OK.

    Args:
        status: Which.
        text: For people.
        metadata: Trailing metadata.
    """

    def __init__(self, status: grpc.StatusCode, text: str, metadata: Sequence[Header] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.metadata = metadata


class InferenceService:
    """Translates calls.

    Args:
        link: The way to the workers.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    def handlers(self) -> Any:
        """Return the methods as grpcio wants them."""
        methods = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "ModelInfer": self._model_infer,
        }
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                name: grpc.unary_unary_rpc_method_handler(_answering(MESSAGES[f"{name}Request"], method))
                for name, method in methods.items()
            },
        )

    async def _server_live(self, _request: Any, context: Any) -> Any:
        reply = await self._look("/v2/health/live", context)
        return MESSAGES["ServerLiveResponse"](live=reply is not None and reply.status == 200)

    async def _server_ready(self, _request: Any, context: Any) -> Any:
        reply = await self._look("/v2/health/ready", context)
        return MESSAGES["ServerReadyResponse"](ready=reply is not None and reply.status == 200)

    async def _model_ready(self, request: Any, context: Any) -> Any:
        reply = await self._look(path_of(request.name, request.version, "/ready"), context)
        if reply is not None and reply.status not in NOT_READY:
            _check(reply)
        return MESSAGES["ModelReadyResponse"](ready=reply is not None and reply.status == 200)

    async def _server_metadata(self, _request: Any, context: Any) -> Any:
        document = await self._show("/v2", context)
        # The extensions it names are those of HTTP bodies.
        return MESSAGES["ServerMetadataResponse"](name=document["name"], version=document["version"])

    async def _model_metadata(self, request: Any, context: Any) -> Any:
        document = await self._show(path_of(request.name, request.version, ""), context)
        return MESSAGES["ModelMetadataResponse"](**document)

    async def _model_infer(self, request: Any, context: Any) -> Any:
        path = path_of(request.model_name, request.model_version, "/infer")
        head, blobs = read_request(request)
        headers = [
            *_headers(context),
            ("Content-Type", "application/octet-stream"),
            ("Inference-Header-Content-Length", str(len(head))),
        ]
        left_s = context.time_remaining()
        if left_s is not None:
            left_ms = min(max(1, int(left_s * 1000)), TIMEOUT_MS_MAX)
            headers.append(("X-Modelport-Timeout-Ms", str(left_ms)))
        reply = _check(await self._link.ask("POST", path, headers, [head, *blobs]))
        context.set_trailing_metadata(_told(reply))
        return make_response(reply.body, int(reply.headers["inference-header-content-length"]))

    async def _show(self, path: str, context: Any) -> Any:
        """Return the document of a page."""
        return msgspec.json.decode(_check(await self._link.ask("GET", path, _headers(context))).body)

    async def _look(self, path: str, context: Any) -> Reply | None:
        """Return the reply of a page about health, None where there is no worker to ask."""
        try:
            return await self._link.ask("GET", path, _headers(context))
        except LinkLost:
            return None


def _answering(kind: Any, method: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[bytes, Any], Any]:
    """Return a handler from bytes to bytes.

    Args:
        kind: The request's message.
        method: From message to message.
    """

    async def answer(body: bytes, context: Any) -> bytes:
        try:
            try:
                request = kind.FromString(body)
            except DecodeError as error:
                raise InvalidInput(f"the request is no {kind.DESCRIPTOR.name} ({error})") from error
            response: bytes = (await method(request, context)).SerializeToString()
        except InvalidInput as error:
            await context.abort(Status.INVALID_ARGUMENT, describe(error)[:TEXT_LENGTH_MAX])
        except LinkLost as error:
            await context.abort(Status.UNAVAILABLE, f"{error}; try again in a second")
        except Failed as error:
            await context.abort(error.status, error.text[:TEXT_LENGTH_MAX], tuple(error.metadata))
        return response

    return answer


def _check(reply: Reply) -> Reply:
    """Return a reply that is none of an error.

    Raises:
        Failed: It is.
    """
    if reply.status == 200:
        return reply
    try:
        text = str(msgspec.json.decode(reply.body)["error"])
    except (msgspec.DecodeError, LookupError, TypeError):
        text = f"the worker answered with HTTP status {reply.status}"
    raise Failed(STATUSES.get(reply.status, Status.INTERNAL), text, _told(reply))


def _told(reply: Reply) -> list[Header]:
    return [(name, reply.headers[name]) for name in TOLD if name in reply.headers]


def _headers(context: Any) -> list[Header]:
    """Return the metadata that is passed on.

    Raises:
        InvalidInput: A value may not stand in a header.
    """
    found = []
    for name, value in context.invocation_metadata() or ():
        if name in PASSED_ON:
            if not isinstance(value, str) or not HEADER_FORM.fullmatch(value):
                raise InvalidInput(f"metadata {name}: expected printable ASCII")
            found.append((name, value))
    return found
