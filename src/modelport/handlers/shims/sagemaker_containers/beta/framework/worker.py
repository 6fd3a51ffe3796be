"""The toolkit's reply, as `output_fn` may return it."""

from typing import Any


class Response:
    """A body and what it is.

    Args:
        response: The body.
        status: HTTP status; only 200 means anything here.
        mimetype: Its media type.
    """

    def __init__(self, response: Any = None, status: int = 200, mimetype: str = "application/json") -> None:
        self.response = response
        self.status = status
        self.mimetype = mimetype
