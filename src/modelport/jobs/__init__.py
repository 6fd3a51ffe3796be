"""Bodies of finite work, each run in a process of its own: score files, watch an endpoint.

Belongs here: what a job does between reading its work and returning its result. Does not: starting or
adopting processes (`engines`), deciding what a job's status means (`control`), statistics (`evaluation`),
drawing (`reports`). A body never speaks to control: progress and result are files of the job's folder.
Read `transform.py` and `monitor.py` first; `shards.py` has what makes a batch job resumable.
"""
