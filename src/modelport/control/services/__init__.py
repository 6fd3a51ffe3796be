"""Accepting wishes: each method validates, writes resource and event in one transaction, and returns.

Belongs here: who may ask for what in which state. Does not: making it true (`control/loop.py`).
Every method takes the `principal` it acts for and raises only `domain.errors`. Read `endpoints.py` first.
"""
