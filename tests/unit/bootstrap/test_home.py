"""A home's folders and its saved settings."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from modelport.bootstrap.home import make_folders, save_settings, saved_settings
from modelport.domain.errors import InvalidInput
from modelport.settings import Settings


def test_folders_are_for_this_user_alone(tmp_path: Path) -> None:
    layout = Settings(home=tmp_path / "a" / "home").layout
    make_folders(layout)
    make_folders(layout)
    for folder in (layout.home, layout.run, layout.jobs, layout.captures, layout.artifacts):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_file_in_the_way_is_invalid_input(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(InvalidInput, match="as home"):
        make_folders(Settings(home=tmp_path / "home").layout)


def test_children_read_what_the_supervisor_saved(tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path, workers=3, database_url="postgresql://u:secret@h/d", idle_timeout_s=1.5
    )
    make_folders(settings.layout)
    save_settings(settings)
    assert saved_settings(tmp_path) == settings
    mode = (settings.layout.run / "settings.json").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_home_that_never_ran_gives_the_settings_it_would_run_with(tmp_path: Path) -> None:
    assert saved_settings(tmp_path).home == tmp_path
