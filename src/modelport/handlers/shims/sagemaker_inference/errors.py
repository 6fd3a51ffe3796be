"""Errors whose status is the reply's."""


class BaseInferenceToolkitError(Exception):
    """An error of a script that says its own status.

    Args:
        status_code: HTTP status.
        message: For people.
        phrase: Of the status.
    """

    def __init__(self, status_code: int, message: str, phrase: str = "") -> None:
        super().__init__(message)
        self.status_code = status_code
        self.message = message
        self.phrase = phrase


class UnsupportedFormatError(BaseInferenceToolkitError):
    """Nobody reads or writes a media type."""

    def __init__(self, content_type: str) -> None:
        super().__init__(415, f"Content type {content_type} is not supported by this framework.")


class GenericInferenceToolkitError(BaseInferenceToolkitError):
    """Any other."""
