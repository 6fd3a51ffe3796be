"""Media types, under the toolkit's names."""

from modelport_handlers.codecs import CSV, JSON, NPY, NPZ

__all__ = ["ANY", "CSV", "JSON", "NPY", "NPZ", "OCTET_STREAM", "UTF8_TYPES"]

ANY = "*/*"
OCTET_STREAM = "application/octet-stream"
UTF8_TYPES = [JSON, CSV]
