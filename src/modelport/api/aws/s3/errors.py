"""S3's errors: our own, in its codes, as XML."""

from __future__ import annotations

from modelport.access.signatures import BadSignature, Expired, Skewed, UnknownKey
from modelport.api.aws.documents import element, render
from modelport.api.aws.errors import AwsError, spell
from modelport.domain import errors, objects
from modelport.domain.errors import ModelportError

CODES: dict[type[ModelportError], tuple[str, int]] = {
    objects.NoSuchBucket: ("NoSuchBucket", 404),
    objects.NoSuchKey: ("NoSuchKey", 404),
    objects.NoSuchUpload: ("NoSuchUpload", 404),
    objects.InvalidPart: ("InvalidPart", 400),
    objects.InvalidPartOrder: ("InvalidPartOrder", 400),
    objects.PartTooSmall: ("EntityTooSmall", 400),
    objects.InvalidBucketName: ("InvalidBucketName", 400),
    objects.KeyTooLong: ("KeyTooLongError", 400),
    objects.BadDigest: ("BadDigest", 400),
    objects.BucketExists: ("BucketAlreadyOwnedByYou", 409),
    objects.BucketNotEmpty: ("BucketNotEmpty", 409),
    errors.PayloadTooLarge: ("EntityTooLarge", 400),
    errors.InvalidInput: ("InvalidArgument", 400),
    errors.NotFound: ("NoSuchKey", 404),
    errors.Unauthenticated: ("InvalidAccessKeyId", 403),
    BadSignature: ("SignatureDoesNotMatch", 403),
    Skewed: ("RequestTimeTooSkewed", 403),
    Expired: ("AccessDenied", 403),
    UnknownKey: ("InvalidAccessKeyId", 403),
    errors.Refused: ("AccessDenied", 403),
    errors.Unavailable: ("SlowDown", 503),
    errors.ModelportError: ("InternalError", 500),
}
"""The one table of this door."""


class S3Error(AwsError):
    """What an S3 client is told."""

    def body(self, resource: str, request_id: str) -> bytes:
        """Return the XML of the error."""
        return render(
            element(
                "Error",
                {
                    "Code": self.code,
                    "Message": self.message,
                    "Resource": resource,
                    "RequestId": request_id,
                },
            )
        )


def s3_error(error: ModelportError) -> S3Error:
    """Return one of our errors as an S3 client knows it."""
    return S3Error(*spell(error, CODES))
