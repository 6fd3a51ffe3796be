"""An environment of its own for each contestant, made once and kept; versions are what is installed."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

INSTALL_TIMEOUT_S = 1200.0
SHARED = ("onnxruntime", "scikit-learn", "uvloop", "httptools", "msgspec", "orjson")
"""Pinned to the versions modelport runs with here, where a contestant does not pin them itself."""
DONE = "installed.json"


class NotInstalled(Exception):
    """A contestant's environment cannot be made; the message tells why."""


def make_environment(folder: Path, name: str, requirements: Sequence[str]) -> Path:
    """Return the Python of a contestant's environment, made when there is none for these requirements.

    Args:
        folder: Where environments are kept.
        name: Of the contestant.
        requirements: What pip installs; those in `SHARED` without a version get ours.

    Raises:
        NotInstalled: pip could not; says its last words.
    """
    wanted = [pinned(one) for one in requirements]
    key = hashlib.sha256(json.dumps([sys.version, *wanted]).encode()).hexdigest()[:12]
    place = folder / f"{name}-{key}"
    python = place / "bin" / "python"
    if (place / DONE).exists():
        return python
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    print(f"installing {name}: {' '.join(wanted)}", file=sys.stderr)
    try:
        run([sys.executable, "-m", "venv", str(place)])
        run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted])
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"pip needed more than {INSTALL_TIMEOUT_S:g} s") from None
    (place / DONE).write_text(json.dumps(wanted))
    return python


def pinned(requirement: str) -> str:
    """Return a requirement with our own version where it is shared and names none."""
    if requirement in SHARED:
        return f"{requirement}=={metadata.version(requirement)}"
    return requirement


def versions(python: Path, names: Sequence[str]) -> Mapping[str, str]:
    """Return what is installed of these distributions, name to version."""
    program = (
        "import importlib.metadata as m, json, sys\n"
        "found = {}\n"
        "for name in sys.argv[1:]:\n"
        "    try: found[name] = m.version(name)\n"
        "    except m.PackageNotFoundError: pass\n"
        "print(json.dumps(found))\n"
    )
    bare = [re.split(r"[=<>!~\[ ]", name)[0] for name in names]
    done = subprocess.run([str(python), "-c", program, *bare], check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def run(command: list[str]) -> None:
    """Run a step of an installation.

    Raises:
        NotInstalled: It failed.
    """
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in said if "ERROR" in line] or said[-1:]
        raise NotInstalled(" / ".join(errors[-2:])[:300] or f"exit code {done.returncode}")
