"""Models that harm whoever loads them: their deploy fails with the reason, and nobody else notices."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fakes.bundles import crashing_bundle, hanging_bundle, hungry_bundle
from fakes.harm import ENDPOINT, PAUSE_S, serve_truthfully
from fakes.platform import Platform
from fakes.truthful import TruthfulLoad

pytestmark = pytest.mark.processes
CANARY_TIMEOUT_S = 2.0
TOLD_WITHIN_S = 15.0  # three times the promise, for a busy machine


@pytest.fixture
def platform(tmp_path: Path):
    environment = {"MODELPORT_CANARY_TIMEOUT_S": str(CANARY_TIMEOUT_S)}
    with Platform(tmp_path / "home", environment=environment) as running:
        yield running


def test_their_deploys_fail_in_time_with_a_reason_and_others_serve_on(platform: Platform) -> None:
    serve_truthfully(platform)
    cases = {
        "crashing": (crashing_bundle(), "segmentation fault"),
        "hanging": (hanging_bundle(), f"within {CANARY_TIMEOUT_S:g} s"),
        "hungry": (hungry_bundle(), "alloc"),
    }
    with TruthfulLoad(platform.inference_url, ENDPOINT, pause_s=PAUSE_S) as load:
        for name, (files, words) in cases.items():
            reference = platform.register(name, files)
            started = time.monotonic()
            found = platform.deploy(reference, name)
            assert found["status"]["endpoint_status"] == "Failed", name
            assert words in found["status"]["failure_reason"]
            assert time.monotonic() - started < TOLD_WITHIN_S
    assert (load.report.failed, load.report.misrouted) == ({}, [])

    assert platform.down() == 0
    platform.up()
    with TruthfulLoad(platform.inference_url, ENDPOINT, pause_s=PAUSE_S) as load:
        for name in cases:
            assert platform.settled(name)["status"]["endpoint_status"] == "Failed"
            assert platform.invoke(name, [[1.0, 2.0]]).status_code == 400
    assert (load.report.failed, load.report.misrouted) == ({}, [])
    assert {line["restarts"] for line in platform.table().values()} == {0}


def test_a_harmful_update_leaves_the_endpoint_serving_its_version(platform: Platform) -> None:
    serve_truthfully(platform)
    reference = platform.register("crashing", crashing_bundle())
    with TruthfulLoad(platform.inference_url, ENDPOINT, pause_s=PAUSE_S) as load:
        found = platform.deploy(reference, ENDPOINT)
    assert "segmentation fault" in found["status"]["failure_reason"]
    assert (load.report.failed, load.report.misrouted) == ({}, [])
    assert set(load.report.versions) == {1}
    assert platform.invoke(ENDPOINT, [[1.0, 2.0]]).json()["predictions"] == [1003.0]
