"""The command line in this process, before a control port that answers from a script."""

from dataclasses import dataclass

import pytest

from fakes.control import ScriptedControl, listening
from modelport.cli.commands import run


@dataclass
class Ran:
    """What a command did: its exit code, and what it wrote where."""

    code: int
    out: str
    err: str


@pytest.fixture
def control(monkeypatch):
    control = ScriptedControl({})
    with listening(control) as url:
        control.script["GET /api/v1/status"] = {"inference_url": url}
        monkeypatch.setenv("MODELPORT_URL", url)
        monkeypatch.delenv("MODELPORT_TOKEN", raising=False)
        yield control


@pytest.fixture
def modelport(capsys):
    def call(*arguments):
        code = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return call
