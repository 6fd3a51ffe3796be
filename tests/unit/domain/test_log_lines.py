"""Lines are the same from wherever a file is read; times never go back."""

from __future__ import annotations

from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from modelport.domain.log_lines import (
    line_starts,
    mark_of,
    next_mark,
    offset_since,
    part_ahead,
    part_behind,
)

PIECE = 8
FILES = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"d" * 7, b"e" * 30]), max_size=40).map(b"".join)


@given(FILES)
def test_all_bytes_are_in_lines_of_at_most_two_pieces(data):
    starts = line_starts(data, 0, PIECE)
    cuts = [*starts, len(data)]
    assert starts[0] == 0
    assert all(0 <= end - begin <= 2 * PIECE for begin, end in pairwise(cuts))
    lines = [data[begin:end] for begin, end in pairwise(cuts)]
    assert all(b"\n" not in line[:-1] for line in lines)


@given(FILES)
def test_lines_of_a_piece_or_less_are_whole(data):
    lines = [line + b"\n" for line in data.split(b"\n") if len(line) < PIECE]
    whole = list(accumulate(map(len, lines), initial=0))
    assert line_starts(b"".join(lines), 0, PIECE) == whole


@given(FILES, st.data())
def test_a_part_ahead_tells_how_a_line_ends_and_a_part_behind_how_it_begins(data, draw):
    every = line_starts(data, 0, PIECE)
    place = draw.draw(st.integers(0, len(data)))
    begin, end = part_ahead(place, PIECE, pieces=4)
    seen = [start for start in line_starts(data[begin:end], begin, PIECE) if start > place]
    wanted = [start for start in every if start > place]
    assert seen[:1] == wanted[:1]
    assert seen == wanted[: len(seen)]
    begin, end = part_behind(place, PIECE, pieces=4)
    seen = [start for start in line_starts(data[begin:end], begin, PIECE) if start < place]
    wanted = [start for start in every if start < place]
    assert seen[-1:] == wanted[-1:]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 100), st.integers(0, 100)), max_size=20))
def test_times_of_lines_never_go_back_and_a_moment_parts_them(looks):
    marks = [(0, 0)]
    for size, modified, now in looks:
        mark = next_mark(marks[-1], size, modified, now)
        if mark is not None:
            assert mark[0] > marks[-1][0]
            assert mark[1] >= marks[-1][1]
            assert mark[1] <= max(now, marks[-1][1])
            marks.append(mark)
    times = [marks[mark_of(marks, offset)][1] for offset in range(marks[-1][0])]
    assert times == sorted(times)
    for moment in range(101):
        since = offset_since(marks, moment)
        assert all(at < moment for at in times[:since])
        assert all(at >= moment for at in times[since:])
