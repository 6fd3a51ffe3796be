"""boto3 against the object store: the checks by which other local S3 servers were compared, and more."""

from __future__ import annotations

import io
import os

import httpx
import pytest

from fakes import aws
from fakes.aws import BUCKET, code_of

MIB = 1 << 20
ODD_KEYS = (
    "a b",
    "a+b",
    "a%20b",
    "100%",
    "größe/ключ/鍵/😀",
    "/leading",
    "a//b",
    "../up",
    "a/./b/../c",
    "dir",
    "dir/file",
    "dir/",
    "q?x=1&y=2",
    "semi;colon,comma:colon@at=equals",
    "quote'\"<&>",
    "tab\tnewline\n",
    "~tilde!()*",
)


def read(s3, key, **more):
    return s3.get_object(Bucket=BUCKET, Key=key, **more)["Body"].read()


def test_buckets_come_and_go(s3):
    for name in ("one", "two"):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": aws.REGION})
    assert [item["Name"] for item in s3.list_buckets()["Buckets"]] == ["one", "two"]
    s3.head_bucket(Bucket="one")
    assert s3.get_bucket_location(Bucket="one")["LocationConstraint"] is None
    again = {"LocationConstraint": aws.REGION}
    assert (
        code_of(s3.create_bucket, Bucket="one", CreateBucketConfiguration=again) == "BucketAlreadyOwnedByYou"
    )
    s3.put_object(Bucket="one", Key="k", Body=b"")
    assert code_of(s3.delete_bucket, Bucket="one") == "BucketNotEmpty"
    s3.delete_object(Bucket="one", Key="k")
    s3.delete_bucket(Bucket="one")
    assert code_of(s3.head_bucket, Bucket="one") == "404"
    assert code_of(s3.delete_bucket, Bucket="one") == "NoSuchBucket"
    assert code_of(s3.create_bucket, Bucket="x.", CreateBucketConfiguration=again) == "InvalidBucketName"
    assert code_of(s3.list_objects_v2, Bucket="none") == "NoSuchBucket"


def test_an_object_is_what_was_put(bucket):
    content = os.urandom(3 * MIB + 17)
    put = bucket.put_object(
        Bucket=BUCKET,
        Key="k",
        Body=content,
        ContentType="application/x-thing",
        CacheControl="no-cache",
        Metadata={"Mixed-Case": "value", "other": "x y"},
    )
    got = bucket.get_object(Bucket=BUCKET, Key="k")
    assert got["Body"].read() == content
    assert (got["ContentType"], got["CacheControl"]) == ("application/x-thing", "no-cache")
    assert got["Metadata"] == {"mixed-case": "value", "other": "x y"}
    assert got["ETag"] == put["ETag"]
    head = bucket.head_object(Bucket=BUCKET, Key="k")
    assert (head["ContentLength"], head["Metadata"]) == (len(content), got["Metadata"])
    bucket.put_object(Bucket=BUCKET, Key="k", Body=b"new")
    assert read(bucket, "k") == b"new"
    bucket.put_object(Bucket=BUCKET, Key="empty", Body=b"")
    assert read(bucket, "empty") == b""
    assert code_of(bucket.get_object, Bucket=BUCKET, Key="none") == "NoSuchKey"
    assert code_of(bucket.head_object, Bucket=BUCKET, Key="none") == "404"
    assert code_of(bucket.put_object, Bucket="none", Key="k", Body=b"") == "NoSuchBucket"


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-3", 0, 4),
        ("bytes=5-", 5, 10),
        ("bytes=-3", 7, 10),
        ("bytes=8-99", 8, 10),
        ("bytes=-99", 0, 10),
    ],
)
def test_ranges(bucket, asked, start, end):
    content = b"0123456789"
    bucket.put_object(Bucket=BUCKET, Key="k", Body=content)
    got = bucket.get_object(Bucket=BUCKET, Key="k", Range=asked)
    assert got["Body"].read() == content[start:end]
    assert got["ContentRange"] == f"bytes {start}-{end - 1}/10"
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert code_of(bucket.get_object, Bucket=BUCKET, Key="k", Range="bytes=10-") == "InvalidRange"


def test_preconditions(bucket):
    etag = bucket.put_object(Bucket=BUCKET, Key="k", Body=b"x")["ETag"]
    assert read(bucket, "k", IfMatch=etag) == b"x"
    assert code_of(bucket.get_object, Bucket=BUCKET, Key="k", IfMatch='"other"') == "PreconditionFailed"
    assert code_of(bucket.get_object, Bucket=BUCKET, Key="k", IfNoneMatch=etag) == "304"
    assert (
        code_of(bucket.put_object, Bucket=BUCKET, Key="k", Body=b"y", IfNoneMatch="*") == "PreconditionFailed"
    )
    bucket.put_object(Bucket=BUCKET, Key="fresh", Body=b"y", IfNoneMatch="*")
    modified = bucket.head_object(Bucket=BUCKET, Key="k")["LastModified"]
    assert code_of(bucket.get_object, Bucket=BUCKET, Key="k", IfModifiedSince=modified) == "304"


def test_lists_of_both_kinds_with_prefixes_and_pages(bucket):
    keys = sorted(
        [f"a/{number:03}" for number in range(25)] + [f"b/{number:03}" for number in range(25)] + ["c"]
    )
    for key in keys:
        bucket.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    for name in ("list_objects", "list_objects_v2"):
        pages = bucket.get_paginator(name).paginate(Bucket=BUCKET, PaginationConfig={"PageSize": 7})
        assert [item["Key"] for page in pages for item in page.get("Contents", [])] == keys
        pages = bucket.get_paginator(name).paginate(
            Bucket=BUCKET, Delimiter="/", PaginationConfig={"PageSize": 1}
        )
        found = list(pages)
        assert [item["Prefix"] for page in found for item in page.get("CommonPrefixes", [])] == ["a/", "b/"]
        assert [item["Key"] for page in found for item in page.get("Contents", [])] == ["c"]
    after = bucket.list_objects_v2(Bucket=BUCKET, Prefix="a/", StartAfter="a/022")
    assert [item["Key"] for item in after["Contents"]] == ["a/023", "a/024"]
    assert after["KeyCount"] == 2
    (first, *_) = bucket.list_objects_v2(Bucket=BUCKET, FetchOwner=True)["Contents"]
    assert (first["Size"], first["Owner"]["ID"]) == (5, "modelport")
    assert bucket.list_objects_v2(Bucket=BUCKET, Prefix="none")["KeyCount"] == 0
    assert code_of(bucket.list_objects_v2, Bucket=BUCKET, ContinuationToken="!") == "InvalidArgument"


def test_odd_keys(bucket):
    for key in ODD_KEYS:
        bucket.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    for key in ODD_KEYS:
        assert read(bucket, key) == key.encode()
    listed = [item["Key"] for item in bucket.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert listed == sorted(ODD_KEYS, key=lambda key: key.encode())
    bucket.delete_objects(
        Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in ODD_KEYS if "\t" not in key]}
    )
    assert [item["Key"] for item in bucket.list_objects_v2(Bucket=BUCKET).get("Contents", [])] == [
        "tab\tnewline\n"
    ]
    assert code_of(bucket.put_object, Bucket=BUCKET, Key="x" * 1025, Body=b"") == "KeyTooLongError"


def test_copies(bucket):
    bucket.put_object(Bucket=BUCKET, Key="a b/größe", Body=b"x", Metadata={"kept": "1"}, ContentType="text/a")
    source = {"Bucket": BUCKET, "Key": "a b/größe"}
    bucket.copy_object(Bucket=BUCKET, Key="copy", CopySource=source)
    assert bucket.head_object(Bucket=BUCKET, Key="copy")["Metadata"] == {"kept": "1"}
    bucket.copy_object(
        Bucket=BUCKET, Key="copy", CopySource=source, MetadataDirective="REPLACE", Metadata={"new": "2"}
    )
    assert bucket.head_object(Bucket=BUCKET, Key="copy")["Metadata"] == {"new": "2"}
    assert read(bucket, "copy") == b"x"
    missing = {"Bucket": BUCKET, "Key": "none"}
    assert code_of(bucket.copy_object, Bucket=BUCKET, Key="c", CopySource=missing) == "NoSuchKey"


def test_uploads_in_parts(bucket):
    content = os.urandom(12 * MIB)
    bucket.upload_fileobj(io.BytesIO(content), BUCKET, "large")
    target = io.BytesIO()
    bucket.download_fileobj(BUCKET, "large", target)
    assert target.getvalue() == content
    assert bucket.head_object(Bucket=BUCKET, Key="large")["ETag"].endswith('-2"')
    assert "Uploads" not in bucket.list_multipart_uploads(Bucket=BUCKET)


def test_parts_are_listed_checked_copied_and_forgotten(bucket):
    bucket.put_object(Bucket=BUCKET, Key="source", Body=b"0123456789")
    started = bucket.create_multipart_upload(
        Bucket=BUCKET, Key="k", Metadata={"m": "1"}, ContentType="text/a"
    )
    upload = {"Bucket": BUCKET, "Key": "k", "UploadId": started["UploadId"]}
    large = bytes(5 * MIB)
    etags = [bucket.upload_part(**upload, PartNumber=1, Body=large)["ETag"]]
    copied = bucket.upload_part_copy(
        **upload, PartNumber=2, CopySource={"Bucket": BUCKET, "Key": "source"}, CopySourceRange="bytes=2-4"
    )
    etags.append(copied["CopyPartResult"]["ETag"])
    listed = bucket.list_parts(**upload)["Parts"]
    assert [(part["PartNumber"], part["Size"], part["ETag"]) for part in listed] == [
        (1, len(large), etags[0]),
        (2, 3, etags[1]),
    ]
    assert [item["Key"] for item in bucket.list_multipart_uploads(Bucket=BUCKET)["Uploads"]] == ["k"]
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    complete = bucket.complete_multipart_upload
    wrong = [{"PartNumber": 1, "ETag": '"0"'}]
    assert code_of(complete, **upload, MultipartUpload={"Parts": wrong}) == "InvalidPart"
    assert code_of(complete, **upload, MultipartUpload={"Parts": parts[::-1]}) == "InvalidPartOrder"
    complete(**upload, MultipartUpload={"Parts": parts})
    assert read(bucket, "k") == large + b"234"
    head = bucket.head_object(Bucket=BUCKET, Key="k")
    assert (head["Metadata"], head["ContentType"]) == ({"m": "1"}, "text/a")
    again = complete(**upload, MultipartUpload={"Parts": parts})  # as a client does that missed the answer
    assert again["ETag"] == head["ETag"]
    assert code_of(complete, **upload, MultipartUpload={"Parts": parts[:1]}) == "NoSuchUpload"
    aborted = bucket.create_multipart_upload(Bucket=BUCKET, Key="other")["UploadId"]
    small = [
        bucket.upload_part(Bucket=BUCKET, Key="other", UploadId=aborted, PartNumber=n, Body=b"x")["ETag"]
        for n in (1, 2)
    ]
    too_small = {"Parts": [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(small, 1)]}
    assert (
        code_of(complete, Bucket=BUCKET, Key="other", UploadId=aborted, MultipartUpload=too_small)
        == "EntityTooSmall"
    )
    bucket.abort_multipart_upload(Bucket=BUCKET, Key="other", UploadId=aborted)
    assert code_of(bucket.list_parts, Bucket=BUCKET, Key="other", UploadId=aborted) == "NoSuchUpload"


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_urls(bucket, url, version):
    bucket = aws.client("s3", url, signature_version=version)
    put = bucket.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "a b"})
    assert httpx.put(put, content=b"by link").status_code == 200
    get = bucket.generate_presigned_url(
        "get_object", Params={"Bucket": BUCKET, "Key": "a b", "ResponseContentType": "text/x"}
    )
    answer = httpx.get(get)
    assert (answer.content, answer.headers["content-type"]) == (b"by link", "text/x")


def test_a_bucket_may_be_called_as_a_path_of_the_runtime_is(s3):
    s3.create_bucket(Bucket="endpoints", CreateBucketConfiguration={"LocationConstraint": aws.REGION})
    s3.put_object(Bucket="endpoints", Key="e/invocations", Body=b"x")
    assert s3.get_object(Bucket="endpoints", Key="e/invocations")["Body"].read() == b"x"


def test_many_deletes(bucket):
    for number in range(3):
        bucket.put_object(Bucket=BUCKET, Key=f"k{number}", Body=b"")
    wish = {"Objects": [{"Key": "k0"}, {"Key": "k1"}, {"Key": "none"}]}
    deleted = bucket.delete_objects(Bucket=BUCKET, Delete=wish)["Deleted"]
    assert [item["Key"] for item in deleted] == ["k0", "k1", "none"]
    assert [item["Key"] for item in bucket.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["k2"]
    assert "Deleted" not in bucket.delete_objects(
        Bucket=BUCKET, Delete={"Objects": [{"Key": "k2"}], "Quiet": True}
    )


def test_tags_of_objects(bucket):
    bucket.put_object(Bucket=BUCKET, Key="k", Body=b"", Tagging="a=1&b=x%20y")
    tags = bucket.get_object_tagging(Bucket=BUCKET, Key="k")["TagSet"]
    assert tags == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "x y"}]
    bucket.put_object_tagging(Bucket=BUCKET, Key="k", Tagging={"TagSet": [{"Key": "c", "Value": "<3>"}]})
    assert bucket.get_object_tagging(Bucket=BUCKET, Key="k")["TagSet"] == [{"Key": "c", "Value": "<3>"}]
    assert bucket.get_object(Bucket=BUCKET, Key="k")["TagCount"] == 1
    bucket.delete_object_tagging(Bucket=BUCKET, Key="k")
    assert bucket.get_object_tagging(Bucket=BUCKET, Key="k")["TagSet"] == []


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_checksums_are_verified_and_told(bucket, algorithm):
    put = bucket.put_object(Bucket=BUCKET, Key="k", Body=b"content", ChecksumAlgorithm=algorithm)
    told = f"Checksum{algorithm}"
    head = bucket.head_object(Bucket=BUCKET, Key="k", ChecksumMode="ENABLED")
    assert head[told] == put[told]
    wrong = {told: put[told][:-2] + ("A=" if put[told][-2] != "A" else "B=")}
    assert code_of(bucket.put_object, Bucket=BUCKET, Key="other", Body=b"content", **wrong) == "BadDigest"
    assert code_of(bucket.head_object, Bucket=BUCKET, Key="other") == "404"
    wrong_md5 = "A" * 22 + "=="
    assert code_of(bucket.put_object, Bucket=BUCKET, Key="k", Body=b"x", ContentMD5=wrong_md5) == "BadDigest"
    assert code_of(bucket.put_object, Bucket=BUCKET, Key="k", Body=b"x", ContentMD5="AAAA") == "InvalidDigest"
    assert read(bucket, "k") == b"content"


def test_buckets_in_the_host_name(bucket, doors):
    bucket.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    port = doors.client.base_url.port
    scope = "AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/s3/aws4_request, Signature=0"
    for host in (f"{BUCKET}.localhost:{port}", f"{BUCKET}.s3.localhost:{port}"):
        answer = doors.client.get("/k", headers={"Host": host, "Authorization": scope})
        assert answer.content == b"x"


def test_documents_that_declare_entities_are_refused(bucket, doors):
    scope = "AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/s3/aws4_request, Signature=0"
    bomb = b'<!DOCTYPE a [<!ENTITY b "c">]><Delete><Object><Key>&b;</Key></Object></Delete>'
    for body in (bomb, b"<Delete>", b"no xml", b"<Delete>" + bytes(5 * MIB)):
        answer = doors.client.post(f"/{BUCKET}?delete", content=body, headers={"Authorization": scope})
        assert answer.status_code == 400
        assert b"<Code>MalformedXML</Code>" in answer.content


def test_what_is_not_offered_says_so(bucket):
    assert code_of(bucket.get_bucket_policy, Bucket=BUCKET) == "NotImplemented"
    assert code_of(bucket.get_object_acl, Bucket=BUCKET, Key="k") == "NotImplemented"


def test_a_body_that_breaks_off_changes_nothing(bucket, doors):
    import socket

    bucket.put_object(Bucket=BUCKET, Key="k", Body=b"old")
    scope = "AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/s3/aws4_request, Signature=0"
    with socket.create_connection(("127.0.0.1", doors.client.base_url.port)) as connection:
        connection.sendall(
            f"PUT /{BUCKET}/k HTTP/1.1\r\nHost: localhost\r\nAuthorization: {scope}\r\n"
            "Content-Length: 100\r\n\r\nnew".encode()
        )
    assert read(bucket, "k") == b"old"
