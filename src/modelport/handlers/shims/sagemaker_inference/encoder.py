"""Predictions to bodies."""

from modelport_handlers.codecs import encode

__all__ = ["encode"]
