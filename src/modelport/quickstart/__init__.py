"""The whole story on real data, written as a user would write it.

Belongs here: the flights data and the story `modelport quickstart` tells through the public Python API.
Does not: anything the product needs; delete this room and everything still works.
Read `story.py` first.
"""
