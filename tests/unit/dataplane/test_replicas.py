"""The replica with the fewest open requests gets the next one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.dataplane.replicas import Load, choose

LOADS = st.lists(st.builds(Load, st.integers(0, 6), st.booleans(), st.booleans()), max_size=6)
LIMITS = st.integers(1, 6)


@pytest.mark.parametrize(
    ("loads", "turn", "chosen"),
    [
        ([Load(2), Load(1), Load(3)], 0, 1),
        ([Load(1), Load(1), Load(1)], 0, 0),
        ([Load(1), Load(1), Load(1)], 2, 2),
        ([Load(1), Load(1), Load(1)], 7, 1),
        ([Load(0, down=True), Load(3)], 0, 1),
        ([Load(0, down=True), Load(4)], 0, None),  # it waits for the one that works
        ([Load(2, down=True), Load(0, refused=True)], 0, 0),
        ([Load(2, down=True), Load(1, down=True)], 0, 1),
        ([Load(4), Load(4)], 1, None),
    ],
)
def test_choices(loads, turn, chosen):
    assert choose(loads, limit=4, turn=turn) == chosen


@given(LOADS, LIMITS, st.integers(0, 20))
def test_a_choice_has_room_and_no_better_one_beside_it(loads, limit, turn):
    left = [load for load in loads if not load.refused]
    if not left:
        with pytest.raises(LookupError):
            choose(loads, limit=limit, turn=turn)
        return
    up = [load for load in left if not load.down]
    chosen = choose(loads, limit=limit, turn=turn)
    if chosen is None:
        assert all(load.open >= limit for load in up or left)
    else:
        found = loads[chosen]
        assert found in (up or left)
        assert found.open == min(load.open for load in up or left) < limit


@given(st.integers(1, 6), st.integers(0, 5))
def test_equal_ones_take_turns(count, start):
    turn, seen = start, []
    for _ in range(count):
        chosen = choose([Load(1)] * count, limit=2, turn=turn)
        seen.append(chosen)
        turn = chosen + 1
    assert sorted(seen) == list(range(count))
