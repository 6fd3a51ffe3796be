"""The command line of the platform's own processes."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from modelport.bootstrap import program
from modelport.bootstrap.__main__ import EXIT_CODES
from modelport.cli.exits import CODES


def test_exit_codes_are_those_of_the_command_line() -> None:
    assert {kind: CODES[kind] for kind in EXIT_CODES} == EXIT_CODES


@pytest.mark.parametrize("kind", ["supervisor", "control", "inference", "job", "canary", "kernel"])
def test_each_kind_of_process_can_run(kind: str) -> None:
    assert callable(importlib.import_module(f"modelport.bootstrap.{kind}").run)
    assert subprocess.run([*program(kind), "--help"], check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("kind", "foreign"),
    [
        ("supervisor", ["numpy", "onnxruntime", "sqlalchemy", "fastapi", "httpx", "pyarrow"]),
        ("inference", ["sqlalchemy", "fastapi", "httpx", "pyarrow", "pandas", "sklearn"]),
        ("control", ["onnxruntime", "sklearn", "pandas"]),
        ("job", ["sqlalchemy", "fastapi", "onnxruntime", "httpx"]),
    ],
)
def test_a_process_imports_only_what_it_is_made_of(kind: str, foreign: list[str]) -> None:
    text = (
        f"import sys, modelport.bootstrap.{kind}\n"
        f"print([name for name in {foreign!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", text], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
