"""Bodies to DMatrix."""

from typing import Any

from modelport_handlers.families import XGBoost


def decode(obj: Any, content_type: str) -> Any:
    """Return a body as a DMatrix."""
    return XGBoost().input_fn(obj, content_type)


def csv_to_dmatrix(string_like: Any, dtype: Any = None) -> Any:
    """Return CSV as a DMatrix."""
    del dtype
    return decode(string_like, "text/csv")


def libsvm_to_dmatrix(string_like: Any) -> Any:
    """Return libsvm as a DMatrix."""
    return decode(string_like, "text/libsvm")
