"""What a process tells about itself: metric slots and logs.

Belongs here: counters in mapped files that outlive their process, their sum as Prometheus text, the set-up of
structured logs. Does not: deciding what is worth counting, or serving `/metrics`.
Read `slots.py` first.
"""
