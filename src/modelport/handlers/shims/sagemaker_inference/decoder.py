"""Bodies to arrays."""

from modelport_handlers.codecs import decode

__all__ = ["decode"]
