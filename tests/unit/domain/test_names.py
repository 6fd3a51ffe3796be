"""Names follow SageMaker's pattern, and references say which version is meant."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.domain.errors import InvalidInput
from modelport.domain.names import NAME_LENGTH_MAX, VersionReference, check_name, parse_version


@given(st.text(max_size=80))
def test_a_name_is_accepted_exactly_when_sagemaker_accepts_it(text):
    sagemaker = re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*", text, re.ASCII) and len(text) <= NAME_LENGTH_MAX
    if sagemaker:
        assert check_name(text, what="endpoint") == text
    else:
        with pytest.raises(InvalidInput):
            check_name(text, what="endpoint")


@given(st.text(min_size=1, max_size=80))
def test_a_suggested_name_is_itself_allowed(text):
    try:
        check_name(text, what="endpoint")
    except InvalidInput as error:
        if "try" in error.hint:
            suggestion = error.hint.removeprefix("try '").removesuffix("'")
            assert check_name(suggestion, what="endpoint") == suggestion


def test_an_underscore_is_refused_with_the_name_that_works():
    with pytest.raises(InvalidInput, match="my_model") as caught:
        check_name("my_model", what="model")
    assert caught.value.hint == "try 'my-model'"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flights:3", VersionReference("flights", version=3)),
        ("flights@champion", VersionReference("flights", alias="champion")),
        ("flights", VersionReference("flights")),
    ],
)
def test_references_are_read_and_written_alike(text, expected):
    assert parse_version(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    "text", ["flights:0", "flights:-1", "flights:x", "flights:", "flights@", ":3", "a:1:2", "a/b:1"]
)
def test_malformed_references_are_refused(text):
    with pytest.raises(InvalidInput):
        parse_version(text)
