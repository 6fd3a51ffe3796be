"""Versions are switched under load: nobody is refused, nobody gets another version's answer."""

from __future__ import annotations

import pytest

from fakes.harm import rounds, serve_truthfully, switch_repeatedly
from fakes.platform import Platform

pytestmark = pytest.mark.processes


def test_no_request_fails_or_goes_astray_while_versions_are_switched(platform: Platform) -> None:
    references = serve_truthfully(platform, versions=4)
    report = switch_repeatedly(platform, references, rounds(15))
    assert report.failed == {}
    assert report.misrouted == []
    assert set(report.versions) == {1, 2, 3, 4}
