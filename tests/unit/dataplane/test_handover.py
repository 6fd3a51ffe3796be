"""Giving connections away makes it even, and never worse."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from modelport.dataplane.handover import surplus

COUNTS = st.lists(st.integers(0, 10_000), min_size=1, max_size=16)


@given(COUNTS)
def test_after_one_round_everybody_holds_about_the_same(counts):
    def others(index):
        return counts[:index] + counts[index + 1 :]

    given_away = [surplus(mine, others(index)) for index, mine in enumerate(counts)]
    kept = [mine - gone for mine, gone in zip(counts, given_away, strict=True)]
    mean = sum(counts) / len(counts)
    assert max(kept) <= 1.1 * mean + 1
    assert all(left >= mean for left, gone in zip(kept, given_away, strict=True) if gone)


def test_two_callers_never_stay_on_one_of_two_workers():
    assert surplus(2, [0]) == 1
    assert surplus(16, [0]) == 8
    assert surplus(39, [25]) == 7


def test_nothing_moves_where_nothing_is_gained():
    assert surplus(1, [0]) == 0
    assert surplus(33, [31]) == 0
    assert surplus(5, []) == 0
