"""Pages of lists that are numbered: the token of the next one is where it begins."""

from __future__ import annotations

import base64
import binascii

from modelport.api.aws.errors import AwsError


def write_token(start: int) -> str:
    """Return the token of a page.

    Args:
        start: Number of its first item.
    """
    return base64.urlsafe_b64encode(str(start).encode("ascii")).decode("ascii")


def read_token(token: str | None) -> int:
    """Return where a page begins.

    Args:
        token: From `write_token`; None: the first page.

    Raises:
        AwsError: It is none.
    """
    try:
        return 0 if token is None else int(base64.b64decode(token, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise AwsError("InvalidParameterValue", "NextToken is not one that this list gave") from None
