"""Where keys are configured, boto3 gets in with a known one and its secret, and not otherwise."""

import hashlib
import io
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from botocore.exceptions import ClientError

from fakes import aws
from fakes.aws import BUCKET, code_of
from fakes.callers import ACCESS_KEY, SECRET_KEY
from modelport.access.signatures import BadSignature, ChunkSigner
from modelport.api.aws.s3.bodies import read_body

PIECE = 70_000


def of(client, service, secret=SECRET_KEY, **options):
    return aws.client(service, str(client.base_url), secret, **options)


@pytest.fixture
def serve(doors):
    """Serve with one key of these scopes."""

    def start(scopes="admin"):
        return doors.with_tokens(
            ("ada", "admin", "ada's token"), keys=[("app", scopes, ACCESS_KEY, SECRET_KEY)]
        )

    return start


def test_a_signature_opens_every_service(serve):
    with serve() as client:
        assert of(client, "sagemaker").list_models()["Models"] == []
        assert of(client, "cloudwatch").list_metrics()["Metrics"] == []
        assert of(client, "sts").get_caller_identity()["UserId"] == "app"
        s3 = of(client, "s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.REGION})
        for key in ("plain", "a b+c%/größe", "q?x=1&y"):
            s3.put_object(Bucket=BUCKET, Key=key, Body=b"content", Metadata={"a": " b  c "})
            assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"content"
        s3.upload_fileobj(io.BytesIO(b"x" * (9 << 20)), BUCKET, "in parts")
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="in p", StartAfter="a b")["Contents"]
        assert [item["Size"] for item in listed] == [9 << 20]


def test_another_secret_opens_none(serve):
    with serve() as client:
        wrong = "another-secret-of-the-same-key"
        assert code_of(of(client, "sagemaker", wrong).list_models) == "InvalidSignatureException"
        assert code_of(of(client, "sts", wrong).get_caller_identity) == "InvalidSignatureException"
        with pytest.raises(ClientError) as caught:
            of(client, "s3", wrong).list_buckets()
        assert caught.value.response["Error"]["Code"] == "SignatureDoesNotMatch"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_an_unknown_key_and_none_at_all_open_nothing(doors):
    keys = [("app", "admin", "AKIAOTHER", SECRET_KEY)]
    with doors.with_tokens(("ada", "admin", "ada's token"), keys=keys) as client:
        assert code_of(of(client, "sagemaker").list_models) == "UnrecognizedClientException"
        assert code_of(of(client, "s3").list_buckets) == "InvalidAccessKeyId"
        assert client.get("/api/v1/models").status_code == 401


def test_scopes_of_a_key_count(serve):
    with serve("registry:read,objects:read,endpoints:invoke") as client:
        of(client, "sagemaker").list_model_packages()
        assert code_of(of(client, "sagemaker").delete_model, ModelName="m") == "AccessDeniedException"
        of(client, "s3").list_buckets()
        assert code_of(of(client, "s3").create_bucket, Bucket=BUCKET) == "AccessDenied"


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_presigned_urls_open_until_they_expire(serve, version):
    with serve() as client:
        s3 = of(client, "s3", signature_version=version)
        of(client, "s3").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.REGION}
        )
        named = {"Bucket": BUCKET, "Key": "a b/ü"}
        assert httpx.put(s3.generate_presigned_url("put_object", named), content=b"x").status_code == 200
        url = s3.generate_presigned_url("get_object", named, ExpiresIn=60)
        assert httpx.get(url).content == b"x"
        assert "SignatureDoesNotMatch" in httpx.get(url.replace(BUCKET, "other")).text
        typed = s3.generate_presigned_url("get_object", {**named, "ResponseContentType": "text/x"})
        assert httpx.get(typed).headers["content-type"] == "text/x"
        assert httpx.get(typed.replace("text", "html")).status_code == 403
        other = of(client, "s3", "another-secret-of-the-same-key", signature_version=version)
        assert httpx.get(other.generate_presigned_url("get_object", named)).status_code == 403
        ended = s3.generate_presigned_url("get_object", named, ExpiresIn=-1)
        assert httpx.get(ended).status_code == 403


def test_a_body_that_was_changed_on_its_way_is_refused(serve):
    with serve() as client:
        sent = {}

        def keep(request, **_):
            sent.update(url=request.url, headers=dict(request.headers), body=request.body)

        sagemaker = of(client, "sagemaker")
        sagemaker.meta.events.register("before-send.sagemaker.*", keep)
        sagemaker.list_models(NameContains="aaa")
        changed = sent["body"].replace(b"aaa", b"bbb")
        assert httpx.post(sent["url"], headers=sent["headers"], content=sent["body"]).status_code == 200
        answer = httpx.post(sent["url"], headers=sent["headers"], content=changed)
        assert answer.json()["__type"] == "InvalidSignatureException"


SIGNER = ChunkSigner(b"k" * 32, "20260101/eu-west-1/s3/aws4_request", "20260101T000000Z", "0" * 64)
HEADERS = {"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"}


def signed_chunks(*chunks, trailer=b""):
    previous, parts = SIGNER.seed, []
    for chunk in (*chunks, b""):
        previous = SIGNER.sign_chunk(previous, hashlib.sha256(chunk).hexdigest())
        parts.append(b"%x;chunk-signature=%b\r\n%b" % (len(chunk), previous.encode(), chunk))
        parts.append(b"\r\n" if chunk else b"")
    if trailer:
        parts.append(trailer + b"\r\n")
        signature = SIGNER.sign_trailer(previous, trailer + b"\n")
        parts.append(b"x-amz-trailer-signature:" + signature.encode() + b"\r\n")
    return b"".join([*parts, b"\r\n"])


def read(body):
    return b"".join(read_body(io.BytesIO(body), HEADERS, {}, SIGNER))


def test_signed_chunks_are_verified_one_by_one():
    body = signed_chunks(b"a" * PIECE, b"b", trailer=b"x-amz-meta-sum:AAAA")
    assert read(body) == b"a" * PIECE + b"b"
    for harmed in (
        body.replace(b"aaa", b"aba", 1),
        body.replace(b"chunk-signature=", b"chunk-signature=0", 1),
        body.replace(b";chunk-signature=", b";unsigned=", 1),
        body.replace(b"AAAA", b"AAAB"),
        body.replace(b"x-amz-trailer-signature", b"x-other"),
    ):
        with pytest.raises(BadSignature):
            read(harmed)
    exchanged = (
        signed_chunks(b"a", b"b").replace(b"\r\na\r\n", b"\r\nX\r\n").replace(b"\r\nb\r\n", b"\r\na\r\n")
    )
    with pytest.raises(BadSignature):
        read(exchanged)


def test_a_time_long_ago_is_told_as_such(serve, monkeypatch):
    with serve() as client:
        from botocore import auth

        early = datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=6)
        monkeypatch.setattr(auth, "get_current_datetime", lambda **_: early)
        assert code_of(of(client, "s3").list_buckets) == "RequestTimeTooSkewed"
        assert code_of(of(client, "sagemaker").list_models) == "InvalidSignatureException"
