"""Everybody can be named, started from files that are there, and asked."""

import json

import numpy as np
from measuring.contestants import CONTESTANTS, PEERS, Setting
from measuring.models import Made


def model(folder) -> Made:
    (folder / "model.onnx").touch()
    (folder / "model.joblib").touch()
    rows = np.zeros((4, 3))
    return Made("m", "a model", folder, None, None, rows, lambda asked: asked)


def test_names_are_unique() -> None:
    names = [one.name for one in CONTESTANTS]
    assert len(names) == len(set(names))


def test_everybody_has_a_dialect_that_takes_rows(tmp_path) -> None:
    one = model(tmp_path)
    for contestant in CONTESTANTS:
        for dialect in contestant.dialects(one):
            assert dialect.request(one.rows[:1]).startswith(b"POST /")


def test_commands_name_files_that_are_there(tmp_path) -> None:
    one = model(tmp_path)
    python = tmp_path / "bin" / "python"
    for contestant in CONTESTANTS:
        if contestant.name in {"modelport", "modelport-capture", "modelport-variants", "mlflow"}:
            continue  # these prepare with a platform, or with their own environment
        command = contestant.command(Setting(one, python, 5000, 1, tmp_path))
        for word in command.words:
            if word.startswith(str(PEERS)) and word.endswith(".py"):
                assert PEERS.joinpath(word).exists()
        apps = [word.split(":")[0] for word in command.words if word.endswith((":app", ":Service"))]
        assert all((PEERS / f"{app}.py").exists() for app in apps)
    settings = json.loads((tmp_path / "settings.json").read_text())
    assert settings["http_port"] == 5000
