"""Requests that take a worker down, or never end: found out, and everybody else is served."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from fakes.bundles import looping_bundle, swelling_bundle
from fakes.harm import ENDPOINT, PAUSE_S, serve_truthfully
from fakes.platform import Platform, wait_for
from fakes.truthful import TruthfulLoad

pytestmark = pytest.mark.processes
FOREVER = 1e17  # turns


def test_a_request_that_twice_took_its_worker_with_it_is_not_run_again(tmp_path: Path) -> None:
    environment = {"MODELPORT_HANG_TIMEOUT_S": "0.4"}
    with Platform(tmp_path / "home", workers=1, environment=environment) as platform:
        platform.deploy(platform.register("looping", looping_bundle(0)), "looping")
        for restarts in (1, 2):
            with pytest.raises(httpx.TransportError):
                platform.invoke("looping", [[FOREVER, 2.0]])
            wait_for(lambda n=restarts: platform.table()["inference-0"]["restarts"] == n, what="a restart")
            wait_for(lambda: platform.invoke("looping", [[1.0, 2.0]]).status_code == 200, what="an answer")
        answer = platform.invoke("looping", [[FOREVER, 2.0]])
        assert answer.status_code == 424
        assert "2 times; it is not run again" in answer.json()["Message"]
        assert platform.invoke("looping", [[3.0, 2.0]]).json()["predictions"] == [5.0]
        assert platform.table()["inference-0"]["restarts"] == 2
        quarantined = platform.ask("GET", "/status")["quarantined"]
        assert [(each["endpoints"], each["crashes"]) for each in quarantined] == [(["looping"], 2)]


def test_a_call_that_asks_for_too_much_memory_fails_alone(tmp_path: Path) -> None:
    with Platform(
        tmp_path / "home", environment={"MODELPORT_WORKER_MEMORY_BYTES_MAX": str(1 << 30)}
    ) as platform:
        platform.deploy(platform.register("swelling", swelling_bundle()), "swelling")
        for _ in range(3):
            answer = platform.invoke("swelling", [[1e9, 2.0]])
            assert answer.status_code == 424, answer.text
            assert "the model failed" in answer.json()["Message"]
            assert platform.invoke("swelling", [[10.0, 2.0]]).json()["predictions"] == [12.0]
        assert {line["restarts"] for line in platform.table().values()} == {0}


def test_a_call_beyond_its_deadline_is_stopped_and_nothing_else_is(tmp_path: Path) -> None:
    environment = {"MODELPORT_REQUEST_TIMEOUT_S": "0.5"}
    with Platform(tmp_path / "home", environment=environment) as platform:
        serve_truthfully(platform)
        platform.deploy(platform.register("looping", looping_bundle(20_000)), "looping")
        with TruthfulLoad(platform.inference_url, ENDPOINT, connections=4, pause_s=PAUSE_S) as load:
            for _ in range(3):
                assert platform.invoke("looping", [[FOREVER, 2.0]]).status_code == 504
                assert platform.invoke("looping", [[1.0, 2.0]]).json()["predictions"] == [3.0]
        assert (load.report.failed, load.report.misrouted) == ({}, [])
        assert {line["restarts"] for line in platform.table().values()} == {0}
