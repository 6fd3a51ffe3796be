"""What the benchmarks of serving share: models, contestants, one load generator, figures, the page.

Read `contestants.py` first (who is measured, and how each is started), then `rounds.py` (in which order) and
`figures.py` (what becomes of the samples). `wrk.py`, `figures.py`, `page.py` and `drawing.py` are pure but
for the one function that runs wrk; `tests/unit/bench` holds them.
"""
