"""What cannot be understood is refused with its place, and nothing else ever happens."""

from __future__ import annotations

from collections import Counter

import pytest

from fakes import malformed
from fakes.signatures import FLIGHTS
from modelport.domain.errors import InvalidInput
from modelport.runtime.codecs import Codecs

CASES = malformed.malformed_requests()
CODECS = Codecs(FLIGHTS)


def test_every_content_type_is_broken_in_ten_ways_of_every_kind() -> None:
    counts = Counter((case.content_type.partition(";")[0], case.kind) for case in CASES)
    few = {
        (content_type, kind)
        for content_type in malformed.CONTENT_TYPES
        for kind in malformed.KINDS
        if counts[content_type, kind] < 10
    }
    assert few == set()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_malformed_request_is_refused_with_its_place(case: malformed.Malformed) -> None:
    with pytest.raises(InvalidInput) as caught:
        CODECS.decoder_for(case.content_type, case.encoding)(case.body)
    error = caught.value
    if case.row is not None:
        assert error.row == case.row, error.message
        assert f"row {case.row}" in error.message
    if case.feature is not None:
        assert error.feature == case.feature, error.message
        assert f'feature "{case.feature[:80]}' in error.message
    assert error.message.encode()  # can be written into any reply
    assert len(error.message) < 1000
