"""Unmodified programs of other AWS clients, each with its client in an environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from fakes.archives import onnx_archive
from fakes.callers import ACCESS_KEY, SECRET_KEY, write_keys, write_tokens
from fakes.platform import Platform

pytestmark = [pytest.mark.processes, pytest.mark.clients, pytest.mark.timeout(600)]
PROGRAMS = Path(__file__).parents[1] / "clients"
INSTALL_S = 300
RUN_S = 180


@pytest.fixture
def platform(tmp_path):
    """Run a platform that verifies signatures, so that those of every client are."""
    files = {
        "MODELPORT_TOKEN_FILE": str(write_tokens(tmp_path / "tokens", [("ada", "admin", "unused")])),
        "MODELPORT_KEY_FILE": str(
            write_keys(tmp_path / "keys", [("program", "admin", ACCESS_KEY, SECRET_KEY)])
        ),
    }
    with Platform(tmp_path / "home", workers=1, environment=files) as running:
        yield running


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "model.tar.gz"
    path.write_bytes(onnx_archive(tmp_path, winner=1))
    return path


@pytest.fixture
def environment(platform, tmp_path):
    """Return what `sdk-config` gives a program that is to speak to the platform."""
    told = subprocess.run(
        [sys.executable, "-m", "modelport.cli", "sdk-config", "--to", tmp_path / "sdk.yaml", "-o", "json"],
        env={**os.environ, "MODELPORT_URL": platform.control_url},
        check=True,
        capture_output=True,
    ).stdout
    key = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    quiet = {"SAGEMAKER_SUPPRESS_V2_WARNING": "1", "AWS_EC2_METADATA_DISABLED": "true", "AWS_PAGER": ""}
    return {**os.environ, **json.loads(told), **key, **quiet}


def install(folder: Path, *requirements: str) -> Path:
    """Install packages from PyPI in an environment of its own; return its folder of programs."""
    venv.create(folder, with_pip=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "-q", *requirements]
    done = subprocess.run(pip, check=False, capture_output=True, text=True, timeout=INSTALL_S)
    if done.returncode:
        pytest.skip(f"{requirements[0]} cannot be installed here: {done.stderr.strip()[-300:]}")
    return folder / "bin"


def run(command, environment, folder):
    done = subprocess.run(
        command, env=environment, cwd=folder, check=False, capture_output=True, text=True, timeout=RUN_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("all of it")


@pytest.mark.parametrize(
    ("program", "requirement"),
    [
        ("boto3_story.py", "boto3==1.43.11"),  # the minor version before, and the newest
        ("boto3_story.py", "boto3>=1.44"),
        ("sagemaker_sdk_v2.py", "sagemaker<3"),
        ("sagemaker_sdk_v3.py", "sagemaker-core>=2.20,<3"),  # where version 3 keeps its resources
    ],
)
def test_python_programs(program, requirement, environment, archive, tmp_path):
    programs = install(tmp_path / "sdk", requirement)
    run([programs / "python", PROGRAMS / program, archive], environment, tmp_path)


def test_mlflow_deployments(environment, platform, tmp_path):
    programs = install(tmp_path / "mlflow", "mlflow-skinny", "boto3", "pandas", "scikit-learn", "skops")
    platform.layout.home.joinpath("images.toml").write_text(
        f'[[image]]\npattern = "*/mlflow-pyfunc:*"\npython = "{programs / "python"}"\n'
    )
    run([programs / "python", PROGRAMS / "mlflow_story.py", tmp_path], environment, tmp_path)


def test_the_aws_cli(environment, archive, tmp_path):
    programs = install(tmp_path / "cli", "awscli")
    run(["bash", PROGRAMS / "aws_cli.sh", programs / "aws", archive], environment, tmp_path)


@pytest.mark.skipif(not (shutil.which("node") and shutil.which("npm")), reason="there is no Node.js here")
def test_the_javascript_sdk(environment, archive, tmp_path, platform):
    folder = tmp_path / "javascript"
    shutil.copytree(PROGRAMS / "javascript", folder)
    npm = ["npm", "install", "--silent", "--no-audit", "--no-fund"]
    done = subprocess.run(npm, cwd=folder, check=False, capture_output=True, text=True, timeout=INSTALL_S)
    if done.returncode:
        pytest.skip(f"the SDK cannot be installed here: {done.stderr.strip()[-300:]}")
    run(["node", "story.js", platform.control_url, archive], environment, folder)
