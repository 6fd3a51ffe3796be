"""Media types, under the toolkit's names."""

from modelport_handlers.codecs import CSV, JSON, NPY, NPZ

__all__ = ["CSV", "JSON", "NPY", "NPZ", "UTF8_TYPES"]

UTF8_TYPES = [JSON, CSV]
