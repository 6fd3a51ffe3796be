"""Who asks, and what they may: hosts, principals, scopes, tokens.

Belongs here: pure checks on what a request says of itself, and the token file.
Does not: HTTP frameworks, statuses, or what a route does once the caller is known.
Read `principals.py` first; `hosts.py` is what both ports ask before anything else.
"""
