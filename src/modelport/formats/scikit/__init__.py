"""Fitted scikit-learn objects into graphs.

Belongs here: one file per family of steps, each a function named in `steps.py`. Does not: the arithmetic of
blocks, tables and trees (`formats/body.py`, `formats/ensemble.py`), which other frameworks share.
Read `walk.py` first; to add a step, write `convert_…(walk, step, block, where)` and its line in `steps.py`.
"""
