"""A model in memory: its session, and the way of bytes and columns into its matrix and out of its answers.

Belongs here: running a graph, codecs (request bytes to float64 rows, outputs to reply bytes), the arithmetic
of micro-batches, Arrow columns for batch jobs. Does not: sockets, routing, files of jobs, or any decision
about which model answers. Read `model.py` first; `cells.py` has the rules by which a value becomes a number.
"""
