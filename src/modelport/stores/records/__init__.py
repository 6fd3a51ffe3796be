"""Resources and events in a relational database: SQLite in the home, or PostgreSQL by URL.

Belongs here: tables, transactions, leases, migrations and what they promise. Does not: what a status
means, or who may write it. Only the control process opens it. Read `records.py` first, then `transaction.py`.
"""
