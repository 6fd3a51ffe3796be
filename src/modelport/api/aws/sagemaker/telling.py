"""What went wrong, in the words that AWS's SDKs look for.

Source: sagemaker-python-sdk, session.py: "Could not find" tells that a resource is not there, and
"Cannot create already existing" that it is, where the code of both is ValidationException.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from modelport.api.aws.errors import AwsError
from modelport.domain.errors import Conflict, NotFound


@contextmanager
def finding(noun: str, arn: str) -> Iterator[None]:
    """Tell of a missing resource as SageMaker does.

    Args:
        noun: What it is, for example `endpoint`.
        arn: Its ARN.

    Raises:
        AwsError: The block found that it does not exist.
    """
    try:
        yield
    except NotFound as error:
        raise AwsError("ValidationException", f'Could not find {noun} "{arn}".') from error


@contextmanager
def creating(noun: str, arn: str) -> Iterator[None]:
    """Tell of a name that is taken as SageMaker does.

    Args:
        noun: What it is, for example `endpoint`.
        arn: Its ARN.

    Raises:
        AwsError: The block found that it exists.
    """
    try:
        yield
    except Conflict as error:
        raise AwsError("ValidationException", f'Cannot create already existing {noun} "{arn}".') from error
