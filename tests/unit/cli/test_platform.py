"""What is unhealthy, told from the platform's own account."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelport.cli.platform import control_url, list_problems
from modelport.sdk.client import DEFAULT_URL, URL_VARIABLE
from modelport.settings import HomeLayout

HEALTHY = {"name": "control", "state": "running", "pid": 1, "restarts": 3, "last_exit": "killed by SIGKILL"}


def test_a_restarted_platform_that_runs_has_no_problem() -> None:
    status = {
        "processes": {"pid": 1, "processes": [HEALTHY]},
        "workers": [{"index": 0, "failed": {}}],
        "not_ready": None,
        "token_problems": [],
        "unsettled": [],
    }
    assert list_problems(status) == []


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (
            {"processes": {"pid": 1, "processes": [{**HEALTHY, "state": "waiting"}]}},
            "control is waiting (killed by SIGKILL)",
        ),
        ({"not_ready": "the loop hangs"}, "control: the loop hangs"),
        ({"token_problems": ["line 3: 2 words"]}, "token file: line 3: 2 words"),
        (
            {"workers": [{"index": 1, "failed": {"ab" * 32: "too big"}}]},
            "inference-1 cannot load model abababababab…: too big",
        ),
        (
            {"unsettled": [{"kind": "Endpoint", "name": "e", "status": "Failed", "reason": "it aborts"}]},
            "Endpoint e is Failed: it aborts",
        ),
    ],
)
def test_each_problem_is_a_line(part: dict, words: str) -> None:
    assert list_problems(part) == [words]


def test_control_is_found_by_variable_then_home_then_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    layout = HomeLayout(tmp_path)
    assert control_url(layout) == DEFAULT_URL
    layout.run.mkdir()
    layout.endpoint_file.write_text(json.dumps({"control_url": "http://127.0.0.1:1"}))
    assert control_url(layout) == "http://127.0.0.1:1"
    monkeypatch.setenv(URL_VARIABLE, "http://elsewhere:2")
    assert control_url(layout) == "http://elsewhere:2"
