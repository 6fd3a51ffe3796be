"""Where things are kept: `records/` (resources and events), `artifacts/` (bytes), `buckets/` (elsewhere).

Belongs here: storage and its guarantees. Does not: deciding what a status means.
Read `artifacts/local.py` for bytes, `records/` for documents; the two do not know each other.
"""
