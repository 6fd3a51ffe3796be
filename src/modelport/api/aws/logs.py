"""CloudWatch Logs: groups and streams of what replicas and jobs wrote, read by streams or searched.

A token of GetLogEvents says in which direction it reads on from which position: at the end it comes back as
it is, and reads what is new when it is used again, as in AWS.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from modelport.access.scopes import Scope
from modelport.api.aws.calls import Call, Service
from modelport.api.aws.errors import AwsError
from modelport.api.aws.numbered import read_token, write_token
from modelport.control.services.logs import JOBS, After, Found, LogPage, StreamView
from modelport.domain.errors import InvalidInput, NotFound
from modelport.domain.log_filter import read_filter

INVALID = "InvalidParameterException"
NOT_FOUND = "ResourceNotFoundException"
PAGE = 50
EVENTS_MAX = 10_000
ARN = re.compile(r"arn:aws[\w-]*:logs:[\w-]*:\d*:log-group:([^:*]+)(?::\*)?", re.ASCII)
TOKEN = re.compile(r"([fb])/(\d{1,18})", re.ASCII)
POSITION_DIGITS = 18

T = TypeVar("T")


def describe_groups(call: Call) -> dict[str, Any]:
    """List the log groups: one of each endpoint, one of each kind of job."""
    asked = call.parameters
    if "logGroupNamePrefix" in asked and "logGroupNamePattern" in asked:
        raise AwsError(INVALID, "give logGroupNamePrefix or logGroupNamePattern, not both")
    pattern, only = asked.get("logGroupNamePattern", "").lower(), asked.get("logGroupIdentifiers")
    names = None if only is None else {_group_of(identifier) for identifier in only}
    found = [
        group
        for group in call.platform.logs.groups()
        if group.startswith(asked.get("logGroupNamePrefix", ""))
        and pattern in group.lower()
        and (names is None or group in names)
    ]
    page, token = _page(found, asked)
    return {"logGroups": [_describe_group(call, group) for group in page], "nextToken": token}


def describe_streams(call: Call) -> dict[str, Any]:
    """List the streams of a group, by name or by the time of their last line."""
    asked = call.parameters
    by_time = asked.get("orderBy") == "LastEventTime"
    prefix = asked.get("logStreamNamePrefix", "")
    if by_time and prefix:
        raise AwsError(INVALID, "cannot order by LastEventTime with a logStreamNamePrefix")
    group = _group(call)
    found = _known(lambda: call.platform.logs.streams(group, prefix))
    if by_time:
        found.sort(key=lambda stream: (stream.last_at or 0, stream.name))
    if asked.get("descending", False):
        found.reverse()
    page, token = _page(found, asked)
    arn = f"{_arn(call, group)}:log-stream:"
    return {"logStreams": [_describe_stream(stream, arn) for stream in page], "nextToken": token}


def get_events(call: Call) -> dict[str, Any]:
    """Return lines of one stream, from its head or tail or from where a token says."""
    asked = call.parameters
    group = _group(call)
    forward, position = asked.get("startFromHead", False), None
    if "nextToken" in asked:
        forward, position = _read_position(asked["nextToken"])
    page: LogPage = _known(
        lambda: call.platform.logs.read(
            group,
            asked["logStreamName"],
            position=position,
            forward=forward,
            since=asked.get("startTime"),
            until=asked.get("endTime"),
            limit=asked.get("limit", EVENTS_MAX),
        )
    )
    return {
        "events": [
            {"timestamp": line.at, "message": line.text, "ingestionTime": line.at} for line in page.lines
        ],
        "nextForwardToken": f"f/{page.end:0{POSITION_DIGITS}}",
        "nextBackwardToken": f"b/{page.begin:0{POSITION_DIGITS}}",
    }


def filter_events(call: Call) -> dict[str, Any]:
    """Return lines of several streams that match a pattern, by time."""
    asked = call.parameters
    group = _group(call)
    if "logStreamNames" in asked and "logStreamNamePrefix" in asked:
        raise AwsError(INVALID, "give logStreamNames or logStreamNamePrefix, not both")
    if not asked.get("startFromHead", True):
        raise AwsError(INVALID, "modelport returns the earliest events first: leave startFromHead out")
    try:
        wanted = read_filter(asked.get("filterPattern", ""))
    except InvalidInput as error:
        raise AwsError(INVALID, f"{error.message}; {error.hint}") from error
    token = asked.get("nextToken")
    found, after = _known(
        lambda: call.platform.logs.search(
            group,
            names=asked.get("logStreamNames"),
            prefix=asked.get("logStreamNamePrefix", ""),
            since=asked.get("startTime"),
            until=asked.get("endTime"),
            wanted=wanted.matches,
            after=None if token is None else _read_after(token),
            limit=asked.get("limit", EVENTS_MAX),
        )
    )
    return {
        "events": [_describe_found(one) for one in found],
        "searchedLogStreams": [],
        "nextToken": None if after is None else _write_after(after),
    }


LOGS = Service(
    "logs",
    {
        "DescribeLogGroups": (Scope.ENDPOINTS_READ, describe_groups),
        "DescribeLogStreams": (Scope.ENDPOINTS_READ, describe_streams),
        "GetLogEvents": (Scope.ENDPOINTS_READ, get_events),
        "FilterLogEvents": (Scope.ENDPOINTS_READ, filter_events),
    },
    violation=INVALID,
)


def _group(call: Call) -> str:
    """Return the group that a call is about, if its caller may read it."""
    given = [
        call.parameters[name] for name in ("logGroupName", "logGroupIdentifier") if name in call.parameters
    ]
    if len(given) != 1:
        raise AwsError(INVALID, f"found {len(given)} of logGroupName and logGroupIdentifier, expected one")
    group = _group_of(given[0])
    if group in JOBS:
        call.principal.require(Scope.JOBS_READ)
    return group


def _group_of(identifier: str) -> str:
    arn = ARN.fullmatch(identifier)
    return arn[1] if arn else identifier


def _known(look: Callable[[], T]) -> T:
    try:
        return look()
    except NotFound as error:
        raise AwsError(NOT_FOUND, f"{error.message}; {error.hint}") from error


def _page(found: Sequence[T], asked: dict[str, Any]) -> tuple[Sequence[T], str | None]:
    try:
        start = read_token(asked.get("nextToken"))
    except AwsError as error:
        raise AwsError(INVALID, error.message) from error
    if start < 0:
        raise AwsError(INVALID, "nextToken is not one that this list gave")
    end = start + asked.get("limit", PAGE)
    return found[start:end], write_token(end) if end < len(found) else None


def _arn(call: Call, group: str) -> str:
    return f"arn:aws:logs:{call.region}:{call.account}:log-group:{group}"


def _describe_group(call: Call, group: str) -> dict[str, Any]:
    arn = _arn(call, group)
    return {"logGroupName": group, "arn": f"{arn}:*", "logGroupArn": arn, "logGroupClass": "STANDARD"}


def _describe_stream(stream: StreamView, arn: str) -> dict[str, Any]:
    return {
        "logStreamName": stream.name,
        "creationTime": stream.first_at,
        "firstEventTimestamp": stream.first_at,
        "lastEventTimestamp": stream.last_at,
        "lastIngestionTime": stream.last_at,
        "arn": f"{arn}{stream.name}",
        "storedBytes": stream.stored_bytes,
    }


def _describe_found(one: Found) -> dict[str, Any]:
    return {
        "logStreamName": one.stream,
        "timestamp": one.at,
        "message": one.line.text,
        "ingestionTime": one.at,
        "eventId": f"{_number(one.stream):010}{one.line.start:0{POSITION_DIGITS}}",
    }


def _number(stream: str) -> int:
    return int.from_bytes(hashlib.sha256(stream.encode("utf-8")).digest()[:4])


def _read_position(token: str) -> tuple[bool, int]:
    found = TOKEN.fullmatch(token)
    if found is None:
        raise AwsError(INVALID, f"the nextToken {token[:80]!r} is not one that GetLogEvents gave")
    return found[1] == "f", int(found[2])


def _write_after(after: After) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(after)).decode("ascii")


def _read_after(token: str) -> After:
    try:
        return msgspec.json.decode(base64.b64decode(token, altchars=b"-_", validate=True), type=After)
    except (binascii.Error, ValueError) as error:
        raise AwsError(
            INVALID, f"the nextToken {token[:80]!r} is not one that FilterLogEvents gave"
        ) from error
