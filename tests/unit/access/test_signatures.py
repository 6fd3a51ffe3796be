"""AWS signatures: those of AWS's own signers pass, and nothing else does."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from fakes.callers import ACCESS_KEY, SECRET_KEY, callers
from modelport.access.keys import KeyFile
from modelport.access.scopes import Scope
from modelport.access.signatures import (
    UNSIGNED,
    BadSignature,
    ChunkSigner,
    Expired,
    Skewed,
    UnknownKey,
    claimed_payload,
    read_signed,
    verify,
)
from modelport.domain.clock import SystemClock
from modelport.domain.errors import Forbidden, InvalidInput

KEYS = Credentials(ACCESS_KEY, SECRET_KEY)
BODY = b'{"EndpointName": "flights"}'
URL = "http://127.0.0.1:8090"
PATHS = (
    "/",
    "/endpoints/e/invocations",
    "/bucket/a%20b/gr%C3%B6%C3%9Fe",
    "/bucket/a%20b+c",
    "/a/b?x=1&y=%2F&x=0&empty=",
)


def signed(signer, method="POST", url=URL + "/", body=BODY, headers=()):
    """Return what a server gets of a request that one of botocore's signers signed."""
    request = AWSRequest(method, url, data=body, headers=dict(headers))
    signer.add_auth(request)
    sent = request.prepare()
    target = sent.url.removeprefix("http://127.0.0.1:8090")
    path, _, query = target.partition("?")
    named = [(name.lower().encode(), _bytes(value)) for name, value in sent.headers.items()]
    if not any(name == b"host" for name, _ in named):
        named.append((b"host", b"127.0.0.1:8090"))
    return read_signed(method, path.encode(), query.encode(), named)


def _bytes(value):
    return value if isinstance(value, bytes) else value.encode()


def payload_of(request):
    if request.credential.service == "s3":
        return claimed_payload(request)
    return hashlib.sha256(b"" if request.method == "GET" else BODY).hexdigest()


def passes(request, secret=SECRET_KEY, now=None):
    return verify(request, secret, payload_of(request), now or datetime.now(UTC))


SIGNERS = {
    "headers": lambda: SigV4Auth(KEYS, "sagemaker", "eu-west-1"),
    "query": lambda: SigV4QueryAuth(KEYS, "sagemaker", "eu-west-1", expires=60),
    "s3 headers": lambda: S3SigV4Auth(KEYS, "s3", "eu-west-1"),
    "s3 query": lambda: S3SigV4QueryAuth(KEYS, "s3", "eu-west-1", expires=60),
    "s3 query of version 2": lambda: HmacV1QueryAuth(KEYS, expires=60),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", SIGNERS)
def test_botocores_signatures_pass_and_with_another_secret_do_not(name, path):
    method, body = ("GET", b"") if "query" in name else ("POST", BODY)
    request = signed(
        SIGNERS[name](), method, URL + path, body, headers={"X-Amz-Meta-A": " a   b ", "Accept": "*/*"}
    )
    passes(request)
    with pytest.raises(BadSignature, match="secret"):
        passes(request, secret=SECRET_KEY[:-1] + "x")


CHANGES = {
    "method": lambda r: replace(r, method="PUT"),
    "path": lambda r: replace(r, path=r.path + b"x"),
    "query": lambda r: replace(r, query=r.query + b"&uploads="),
    "host": lambda r: with_header(r, b"host", b"localhost:8090"),
    "header": lambda r: with_header(r, b"x-amz-meta-a", b"2"),
    "new header": lambda r: replace(r, headers=[*r.headers, (b"x-amz-tagging", b"a=b")]),
    "region": lambda r: replace(r, credential=replace(r.credential, region="us-east-1")),
    "doubled header": lambda r: replace(r, headers=[*r.headers, (b"x-amz-meta-a", b"2")]),
}


def with_header(request, name, value):
    return replace(request, headers=[(k, value if k == name else v) for k, v in request.headers])


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["headers", "s3 headers", "s3 query"])
def test_a_request_that_was_changed_is_refused(name, change):
    request = signed(SIGNERS[name](), headers={"X-Amz-Meta-A": "1"})
    passes(request)
    with pytest.raises(BadSignature):
        passes(CHANGES[change](request))


@pytest.mark.parametrize("change", ["method", "path", "query"])
def test_version_2_signs_method_path_and_sub_resources(change):
    request = signed(SIGNERS["s3 query of version 2"](), "GET", URL + "/bucket/key", body=b"")
    passes(request)
    with pytest.raises(BadSignature):
        passes(CHANGES[change](request))


def test_another_body_is_refused():
    request = signed(SIGNERS["headers"]())
    with pytest.raises(BadSignature):
        verify(request, SECRET_KEY, hashlib.sha256(b"other").hexdigest(), datetime.now(UTC))


@pytest.mark.parametrize(("off", "passed"), [(-310, False), (-290, True), (290, True), (310, False)])
def test_clocks_may_differ_by_five_minutes(off, passed):
    request = signed(SIGNERS["headers"]())
    now = datetime.now(UTC) + timedelta(seconds=off)
    if passed:
        passes(request, now=now)
    else:
        with pytest.raises(Skewed, match="it is"):
            passes(request, now=now)


@pytest.mark.parametrize("name", ["query", "s3 query", "s3 query of version 2"])
def test_presigned_requests_expire(name):
    request = signed(SIGNERS[name](), "GET", URL + "/bucket/key", body=b"")
    payload = UNSIGNED if request.credential.service == "s3" else hashlib.sha256(b"").hexdigest()
    verify(request, SECRET_KEY, payload, datetime.now(UTC) + timedelta(seconds=55))
    with pytest.raises(Expired):
        verify(request, SECRET_KEY, payload, datetime.now(UTC) + timedelta(seconds=65))


@pytest.mark.parametrize("header", [None, "yesterday", "20260231T000000Z", "\u0662\u0660260101T000000Z"])
def test_a_time_that_is_none_is_refused(header):
    request = signed(SIGNERS["headers"]())
    kept = [(k, v) for k, v in request.headers if k != b"x-amz-date"]
    if header is not None:
        kept.append((b"x-amz-date", header.encode()))
    with pytest.raises(BadSignature):
        passes(replace(request, headers=kept))


@pytest.mark.parametrize("claimed", [None, "abc", "0" * 63])
def test_s3_must_say_what_its_payload_is(claimed):
    request = signed(SIGNERS["s3 headers"]())
    kept = [(k, v) for k, v in request.headers if k != b"x-amz-content-sha256"]
    if claimed is not None:
        kept.append((b"x-amz-content-sha256", claimed.encode()))
    with pytest.raises(BadSignature, match="SHA-256"):
        claimed_payload(replace(request, headers=kept))


@given(header=st.binary(max_size=300), query=st.binary(max_size=300))
def test_nonsense_is_refused_and_never_fails(header, query):
    credential = f"Credential={ACCESS_KEY}/20260101/eu-west-1/sagemaker/aws4_request, ".encode()
    request = read_signed(
        "GET", b"/", query, [(b"authorization", b"AWS4-HMAC-SHA256 " + credential + header)]
    )
    with pytest.raises(BadSignature):
        verify(request, SECRET_KEY, "0" * 64, datetime.now(UTC))


def test_chunks_are_signed_as_in_amazons_example():
    """Amazon S3 API reference, "Signature calculations ... multiple chunks", example."""
    headers = {
        b"host": b"s3.amazonaws.com",
        b"x-amz-date": b"20130524T000000Z",
        b"x-amz-storage-class": b"REDUCED_REDUNDANCY",
        b"authorization": b"AWS4-HMAC-SHA256 "
        b"Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        b"SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;"
        b"x-amz-decoded-content-length;x-amz-storage-class,"
        b"Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        b"x-amz-content-sha256": b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        b"content-encoding": b"aws-chunked",
        b"x-amz-decoded-content-length": b"66560",
        b"content-length": b"66824",
    }
    request = read_signed("PUT", b"/examplebucket/chunkObject.txt", b"", list(headers.items()))
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    signer = verify(request, secret, claimed_payload(request), datetime(2013, 5, 24, tzinfo=UTC))
    assert isinstance(signer, ChunkSigner)
    previous = signer.seed
    for size, wanted in (
        (65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
        (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
        (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
    ):
        previous = signer.sign_chunk(previous, hashlib.sha256(b"a" * size).hexdigest())
        assert previous == wanted


def test_a_key_stands_for_a_principal(tmp_path):
    known = callers(
        tmp_path, [("ada", "admin", "token")], [("app", "endpoints:invoke", ACCESS_KEY, SECRET_KEY)]
    )
    request = signed(SIGNERS["headers"]())
    principal, _ = known.by_signature(request, payload_of(request))
    assert principal.name == known.claimed(request).name == "app"
    with pytest.raises(Forbidden):
        principal.require(Scope.ADMIN)
    stranger = replace(request, credential=replace(request.credential, access_key="AKIASTRANGER"))
    with pytest.raises(UnknownKey, match="AKIASTRANGER"):
        known.claimed(stranger)


@pytest.mark.parametrize(
    ("content", "mode", "told"),
    [
        ("", 0o600, "holds no key"),
        ("ann admin AKIA\n", 0o600, "found 3 words"),
        ("ann admin AK-IA secretsecretsecretsecret\n", 0o600, "key id"),
        ("ann root AKIA secretsecretsecretsecret\n", 0o600, "unknown scope"),
        ("ann admin AKIA short\n", 0o600, "5 characters"),
        ("ann admin AKIA secretsecretsecretsecret\n", 0o640, "readable by others"),
        ("ann admin AKIA secretsecretsecretsecret\n", 0o604, "readable by others"),
        ("ann admin AKIA secretsecretsecretsecret\n", 0o622, "writable by others"),
    ],
)
def test_a_server_does_not_start_on_a_bad_key_file(tmp_path, content, mode, told):
    path = tmp_path / "keys"
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(InvalidInput, match=told) as caught:
        KeyFile(path, SystemClock())
    assert "secretsecret" not in str(caught.value)
