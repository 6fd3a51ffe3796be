"""Content-addressed bytes: written once, named by their SHA-256, verified when read. Read `local.py`."""
