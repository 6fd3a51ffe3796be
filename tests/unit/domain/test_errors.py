"""Error codes are stable and name one class each."""

import pytest

from modelport.domain import errors


def every_class(kind=errors.ModelportError):
    yield kind
    for child in kind.__subclasses__():
        yield from every_class(child)


def test_codes_are_unique_and_lead_back_to_their_class():
    kinds = list(every_class())
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(errors.by_code(kind.code) is kind for kind in kinds)


def test_an_unknown_code_is_still_an_error_of_ours():
    assert errors.by_code("from-the-future") is errors.ModelportError


@pytest.mark.parametrize("kind", [kind for kind in every_class() if kind is not errors.ModelportError])
def test_each_error_says_what_happened_in_its_docstring(kind):
    assert kind.__doc__
