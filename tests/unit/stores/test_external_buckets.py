"""Another S3 says no in many ways; each becomes an error of ours that names the next step."""

from __future__ import annotations

import io

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from modelport.domain.errors import InvalidInput, NotFound, Unavailable
from modelport.stores.artifacts.local import LocalArtifacts
from modelport.stores.buckets.external import ExternalBuckets


@pytest.fixture
def buckets(tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    made = ExternalBuckets("http://127.0.0.1:9", LocalArtifacts(tmp_path / "artifacts"))
    yield made
    made._client.close()


@pytest.fixture
def stub(buckets):
    with Stubber(buckets._client) as stubber:
        yield stubber


@pytest.mark.parametrize(
    ("code", "status", "kind", "words"),
    [
        ("404", 404, NotFound, "there is no object s3://b/k"),
        ("NoSuchBucket", 404, NotFound, "there is no object"),
        ("403", 403, InvalidInput, "refuses object s3://b/k"),
        ("InvalidAccessKeyId", 403, InvalidInput, "InvalidAccessKeyId"),
        ("SlowDown", 503, Unavailable, "failed on object"),
    ],
)
def test_what_it_refuses_is_told_in_our_words(buckets, stub, code, status, kind, words):
    stub.add_client_error("head_object", code, http_status_code=status)
    with pytest.raises(kind, match=words) as caught:
        buckets.digest_of("b", "k")
    assert type(caught.value) is kind


def test_an_object_is_read_once_until_it_is_another_one(buckets, stub):
    def offer(tag, content=None):
        stub.add_response("head_object", {"ETag": tag})
        if content is not None:
            body = StreamingBody(io.BytesIO(content), len(content))
            stub.add_response("get_object", {"ETag": tag, "Body": body})

    offer("1", b"first")
    offer("1")
    offer("2", b"second")
    found = [buckets.path_of("b", "k").read_bytes() for _ in range(3)]
    assert found == [b"first", b"first", b"second"]
    stub.assert_no_pending_responses()


def test_one_that_is_not_there_is_told(buckets):
    with pytest.raises(Unavailable, match="cannot be asked"):
        buckets.bucket("b")


def test_a_url_that_is_none_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="s3_endpoint_url"):
        ExternalBuckets("no url", LocalArtifacts(tmp_path))
