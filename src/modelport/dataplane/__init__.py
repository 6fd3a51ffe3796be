"""The prediction server: one process, one event loop, one copy of each model.

Belongs here: HTTP on the inference port, the choice of a variant, micro-batches, capture, and the worker's
side of the feed. Does not: bytes to tensors (`runtime`), or deciding what should serve (`control`).
Read `invoke.py` first: a request's way from its body to its answer. A protocol is one file in `protocols/`.
"""
