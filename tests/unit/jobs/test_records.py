"""Cutting text at record ends, checked against Python's own CSV reader."""

from __future__ import annotations

import csv
import io

from hypothesis import example, given
from hypothesis import strategies as st

from modelport.jobs.records import last_end

CELL = st.text(alphabet='ab,"\n\r', max_size=5)
STRAY = st.text(alphabet='ab"', min_size=1, max_size=4).filter(lambda cell: not cell.startswith('"'))


def quote(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(mark in cell for mark in ',"\n\r') else cell


@given(st.lists(st.lists(st.one_of(CELL.map(quote), STRAY), min_size=2, max_size=3), max_size=6), st.data())
@example([['a"b', '"x\ny"']], None)
def test_whole_records_are_told_from_a_torn_one(rows: list[list[str]], data: st.DataObject | None) -> None:
    lines = [",".join(row) + "\n" for row in rows]
    text = "".join(lines).encode()
    ends, end = [0], 0
    for line in lines:
        end += len(line.encode())
        ends.append(end)
    cut = len(text) if data is None else data.draw(st.integers(0, len(text)))
    assert last_end(text[:cut], quoted=True) == max(place for place in ends if place <= cut)


def test_the_reader_agrees_with_python() -> None:
    text = 'a,"x\n""y"""\nb,5" pipe\nc,"torn\n'
    whole = text[: last_end(text.encode(), quoted=True)]
    assert list(csv.reader(io.StringIO(whole))) == [["a", 'x\n"y"'], ["b", '5" pipe']]


def test_json_lines_know_no_quotes() -> None:
    assert last_end(b'{"a": "x\n', quoted=False) == 9
    assert last_end(b"no newline", quoted=False) == 0
