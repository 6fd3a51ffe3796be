"""The process that holds the listening sockets, starts every other process, and restarts what dies.

Belongs here: the home's lock, listening sockets, the process table, restarts, stopping. Standard library
only, so that it starts at once, stays small and has nothing to crash on.
Does not: knowing what a process does. `bootstrap.py` fills the table.
Read `table.py` first, then `loop.py`.
"""
