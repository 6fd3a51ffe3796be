"""Exit codes: what a script may rely on, and how an error is told to a person."""

from __future__ import annotations

import os
import sys

from modelport.domain import errors
from modelport.domain.errors import InvalidInput, ModelportError

OK = 0
FAILED = 1
USAGE = 2
CHECK = 3
REFUSED = 4
NOT_FOUND = 5
CONFLICT = 6
UNREACHABLE = 7
TIMEOUT = 124
INTERRUPTED = 130

MEANINGS: dict[int, str] = {
    OK: "It worked.",
    FAILED: "It failed; the message says why.",
    USAGE: "The command line is wrong, or a value in it.",
    CHECK: "A check did not pass: a proof, a verification, a gate.",
    REFUSED: "A policy or the model's signature refused it.",
    NOT_FOUND: "There is no such thing.",
    CONFLICT: "The state of things does not allow it, or the name is taken.",
    UNREACHABLE: "No server answered.",
    TIMEOUT: "A wait ended before its goal; what was asked for goes on.",
    INTERRUPTED: "Ctrl-C.",
}
"""Every exit code and what it means; the reference page is compared with this."""

CODES: dict[type[ModelportError], int] = {
    errors.ModelportError: FAILED,
    errors.InvalidInput: USAGE,
    errors.PayloadTooLarge: REFUSED,
    errors.NotFound: NOT_FOUND,
    errors.Conflict: CONFLICT,
    errors.CheckFailed: CHECK,
    errors.ConversionFailed: CHECK,
    errors.Refused: REFUSED,
    errors.Unauthenticated: REFUSED,
    errors.Forbidden: REFUSED,
    errors.Unavailable: FAILED,
    errors.Unreachable: UNREACHABLE,
    errors.TimedOut: TIMEOUT,
    errors.Corrupted: FAILED,
}
"""The one table of this door."""


def exit_code(error: ModelportError) -> int:
    """Return the exit code of an error.

    A row that does not fit the model's signature is refused (4), while a wrong option is usage (2).
    """
    if isinstance(error, InvalidInput) and (error.row is not None or error.feature is not None):
        return REFUSED
    return code_of(type(error))


def code_of(kind: type[ModelportError]) -> int:
    """Return the exit code of a class of errors: its own, or that of the nearest one above it."""
    return next(CODES[above] for above in kind.__mro__ if above in CODES)


def report(error: ModelportError) -> None:
    """Tell a person what happened and what to do next, on stderr."""
    red, plain = ("\x1b[31m", "\x1b[0m") if is_colorful(sys.stderr) else ("", "")
    hint = f"hint: {error.hint}\n" if error.hint else ""
    sys.stderr.write(f"{red}error:{plain} {error.message}\n{hint}")


def is_colorful(stream: object) -> bool:
    """Return whether colours may be written to a stream. Source: no-color.org."""
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
