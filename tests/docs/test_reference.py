"""The reference pages say what the code says: commands, settings, errors, exit codes, routes."""

import importlib.util
import re
from pathlib import Path

import click
import pytest

from modelport.api.rest.problems import STATUSES
from modelport.cli.commands import MODULES, load, root
from modelport.cli.exits import CODES, MEANINGS
from modelport.domain.errors import ModelportError

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("cli.md", "settings.md", "errors.md", "exit-codes.md", "rest.md", "aws.md")


@pytest.fixture(scope="module")
def written():
    spec = importlib.util.spec_from_file_location("generate_reference", DOCS / "generate_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.pages()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_what_the_code_says(written, page):
    found = (DOCS / "reference" / page).read_text("utf-8")
    assert found == written[page], "run: python docs/generate_reference.py"


def test_every_command_is_documented_with_an_example(written):
    headings = set(re.findall(r"^## modelport (\S+)$", written["cli.md"], re.MULTILINE))
    declared = {name for names in MODULES.values() for name in names}
    assert headings == declared
    assert set(root.list_commands(click.Context(root))) == declared
    assert {load(name).name for name in declared} == declared
    assert len(re.findall(r"^\$ modelport \S", written["cli.md"], re.MULTILINE)) == len(declared)


def test_every_option_says_what_it_does(written):
    silent = [line for line in written["cli.md"].splitlines() if re.match(r"^\| `.*\|\s+\|$", line)]
    assert silent == []


def all_errors(kind=ModelportError):
    yield kind
    for below in kind.__subclasses__():
        yield from all_errors(below)


def test_every_error_is_documented_and_has_a_code_of_its_own(written):
    codes = [kind.code for kind in all_errors()]
    assert len(set(codes)) == len(codes)
    for code in codes:
        assert f"| `{code}` |" in written["errors.md"]


def test_the_doors_know_the_errors():
    assert set(STATUSES) <= set(all_errors())
    assert set(CODES) <= set(all_errors())
    assert set(CODES.values()) <= set(MEANINGS)
