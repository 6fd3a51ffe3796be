"""Which environment of this machine stands for which container image.

Images of AWS's frameworks run in this installation's own environment, where it has the framework. Everything
else, and every other version, is named in a file:

    [[image]]
    pattern = "*/sagemaker-scikit-learn:1.2-*"    # of the image's URI, as in a shell
    python = "/opt/envs/sklearn-1.2/bin/python"   # runs code/inference.py there

    [[image]]
    pattern = "*/my-own-server:*"
    serve = ["/opt/my-own-server/serve", "serve"] # a program that answers /ping and /invocations
    network = true                                # it may reach the network
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from modelport.domain.errors import InvalidInput, NotFound

FRAMEWORKS: Mapping[str, tuple[str, str, str]] = {
    "sagemaker-scikit-learn": ("sklearn", "sklearn", "scikit-learn"),
    "sagemaker-xgboost": ("xgboost", "xgboost", "xgboost"),
    "pytorch-inference": ("pytorch", "torch", "torch"),
    "pytorch-training": ("pytorch", "torch", "torch"),
    "mlflow-pyfunc": ("mlflow", "mlflow", "mlflow"),
}
"""Name of AWS's or MLflow's image to family, package as it is imported, and as it is installed."""

_FIELDS = {"pattern": str, "python": str, "serve": list, "family": str, "network": bool}


@dataclass(frozen=True, slots=True)
class Environment:
    """Where the code of an image runs.

    Args:
        python: The interpreter that runs the handler functions.
        family: Framework whose defaults hold; empty: none.
        serve: Program and arguments that serve by themselves; empty: handler functions.
        network: It may reach the network.
    """

    python: str = sys.executable
    family: str = ""
    serve: tuple[str, ...] = ()
    network: bool = False


def find_environment(image: str, table: Path) -> Environment:
    """Return where an image's code runs: the first entry of the table that fits, else AWS's frameworks.

    Args:
        image: URI of the image.
        table: The file; need not be there.

    Raises:
        InvalidInput: The file cannot be understood.
        NotFound: Nothing stands for the image.
    """
    family, package, distribution = _framework(image)
    for entry in _read(table):
        if fnmatchcase(image, entry["pattern"]):
            return Environment(
                entry.get("python", sys.executable),
                entry.get("family", family),
                tuple(entry.get("serve", ())),
                entry.get("network", False),
            )
    if not family:
        raise NotFound(
            f"no environment of this machine stands for the image {image!r}",
            hint=f"name one in {table}: [[image]] with pattern and python, or serve",
        )
    if find_spec(package) is None:
        raise NotFound(
            f"the image {image!r} needs {distribution}, which is not installed beside modelport",
            hint=f"pip install {distribution} there, or name an environment that has it in {table}",
        )
    return Environment(family=family)


def _framework(image: str) -> tuple[str, str, str]:
    return FRAMEWORKS.get(image.rpartition("/")[2].partition(":")[0], ("", "", ""))


def _read(table: Path) -> list[dict[str, Any]]:
    try:
        document = tomllib.loads(table.read_text("utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{table} cannot be read: {error}") from error
    entries = document.get("image", [])
    if set(document) - {"image"} or not isinstance(entries, list):
        raise InvalidInput(f"{table} holds {', '.join(map(str, document))}, expected [[image]] entries only")
    for number, entry in enumerate(entries, start=1):
        _check(entry, f"entry {number} of {table}")
    return entries


def _check(entry: Any, where: str) -> None:
    if not isinstance(entry, dict) or "pattern" not in entry:
        raise InvalidInput(f"{where} has no pattern")
    for name, value in entry.items():
        if name not in _FIELDS:
            raise InvalidInput(f"{where} has {name!r}, expected {', '.join(_FIELDS)}")
        if not isinstance(value, _FIELDS[name]):
            raise InvalidInput(f"{where} has {name} = {value!r}, expected a {_FIELDS[name].__name__}")
    if not all(isinstance(word, str) for word in entry.get("serve", ())) or entry.get("serve") == []:
        raise InvalidInput(f"{where} has serve = {entry['serve']!r}, expected program and arguments")
