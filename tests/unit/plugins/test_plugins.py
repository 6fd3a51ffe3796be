"""Plugs are found by name, imported when used, and say what to install."""

import subprocess
import sys

import pytest

from modelport.domain.errors import NotFound, Refused
from modelport.plugins import Plug, Plugs

PLUGS = Plugs(
    "spoon",
    {
        "there": Plug("modelport.domain.names:check_name"),
        "absent": Plug("no_such_framework.spoon:Spoon", "sklearn"),
        "broken": Plug("modelport.no_such_room:Spoon", "sklearn"),
    },
)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(NotFound, match="no spoon is called 'soup', expected one of there, absent, broken"):
        PLUGS.load("soup")


def test_a_framework_that_is_not_installed_names_its_extra():
    with pytest.raises(Refused, match="no_such_framework") as caught:
        PLUGS.load("absent")
    assert caught.value.hint == "pip install 'modelport[sklearn]'"


def test_our_own_missing_module_is_our_own_fault():
    with pytest.raises(ModuleNotFoundError):
        PLUGS.load("broken")


def test_a_name_gives_what_its_line_points_at():
    assert PLUGS.load("there")("flights", what="a model") == "flights"


def test_a_table_is_a_mapping():
    assert len(PLUGS) == 3
    assert PLUGS["absent"].extra == "sklearn"


def test_importing_formats_loads_no_framework():
    code = (
        "import sys, modelport.formats; "
        "heavy = ('sklearn', 'pandas', 'onnx', 'onnxruntime', 'skl2onnx'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
