"""Nouns, decisions and errors of modelport.

Belongs here: frozen values, status tables, pure planners, the tree of errors.
Does not: anything that reads a file, a socket, the clock or a third-party package.
Read `signature.py` first: what a model takes and gives is what everything else moves around.
"""
