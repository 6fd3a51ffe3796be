"""Every decision of the control plane, as pure functions of what is wished and what is observed.

Belongs here: what to do next, and what an asked-for change means for a config. Does not: doing it.
Read `endpoint.py` first.
"""
