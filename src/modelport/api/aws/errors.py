"""AWS's errors: a code, a message and an HTTP status.

Source: SageMaker API reference, Common Errors; botocore repeats 5xx and 429, so only true faults are 5xx.
"""

from __future__ import annotations

from collections.abc import Mapping

from modelport.access.signatures import BadSignature, UnknownKey
from modelport.domain import errors
from modelport.domain.errors import ModelportError

VALIDATION = "ValidationException"

CODES: dict[type[ModelportError], tuple[str, int]] = {
    errors.PayloadTooLarge: ("RequestEntityTooLargeException", 413),
    errors.InvalidInput: (VALIDATION, 400),
    errors.NotFound: (VALIDATION, 400),
    errors.Conflict: (VALIDATION, 400),
    errors.CheckFailed: (VALIDATION, 400),
    errors.Refused: (VALIDATION, 400),
    errors.Unauthenticated: ("UnrecognizedClientException", 400),
    UnknownKey: ("UnrecognizedClientException", 400),
    BadSignature: ("InvalidSignatureException", 400),
    errors.Forbidden: ("AccessDeniedException", 400),
    errors.Unavailable: ("ThrottlingException", 400),
    errors.ModelportError: ("InternalFailure", 500),
}
"""The one table of this door. "Does not exist" and "exists already" are ValidationExceptions in SageMaker."""


class AwsError(Exception):
    """What an AWS client is told.

    Args:
        code: AWS's name for it.
        message: For people.
        status: HTTP status.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def spell(
    error: ModelportError, codes: Mapping[type[ModelportError], tuple[str, int]]
) -> tuple[str, str, int]:
    """Return code, message and status of one of our errors.

    Args:
        error: What happened.
        codes: A door's table; the nearest class above counts.
    """
    code, status = next(codes[above] for above in type(error).__mro__ if above in codes)
    return code, f"{error.message}; {error.hint}" if error.hint else error.message, status


def aws_error(error: ModelportError) -> AwsError:
    """Return one of our errors as an AWS client knows it."""
    return AwsError(*spell(error, CODES))
