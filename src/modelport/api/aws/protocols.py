"""How AWS's clients speak: where a request names its operation, how a reply and an error are written.

Source: AWS JSON 1.0 and 1.1 protocols: `POST /`, `X-Amz-Target: PREFIX.Operation`, `__type` of an error;
REST-JSON protocol: method and path name the operation, `x-amzn-errortype` the error. The query protocol is in
`query.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import structlog

from modelport.access.principals import Principal
from modelport.api.aws.calls import Call, Service
from modelport.api.aws.errors import AwsError
from modelport.api.aws.shapes import Table, load_table
from modelport.api.aws.shaping import shape_output
from modelport.api.aws.validation import validate
from modelport.api.platform import Platform
from modelport.domain.errors import ModelportError

UNKNOWN_OPERATION = "UnknownOperationException"
QUERY_MODE = "x-amzn-query-mode"
Told = tuple[dict[bytes, bytes], bytes]
"""Headers of an error, and its body."""

_log = structlog.get_logger("modelport.aws")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came whole, of a caller who is known.

    Args:
        id: Told in the reply.
        method: Of HTTP.
        path: Decoded.
        headers: By lower-case name.
        body: Unpacked.
        region: From the credential's scope.
        principal: Who asks.
    """

    id: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    region: str
    principal: Principal


class Spoken(Protocol):
    """A protocol, as one service speaks it."""

    @property
    def content_type(self) -> bytes:
        """Return that of replies and errors."""
        ...

    def answer(self, asked: Asked) -> bytes:
        """Do what is asked; return the body of the reply.

        Raises:
            AwsError: It cannot be done, in AWS's words.
            ModelportError: It cannot be done, in ours.
        """
        ...

    def tell(self, error: AwsError, headers: Mapping[str, str], request_id: str, /) -> Told:
        """Return what is written of an error.

        Args:
            error: What happened.
            headers: Of the request.
            request_id: Told in the body, where the protocol does that.
        """
        ...


class JsonByTarget:
    """JSON 1.0 and 1.1: a header names the operation.

    Args:
        service: Who speaks it.
        platform: What operations stand on.
    """

    def __init__(self, service: Service, platform: Platform) -> None:
        self._service = service
        self._platform = platform

    @property
    def content_type(self) -> bytes:
        """Return that of the version of the service's protocol."""
        return f"application/x-amz-json-{load_table(self._service.name).json_version}".encode("ascii")

    def answer(self, asked: Asked) -> bytes:
        """Do what the target names."""
        table = load_table(self._service.name)
        name = _operation_of(table, asked.headers.get("x-amz-target", ""))
        return _perform(self._service, table, name, asked, self._platform)

    def tell(self, error: AwsError, headers: Mapping[str, str], _: str, /) -> Told:
        """Name the error in the body; for some clients, in a header too."""
        told = {}
        if QUERY_MODE in headers:  # its clients know errors by the codes of the query protocol
            told[b"x-amzn-query-error"] = f"{error.code};Sender".encode("ascii", "replace")
        return told, msgspec.json.encode({"__type": error.code, "message": error.message})


class JsonByPath:
    """REST-JSON: method and path name the operation.

    Args:
        service: Who speaks it.
        platform: What operations stand on.
    """

    content_type = b"application/json"

    def __init__(self, service: Service, platform: Platform) -> None:
        self._service = service
        self._platform = platform
        self.paths = {request.partition(" ")[2] for request in load_table(service.name).requests.values()}

    def answer(self, asked: Asked) -> bytes:
        """Do what method and path name."""
        table = load_table(self._service.name)
        name = _operation_at(table, f"{asked.method} {asked.path}")
        return _perform(self._service, table, name, asked, self._platform)

    def tell(self, error: AwsError, _headers: Mapping[str, str], _id: str, /) -> Told:
        """Name the error in a header."""
        told = {b"x-amzn-errortype": error.code.encode("ascii", "replace")}
        return told, msgspec.json.encode({"message": error.message})


def _operation_of(table: Table, target: str) -> str:
    prefix, _, name = target.rpartition(".")
    if prefix == table.target_prefix and name in table.operations:
        return name
    if prefix == table.target_prefix and name in table.others:
        raise AwsError(
            UNKNOWN_OPERATION, f"modelport does not offer {name}; docs/reference/aws.md lists what it offers"
        )
    raise AwsError(UNKNOWN_OPERATION, f"there is no operation {target[:80]!r}")


def _operation_at(table: Table, wished: str) -> str:
    for name, request in table.requests.items():
        if request == wished:
            return name
    known = ", ".join(table.requests.values())
    raise AwsError(UNKNOWN_OPERATION, f"there is no operation {wished!r}, expected one of: {known}", 404)


def _perform(service: Service, table: Table, name: str, asked: Asked, platform: Platform) -> bytes:
    """Do an operation; return the JSON of its result."""
    signature = table.operations[name]
    try:
        scope, operation = service.operations[name]
        asked.principal.require(scope)
        parameters = (
            {}
            if signature.input is None
            else validate(table, signature.input, _decode(asked.body), service.violation)
        )
        call = Call(name, parameters, asked.region, asked.principal, platform)
        return msgspec.json.encode(shape_output(table, signature.output, operation(call)))
    except (ModelportError, AwsError):
        raise
    except Exception as error:
        _log.exception("aws.failed", operation=name)
        raise AwsError(
            "InternalFailure", "the server made a mistake; its log has the details", 500
        ) from error


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AwsError("SerializationException", f"the body is not JSON: {error}") from error
