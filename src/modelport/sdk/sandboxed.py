"""What runs inside the sandbox: load a pickle, convert and prove it, leave the bundle's files.

`python -I -m modelport.sdk.sandboxed INBOX OUTBOX MEMORY_BYTES FILE_BYTES`, started by `model_files.py`.
Whatever the pickle does, it does here; the files it leaves are read as bytes and checked by the other side.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import msgspec

from modelport.domain.errors import InvalidInput, ModelportError
from modelport.domain.signature import Value
from modelport.sdk.bundle import Bundle
from modelport.sdk.sandbox import apply_limits

TASK = "task.json"
OUTCOME = "outcome.json"
EXAMPLE_FRAME = "example.parquet"
EXAMPLE_MATRIX = "example.npy"


class Task(msgspec.Struct, frozen=True):
    """What to do.

    Args:
        model: Path of the pickle.
        labels: See `registering.build_bundle`.
        units: Feature name to unit.
        example_data: Keep example rows in the proof.
        notes: What the proof has to say of how it was made.
        path: Folders that Python modules are found in, beyond our own.
    """

    model: str
    labels: tuple[Value, ...] | None = None
    units: dict[str, str] = msgspec.field(default_factory=dict)
    example_data: bool = True
    notes: tuple[str, ...] = ()
    path: tuple[str, ...] = ()


class Outcome(msgspec.Struct, frozen=True):
    """How it ended: `code` is the error's, None when the bundle is there."""

    code: str | None = None
    message: str = ""
    hint: str | None = None


def main(arguments: list[str]) -> int:
    """Do the task of the inbox; the outcome is a file, the exit code says only that there is one."""
    inbox, outbox = Path(arguments[0]), Path(arguments[1])
    apply_limits(int(arguments[2]), int(arguments[3]))
    try:
        bundle = _build(inbox, msgspec.json.decode((inbox / TASK).read_bytes(), type=Task))
        for name, content in bundle.files.items():
            (outbox / name).write_bytes(content)
        outcome = Outcome()
    except ModelportError as error:
        outcome = Outcome(error.code, error.message, error.hint)
    except Exception as error:  # noqa: BLE001 - a foreign model may raise anything; the other side words it
        traceback.print_exc()
        outcome = Outcome("error", f"{type(error).__name__}: {error}")
    (outbox / OUTCOME).write_bytes(msgspec.json.encode(outcome))
    return 0


def _build(inbox: Path, task: Task) -> Bundle:
    from modelport.sdk.example_files import fitting
    from modelport.sdk.registering import build_bundle

    sys.path.extend(entry for entry in task.path if entry not in sys.path)
    model, said = _load(task.model)
    return build_bundle(
        model,
        fitting(model, _example(inbox)),
        labels=task.labels,
        units=task.units,
        example_data=task.example_data,
        notes=(*task.notes, *said),
    )


def _load(path: str) -> tuple[Any, tuple[str, ...]]:
    """Return the object of a pickle and what its library warned of, for example another version."""
    import joblib

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model = joblib.load(path)
        except Exception as error:
            # unpickling runs foreign code, which may raise anything
            raise InvalidInput(
                f"{Path(path).name!r} cannot be loaded: {type(error).__name__}: {error}",
                hint="load it where it was made, with the libraries it was made with",
            ) from error
    if not (hasattr(model, "predict") or hasattr(model, "transform")):
        raise InvalidInput(
            f"{Path(path).name!r} holds a {type(model).__name__}, expected a fitted model",
            hint="save the pipeline itself, not a dict or tuple around it",
        )
    return model, tuple(dict.fromkeys(str(warning.message).splitlines()[0] for warning in caught))


def _example(inbox: Path) -> Any:
    import numpy as np

    if (inbox / EXAMPLE_MATRIX).exists():
        return np.load(inbox / EXAMPLE_MATRIX, allow_pickle=False)
    import pandas as pd

    return pd.read_parquet(inbox / EXAMPLE_FRAME)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
