"""A home's folders, and the settings its supervisor was started with."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from modelport.domain.errors import InvalidInput
from modelport.durable import write_durably
from modelport.settings import HomeLayout, Settings, read_settings

PRIVATE_FOLDER = 0o700


def make_folders(layout: HomeLayout) -> None:
    """Make what is missing, readable by this user alone.

    Raises:
        InvalidInput: The home cannot be used.
    """
    try:
        layout.home.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        for folder in (
            layout.artifacts,
            layout.run,
            layout.routes,
            layout.marks,
            layout.metrics,
            layout.captures,
            layout.labels,
            layout.jobs,
            layout.logs,
            layout.replicas,
            layout.unpacked,
        ):
            folder.mkdir(exist_ok=True, mode=PRIVATE_FOLDER)
        layout.run.chmod(PRIVATE_FOLDER)
    except OSError as error:
        raise InvalidInput(
            f"cannot use {layout.home} as home: {error.strerror or error}", hint="give another --home"
        ) from error


def save_settings(settings: Settings) -> None:
    """Leave the settings for the processes of this home."""
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    paths = {name: str(value) for name, value in values.items() if isinstance(value, Path)}
    write_json(_settings_file(settings.home), {**values, **paths})


def saved_settings(home: Path) -> Settings:
    """Return what the home's supervisor was started with; without one, what a new one would be."""
    try:
        values = json.loads(_settings_file(home).read_bytes())
    except FileNotFoundError:
        return read_settings({"home": home})
    return Settings(**{**values, "home": home, "cache": Path(values["cache"])})


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a document durably."""
    write_durably(path, json.dumps(document).encode())


def _settings_file(home: Path) -> Path:
    return HomeLayout(home).run / "settings.json"
