"""Which service a request is meant for, told from its signature."""

import pytest
from botocore.auth import S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from modelport.access.credentials import Credential, find_credential

KEYS = Credentials("AKIAEXAMPLE", "secret")
SERVICES = ("sagemaker", "s3", "application-autoscaling", "monitoring")


@pytest.mark.parametrize("service", SERVICES)
def test_botocores_signatures_are_read(service):
    request = AWSRequest("POST", "http://127.0.0.1:8090/", data=b"{}")
    SigV4Auth(KEYS, service, "eu-west-1").add_auth(request)
    headers = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
    found = find_credential(headers, b"")
    assert (found.access_key, found.region, found.service) == ("AKIAEXAMPLE", "eu-west-1", service)


def test_presigned_urls_are_read():
    request = AWSRequest("GET", "http://127.0.0.1:8090/bucket/key")
    S3SigV4QueryAuth(KEYS, "s3", "eu-west-1", expires=60).add_auth(request)
    found = find_credential([], request.url.partition("?")[2].encode())
    assert (found.access_key, found.region, found.service) == ("AKIAEXAMPLE", "eu-west-1", "s3")
    old = find_credential([], b"AWSAccessKeyId=AK&Signature=x%3D&Expires=1")
    assert old == Credential("AK", "", "us-east-1", "s3")


@pytest.mark.parametrize(
    "value",
    [
        b"Bearer token",
        b"AWS4-HMAC-SHA256",
        b"AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/s3/other, Signature=0",
        b"AWS4-HMAC-SHA256 Credential=AK/now/eu-west-1/s3/aws4_request, Signature=0",
        b"AWS4-HMAC-SHA256 Credential=/20260101/eu-west-1/s3/aws4_request",
    ],
)
def test_what_is_no_credential_is_none(value):
    assert find_credential([(b"authorization", value)], b"") is None


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_nothing_makes_it_fail(header, query):
    find_credential([(b"authorization", b"AWS4-HMAC-SHA256 Credential=" + header)], query)
    find_credential([], b"X-Amz-Credential=" + query)
