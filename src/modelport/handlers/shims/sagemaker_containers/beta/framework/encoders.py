"""Bodies to arrays and back, under the toolkit's names."""

from typing import Any

from modelport_handlers import codecs


def encode(array_like: Any, content_type: str) -> Any:
    """Return a prediction as text or bytes."""
    return codecs.encode(array_like, content_type)


def decode(obj: Any, content_type: str) -> Any:
    """Return a body as an array."""
    return codecs.decode(obj, content_type)


def array_to_npy(array_like: Any) -> Any:
    """Return an array as npy."""
    return codecs.encode(array_like, codecs.NPY)


def npy_to_numpy(npy_array: Any) -> Any:
    """Return what npy says."""
    return codecs.decode(npy_array, codecs.NPY)


def array_to_json(array_like: Any) -> Any:
    """Return an array as JSON."""
    return codecs.encode(array_like, codecs.JSON)


def json_to_numpy(string_like: Any) -> Any:
    """Return what JSON says."""
    return codecs.decode(string_like, codecs.JSON)


def array_to_csv(array_like: Any) -> Any:
    """Return an array as CSV."""
    return codecs.encode(array_like, codecs.CSV)


def csv_to_numpy(string_like: Any) -> Any:
    """Return what CSV says."""
    return codecs.decode(string_like, codecs.CSV)
