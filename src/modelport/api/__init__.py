"""The doors of the control process: thin translations of HTTP into calls of `control.services`.

Belongs here: routes, the scopes they ask for, bodies in and out, which status an error becomes.
Does not: a rule of the business, or a database. Read `app.py` first, then `rest/`.
"""
