"""The host of custom code: runs a model's own Python, or its `serve` program, and answers for it.

Belongs here: what runs inside the user's own environment and sandbox: SageMaker's handler functions and their
default codecs, a small HTTP server on an inherited socket, the proxy in front of a `serve` program. Standard
library only, imports of siblings relative and nothing of other rooms: it is run by its path, by an
interpreter that may be older than ours (3.9 or later) and knows no modelport. What a framework's defaults
need of numpy, xgboost or torch is imported from that environment when it is first needed.
Does not: start or watch processes, or decide which code runs where.
Read `host.py` first.
"""
