"""What went wrong, in the words that AWS's SDKs look for.

Source: sagemaker-python-sdk, session.py: "Could not find" tells that a resource is not there, and
"Cannot create already existing" that it is, where the code of both is ValidationException.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from modelport.api.aws.errors import AwsError
from modelport.domain.errors import Conflict, NotFound, Refused


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


@contextmanager
def keeping(noun: str, name: str) -> Iterator[None]:
    """Tell what went wrong with a new resource that is only kept, in the words its SDK looks for.

    Source: sagemaker-python-sdk, experiment.py: a ValidationException with "already exists" is no failure.

    Args:
        noun: What it is, for example `Trial`.
        name: Its name.

    Raises:
        AwsError: The block found that the name is taken, or what it belongs to is missing.
    """
    try:
        with looking():
            yield
    except Conflict as error:
        raise AwsError("ValidationException", f"{noun} with name ({name}) already exists.") from error


@contextmanager
def looking() -> Iterator[None]:
    """Tell of what is missing, or too much, by the errors that its operations have of their own.

    Raises:
        AwsError: The block found that something is not there, or that a limit is reached.
    """
    try:
        yield
    except NotFound as error:
        raise AwsError("ResourceNotFound", f"{error.message}; {error.hint}") from error
    except Refused as error:
        raise AwsError("ResourceLimitExceeded", f"{error.message}; {error.hint}") from error
