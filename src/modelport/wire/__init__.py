"""How domain values become bytes between processes, and back.

Belongs here: resource documents in SageMaker's spelling, the worker feed, capture and label records.
Does not: deciding anything about the values, or reading and writing the places they are kept.
Read `documents.py` first.
"""
