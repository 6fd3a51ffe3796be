"""Filter patterns mean what they mean in CloudWatch."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.domain.errors import InvalidInput
from modelport.domain.log_filter import read_filter

LINES = ("ERROR of model a", "error of model b", "WARN ERROR [x]", "all is well")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("", LINES),
        ("  ", LINES),
        ("ERROR", (LINES[0], LINES[2])),
        ("ERROR model", (LINES[0],)),
        ('"of model"', LINES[:2]),
        ('"of model" -ERROR', (LINES[1],)),
        ('-"of model"', LINES[2:]),
        ("?WARN ?well", LINES[2:]),
        ("?WARN ?well ERROR", (LINES[0], LINES[2])),
        ('"ERROR [x]"', (LINES[2],)),
        (r'"say \"hello\""', ()),
    ],
)
def test_terms(pattern, found):
    wanted = read_filter(pattern)
    assert tuple(line for line in LINES if wanted.matches(line)) == found


def test_a_quote_inside_of_a_phrase():
    assert read_filter(r'"a \"b\""').matches('x a "b" y')


@pytest.mark.parametrize(
    "pattern", ['{ $.a = "b" }', "[ip, user]", "ERROR {", '"open', 'a"b', '"a"b', "%a.b%"]
)
def test_what_is_not_offered_or_damaged_is_refused(pattern):
    with pytest.raises(InvalidInput):
        read_filter(pattern)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(pattern):
    with contextlib.suppress(InvalidInput):
        read_filter(pattern).matches("text")
