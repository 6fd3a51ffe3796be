"""Packages that public handler scripts import: as much of each as such scripts use.

They come last on the path of a replica: where the real ones are installed, those are used.
"""
