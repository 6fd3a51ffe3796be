"""Our own REST: resources in snake_case under `/api/v1`, errors as RFC 9457 problem details.

Belongs here: one file of routes per noun. Does not: anything that another door would need too.
Read `registry.py` first; `bodies.py` and `problems.py` are what every route uses.
"""
