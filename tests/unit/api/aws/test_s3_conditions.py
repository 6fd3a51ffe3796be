"""boto3 against the object store: requests that depend on what is there do no more than they say."""

from __future__ import annotations

import base64
import hashlib
import io
import threading
import zlib

import pytest
from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from fakes import aws
from fakes.aws import BUCKET, code_of
from fakes.doors import Doors

WRITERS = 8
MIB = 1 << 20
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/s3/aws4_request, Signature=0"}


def read(s3, key):
    return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def test_of_many_who_write_what_must_not_be_there_one_wins(bucket, url):
    won, lost = [], []
    clients = [aws.client("s3", url) for _ in range(WRITERS)]
    together = threading.Barrier(WRITERS)

    def write(number):
        together.wait()
        body = bytes([number]) * 200_000
        try:
            clients[number].put_object(Bucket=BUCKET, Key="once", Body=body, IfNoneMatch="*")
            won.append(body)
        except ClientError as error:
            lost.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lost == ["PreconditionFailed"] * (WRITERS - 1)
    assert won == [read(bucket, "once")]


def test_of_many_who_replace_the_same_object_one_wins(bucket, url):
    etag = bucket.put_object(Bucket=BUCKET, Key="k", Body=b"first")["ETag"]
    won = []
    together = threading.Barrier(WRITERS)

    def write(number):
        client = aws.client("s3", url)
        together.wait()
        try:
            client.put_object(Bucket=BUCKET, Key="k", Body=b"%d" % number, IfMatch=etag)
            won.append(b"%d" % number)
        except ClientError:
            pass

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [read(bucket, "k")]


def test_an_object_is_replaced_or_deleted_only_if_it_is_the_one_meant(bucket):
    etag = bucket.put_object(Bucket=BUCKET, Key="k", Body=b"x")["ETag"]
    for call in (bucket.put_object, bucket.delete_object):
        assert code_of(call, Bucket=BUCKET, Key="k", IfMatch='"other"') == "PreconditionFailed"
        assert code_of(call, Bucket=BUCKET, Key="none", IfMatch=etag) == "NoSuchKey"
    assert read(bucket, "k") == b"x"
    wish = {"Objects": [{"Key": "k", "ETag": '"other"'}]}
    assert code_of(bucket.delete_objects, Bucket=BUCKET, Delete=wish) == "NotImplemented"
    assert code_of(bucket.put_object, Bucket=BUCKET, Key="k", IfNoneMatch=etag) == "NotImplemented"
    bucket.put_object(Bucket=BUCKET, Key="k", Body=b"y", IfMatch=etag)
    assert read(bucket, "k") == b"y"
    bucket.delete_object(Bucket=BUCKET, Key="k", IfMatch="*")
    assert code_of(bucket.head_object, Bucket=BUCKET, Key="k") == "404"


def test_a_copy_depends_on_its_source_and_on_its_place(bucket):
    etag = bucket.put_object(Bucket=BUCKET, Key="k", Body=b"x")["ETag"]
    copy = {"Bucket": BUCKET, "Key": "copy", "CopySource": {"Bucket": BUCKET, "Key": "k"}}
    modified = bucket.head_object(Bucket=BUCKET, Key="k")["LastModified"]
    for condition in (
        {"CopySourceIfMatch": '"other"'},
        {"CopySourceIfNoneMatch": etag},
        {"CopySourceIfModifiedSince": modified},
    ):
        assert code_of(bucket.copy_object, **copy, **condition) == "PreconditionFailed"
    assert code_of(bucket.head_object, Bucket=BUCKET, Key="copy") == "404"
    bucket.copy_object(**copy, CopySourceIfMatch=etag, IfNoneMatch="*")
    assert read(bucket, "copy") == b"x"
    assert code_of(bucket.copy_object, **copy, IfNoneMatch="*") == "PreconditionFailed"
    odd = copy | {"MetadataDirective": "KEEP"}
    assert code_of(bucket.copy_object, **odd) == "InvalidArgument"


def test_a_key_may_look_like_a_version_and_a_version_is_not_ignored(bucket):
    bucket.put_object(Bucket=BUCKET, Key="k?versionId=3", Body=b"odd")
    source = {"Bucket": BUCKET, "Key": "k?versionId=3"}
    bucket.copy_object(Bucket=BUCKET, Key="copy", CopySource=source)
    assert read(bucket, "copy") == b"odd"
    versioned = source | {"VersionId": "3"}
    assert code_of(bucket.copy_object, Bucket=BUCKET, Key="copy", CopySource=versioned) == "NotImplemented"


def test_what_is_said_of_a_bucket_does_not_make_or_delete_one(bucket):
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    versioned = {"Status": "Enabled"}
    assert code_of(bucket.delete_bucket_tagging, Bucket=BUCKET) == "NotImplemented"
    assert code_of(bucket.put_bucket_tagging, Bucket="new", Tagging=tags) == "NotImplemented"
    put = bucket.put_bucket_versioning
    assert code_of(put, Bucket="new", VersioningConfiguration=versioned) == "NotImplemented"
    assert [item["Name"] for item in bucket.list_buckets()["Buckets"]] == [BUCKET]


def test_buckets_are_listed_by_prefix_and_page(s3):
    for name in ("one-a", "one-b", "one-c", "two"):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": aws.REGION})
    pages = s3.get_paginator("list_buckets").paginate(Prefix="one-", PaginationConfig={"PageSize": 2})
    assert [[item["Name"] for item in page["Buckets"]] for page in pages] == [["one-a", "one-b"], ["one-c"]]


def test_a_part_belongs_to_the_key_of_its_upload(bucket):
    upload = bucket.create_multipart_upload(Bucket=BUCKET, Key="one")["UploadId"]
    wrong = {"Bucket": BUCKET, "Key": "other", "UploadId": upload}
    assert code_of(bucket.upload_part, **wrong, PartNumber=1, Body=b"x") == "NoSuchUpload"
    assert code_of(bucket.list_parts, **wrong) == "NoSuchUpload"
    assert code_of(bucket.abort_multipart_upload, **wrong) == "NoSuchUpload"
    bucket.create_multipart_upload(Bucket=BUCKET, Key="two ü")
    found = bucket.list_multipart_uploads(Bucket=BUCKET, Prefix="two")["Uploads"]
    assert [item["Key"] for item in found] == ["two ü"]
    bucket.put_object(Bucket=BUCKET, Key="source", Body=b"0123456789")
    copy = {"Bucket": BUCKET, "Key": "one", "UploadId": upload, "PartNumber": 1}
    copy["CopySource"] = {"Bucket": BUCKET, "Key": "source"}
    for beyond in ("bytes=0-10", "bytes=5-2", "bytes=3-", "0-3"):
        assert code_of(bucket.upload_part_copy, **copy, CopySourceRange=beyond) == "InvalidArgument"


@pytest.mark.parametrize("flipped", [0, 1])
def test_the_checksum_of_a_whole_upload_is_verified(bucket, flipped):
    content = bytes(5 * MIB) + b"end"
    checksum = base64.b64encode((zlib.crc32(content) ^ flipped).to_bytes(4, "big")).decode()
    how = {"ExtraArgs": {"ChecksumCRC32": checksum}, "Config": TransferConfig(multipart_threshold=5 * MIB)}
    if flipped:
        with pytest.raises((ClientError, S3UploadFailedError), match="BadDigest"):
            bucket.upload_fileobj(io.BytesIO(content), BUCKET, "k", **how)
        assert code_of(bucket.head_object, Bucket=BUCKET, Key="k") == "404"
    else:
        bucket.upload_fileobj(io.BytesIO(content), BUCKET, "k", **how)
        head = bucket.head_object(Bucket=BUCKET, Key="k", ChecksumMode="ENABLED")
        assert (head["ChecksumCRC32"], head["ETag"][-3:]) == (checksum, '-1"')


@pytest.mark.parametrize(("algorithm", "size"), [("CRC32C", 4), ("CRC64NVME", 8)])
def test_the_newer_checksums_are_verified_too(bucket, algorithm, size):
    wrong = {f"Checksum{algorithm}": base64.b64encode(bytes(size)).decode()}
    assert code_of(bucket.put_object, Bucket=BUCKET, Key="k", Body=b"content", **wrong) == "BadDigest"
    assert code_of(bucket.head_object, Bucket=BUCKET, Key="k") == "404"


def test_a_promised_checksum_that_does_not_come_is_missed(bucket, doors):
    headers = SIGNED | {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-trailer": "x-amz-checksum-crc32",
        "x-amz-decoded-content-length": "3",
    }
    answer = doors.client.put(f"/{BUCKET}/k", headers=headers, content=b"3\r\nabc\r\n0\r\n\r\n")
    assert answer.status_code == 400
    assert code_of(bucket.head_object, Bucket=BUCKET, Key="k") == "404"


def test_the_md5_of_a_list_of_deletes_is_verified(bucket, doors):
    bucket.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    headers = SIGNED | {"Content-MD5": base64.b64encode(hashlib.md5(b"other").digest()).decode()}
    body = b"<Delete><Object><Key>k</Key></Object></Delete>"
    answer = doors.client.post(f"/{BUCKET}?delete", headers=headers, content=body)
    assert (answer.status_code, b"BadDigest" in answer.content) == (400, True)
    assert read(bucket, "k") == b"x"


@pytest.mark.parametrize(
    ("headers", "status", "content"),
    [
        ({"Range": "bytes=" + "9" * 5_000 + "-"}, 200, b"0123456789"),
        ({"If-Modified-Since": "Mon, 01 Jan 2029 00:00:00 -0000"}, 304, b""),
        ({"If-Modified-Since": "Mon, 01 Jan 2029 00:00:00 +999999999999999"}, 200, b"0123456789"),
        ({"If-Match": '"a", "{etag}"'}, 200, b"0123456789"),
        ({"If-None-Match": '"a", "{etag}"'}, 304, b""),
        ({"If-Range": '"{etag}"', "Range": "bytes=0-1"}, 206, b"01"),
        ({"If-Range": '"another"', "Range": "bytes=0-1"}, 200, b"0123456789"),
        ({"If-Range": "Mon, 01 Jan 2001 00:00:00 GMT", "Range": "bytes=0-1"}, 200, b"0123456789"),
    ],
)
def test_headers_of_any_client_are_understood_or_left_alone(bucket, doors, headers, status, content):
    etag = bucket.put_object(Bucket=BUCKET, Key="k", Body=b"0123456789")["ETag"].strip('"')
    sent = {name: value.replace("{etag}", etag) for name, value in headers.items()}
    answer = doors.client.get(f"/{BUCKET}/k", headers=SIGNED | sent)
    assert (answer.status_code, answer.content) == (status, content)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("k?response-content-type=text/html%0d%0aX-More:1", b"InvalidArgument"),
        ("%e9", b"InvalidURI"),
        ("?prefix=%ff", b"InvalidURI"),
        ("?encoding-type=base64", b"InvalidArgument"),
    ],
)
def test_what_no_reply_could_say_is_refused(bucket, doors, path, code):
    bucket.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    answer = doors.client.get(f"/{BUCKET}/{path}", headers=SIGNED)
    assert (answer.status_code, code in answer.content) == (400, True)


def test_a_page_of_no_keys_is_the_last_one(bucket):
    bucket.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    page = bucket.list_objects_v2(Bucket=BUCKET, MaxKeys=0)
    assert (page["KeyCount"], page["IsTruncated"]) == (0, False)


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(tmp_path):
    doors = Doors(tmp_path / "home", artifact_bytes_max=MIB)
    try:
        s3 = aws.client("s3", str(doors.client.base_url))
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.REGION})
        too_large = bytes(MIB + 1)
        assert code_of(s3.put_object, Bucket=BUCKET, Key="k", Body=too_large) == "EntityTooLarge"
        s3.put_object(Bucket=BUCKET, Key="k", Body=bytes(MIB))

        def pieces():
            for _ in range(20):
                yield bytes(MIB // 10)

        answer = doors.client.put(f"/{BUCKET}/k", headers=SIGNED, content=pieces())
        assert b"EntityTooLarge" in answer.content
        assert read(s3, "k") == bytes(MIB)
    finally:
        doors.close()
