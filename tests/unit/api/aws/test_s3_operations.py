"""Every request that botocore can make of S3 finds its own operation, or is told that there is none."""

from __future__ import annotations

import io
import re

import botocore.session
import pytest

from modelport.api.aws.s3.app import OPERATIONS, find_operation
from modelport.api.aws.s3.errors import S3Error
from modelport.api.aws.s3.requests import read_request

MODEL = botocore.session.get_session().get_service_model("s3")
OFFERED = {re.match(r"\w+", operation.__doc__)[0]: operation for operation in OPERATIONS}
ELSEWHERE = {"ListDirectoryBuckets"}
"""Told from another operation by the host it is sent to, which is never ours."""


def request_of(name):
    """Return the request of an operation with what it must carry, as botocore writes it."""
    operation = MODEL.operation_model(name)
    uri, _, query = operation.http["requestUri"].partition("?")
    headers, asked = [], [query] if query else []
    for member in operation.input_shape.required_members if operation.input_shape else ():
        where = operation.input_shape.members[member].serialization
        if where.get("location") == "querystring":
            asked.append(f"{where['name']}=1")
        elif where.get("location") == "header":
            headers.append((where["name"].lower().encode(), b"bucket/source"))
    path = uri.replace("{Bucket}", "bucket").replace("{Key+}", "some/key")
    return read_request(
        operation.http["method"], path.encode(), "&".join(asked).encode(), headers, io.BytesIO()
    )


@pytest.mark.parametrize("name", sorted(set(MODEL.operation_names) - ELSEWHERE))
def test_a_request_finds_its_own_operation_or_none(name):
    if name in OFFERED:
        assert find_operation(request_of(name)) is OFFERED[name]
    else:
        with pytest.raises(S3Error) as caught:
            find_operation(request_of(name))
        assert caught.value.code in ("NotImplemented", "MethodNotAllowed")


def test_everything_offered_is_an_operation_of_s3():
    assert set(OFFERED) <= set(MODEL.operation_names)
    assert len(OFFERED) == len(OPERATIONS)


@pytest.mark.parametrize(
    "header",
    [
        "x-amz-server-side-encryption-customer-key",
        "x-amz-object-lock-mode",
        "x-amz-write-offset-bytes",
    ],
)
def test_a_promise_that_is_not_kept_is_not_made(header):
    request = read_request("PUT", b"/bucket/key", b"", [(header.encode(), b"x")], io.BytesIO())
    with pytest.raises(S3Error, match=header):
        find_operation(request)


@pytest.mark.parametrize(
    ("method", "query"), [("GET", b"partNumber=2"), ("GET", b"versionId=3"), ("PUT", b"partNumber=1")]
)
def test_parts_and_versions_do_not_pass_for_the_whole(method, query):
    with pytest.raises(S3Error):
        find_operation(read_request(method, b"/bucket/key", query, [], io.BytesIO()))
