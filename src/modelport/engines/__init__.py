"""Where jobs and first loads run: on this machine as processes of their own.

Belongs here: starting, finding again and stopping a process somewhere; limits on it.
Does not: what a job does (`jobs/`), or when one should run (`control/`).
Read `local.py` first.
"""
