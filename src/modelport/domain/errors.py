"""The errors a user can meet, as one tree.

    ModelportError
    ├── InvalidInput          what was sent cannot be understood (position in `row`, `feature`)
    │   ├── PayloadTooLarge   it is bigger than a limit allows
    │   ├── UnsupportedMediaType  nothing reads its Content-Type
    │   └── NotAcceptable     nothing writes what its Accept asks for
    ├── NotFound              no such resource
    ├── Conflict              the resource is in a state that does not allow this
    ├── CheckFailed           a proof, gate or verification did not hold
    │   └── ConversionFailed  a step of the model cannot be converted
    ├── Refused               a policy or the signature forbids it
    │   ├── Unauthenticated   no valid token
    │   └── Forbidden         the token lacks the scope
    ├── Unavailable           try again later (`retry_after_s`)
    ├── Unreachable           no server answered
    ├── TimedOut              a wait ended before its goal
    ├── ModelFailed           a model did not answer a request it had accepted
    └── Corrupted             stored bytes are not the bytes that were stored

A message says what was found and what was expected; `hint` is the next thing to try.
Which HTTP status or exit code an error becomes is decided by each door, in one table, not here.
"""

from __future__ import annotations

from typing import ClassVar


class ModelportError(Exception):
    """Something modelport can explain.

    Args:
        message: What was found and what was expected, one or two sentences.
        hint: The next step for the reader, or None when there is none.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidInput(ModelportError):
    """What was sent cannot be understood.

    Args:
        message: What was found and what was expected.
        hint: The next step.
        row: Zero-based row of the request, or None when it concerns the whole.
        feature: Name of the feature, or None.
    """

    code: ClassVar[str] = "invalid_input"

    def __init__(
        self, message: str, *, hint: str | None = None, row: int | None = None, feature: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.row = row
        self.feature = feature


class PayloadTooLarge(InvalidInput):
    """The request is larger than a limit allows."""

    code: ClassVar[str] = "payload_too_large"


class UnsupportedMediaType(InvalidInput):
    """Nothing reads the request's Content-Type; the hint lists what is read."""

    code: ClassVar[str] = "unsupported_media_type"


class NotAcceptable(InvalidInput):
    """Nothing writes what the request's Accept asks for; the hint lists what is written."""

    code: ClassVar[str] = "not_acceptable"


class NotFound(ModelportError):
    """No such resource."""

    code: ClassVar[str] = "not_found"


class Conflict(ModelportError):
    """The resource is in a state that does not allow this, or the name is taken."""

    code: ClassVar[str] = "conflict"


class CheckFailed(ModelportError):
    """A proof, a gate or a verification did not hold."""

    code: ClassVar[str] = "check_failed"


class ConversionFailed(CheckFailed):
    """A step of the model cannot be converted; the message names the step."""

    code: ClassVar[str] = "conversion_failed"


class Refused(ModelportError):
    """A policy or the signature forbids it."""

    code: ClassVar[str] = "refused"


class Unauthenticated(Refused):
    """No valid token was given."""

    code: ClassVar[str] = "unauthenticated"


class Forbidden(Refused):
    """The principal lacks the scope."""

    code: ClassVar[str] = "forbidden"


class Unavailable(ModelportError):
    """Nothing is wrong with the request; try again later.

    Args:
        message: What is busy or not yet there.
        hint: The next step.
        retry_after_s: Seconds to wait before the next try, at least 0.
    """

    code: ClassVar[str] = "unavailable"

    def __init__(self, message: str, *, hint: str | None = None, retry_after_s: float = 1.0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class NotReady(Unavailable):
    """The model is on its way, and takes longer than this request could wait."""

    code: ClassVar[str] = "not_ready"


class Throttled(Unavailable):
    """More requests are open than this endpoint is allowed to have."""

    code: ClassVar[str] = "throttled"


class Unreachable(ModelportError):
    """No server answered."""

    code: ClassVar[str] = "unreachable"


class TimedOut(ModelportError):
    """A wait ended before its goal was reached."""

    code: ClassVar[str] = "timed_out"


class ModelFailed(ModelportError):
    """A model did not answer a request it had accepted; the request itself was understood."""

    code: ClassVar[str] = "model_failed"


class Corrupted(ModelportError):
    """Stored bytes are not the bytes that were stored."""

    code: ClassVar[str] = "corrupted"


def by_code(code: str) -> type[ModelportError]:
    """Return the class whose `code` this is; `ModelportError` for an unknown one."""
    pending: list[type[ModelportError]] = [ModelportError]
    while pending:
        kind = pending.pop()
        if kind.code == code:
            return kind
        pending.extend(kind.__subclasses__())
    return ModelportError
