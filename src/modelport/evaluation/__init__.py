"""Comparing answers and distributions: pure functions on arrays, no files, no model, no clock.

Here: `parity` (is the converted model the original), `probes` (the rows that question is asked on),
`baseline` (what the training data looked like), `metrics` and `intervals` (how good predictions were),
drift, `capacity` (how much an endpoint bears). Not here: running a model (`runtime`), reading captures
(`jobs`), drawing (`reports`).
Read `parity.py` first.
"""
