"""Settings come from flag, environment, file and default, in that order."""

from pathlib import Path

import pytest

from modelport.domain.errors import InvalidInput
from modelport.settings import read_settings


def test_the_order_of_sources(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        "[tool.modelport]\nport = 1\nworkers = 1\nhost = '::1'\nlog_level = 'debug'\n"
    )
    (tmp_path / "modelport.toml").write_text("port = 2\nworkers = 2\nhost = '127.0.0.2'\n")
    settings = read_settings(
        {"port": 4, "workers": None}, {"MODELPORT_PORT": "3", "MODELPORT_WORKERS": "3"}, tmp_path
    )
    assert (settings.port, settings.workers, settings.host, settings.log_level) == (
        4,
        3,
        "127.0.0.2",
        "debug",
    )


def test_an_unknown_key_in_a_file_is_refused_with_its_name(tmp_path):
    (tmp_path / "modelport.toml").write_text("prot = 8090\n")
    with pytest.raises(InvalidInput, match="'prot'"):
        read_settings({}, {}, tmp_path)


@pytest.mark.parametrize("value", ["eight", "", "1.5"])
def test_a_value_of_the_wrong_type_names_its_source(tmp_path, value):
    with pytest.raises(InvalidInput, match="MODELPORT_PORT"):
        read_settings({}, {"MODELPORT_PORT": value}, tmp_path)


def test_broken_toml_is_refused_with_its_path(tmp_path):
    (tmp_path / "modelport.toml").write_text("port = \n")
    with pytest.raises(InvalidInput, match=r"modelport\.toml"):
        read_settings({}, {}, tmp_path)


def test_home_is_absolute_whatever_was_given(tmp_path):
    assert read_settings({"home": "somewhere"}, {}, tmp_path).home == Path.cwd() / "somewhere"


def test_everything_of_a_home_lies_inside_it(tmp_path):
    layout = read_settings({"home": str(tmp_path)}, {}, tmp_path).layout
    paths = [getattr(layout, name) for name in dir(layout) if isinstance(getattr(layout, name), Path)]
    assert len(paths) > 10
    assert all(path.is_relative_to(tmp_path) for path in paths)
