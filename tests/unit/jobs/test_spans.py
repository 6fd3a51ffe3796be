"""Spans of time hold every moment once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from modelport.jobs.spans import SPANS_MAX, split

YEAR_2100_S = 4_102_444_800.0


@given(st.lists(st.floats(0, YEAR_2100_S), max_size=50).map(sorted))
def test_spans_hold_every_moment_once(moments: list[float]) -> None:
    spans = split(np.array(moments))
    assert [place for _, _, places in spans for place in places.tolist()] == list(range(len(moments)))
    for start, end, places in spans:
        assert all(start.timestamp() <= moments[place] < end.timestamp() for place in places.tolist())
    if moments and moments[-1] - moments[0] < 8064 * 3600:
        assert len(spans) <= SPANS_MAX + 1
