"""A model file becomes a proven bundle, without letting the file do what it likes.

* `.onnx` is read as data, under limits.
* skops files name the types they hold; they load here when every type is on our list.
* pickle and joblib files run code when they load. They need `trust=True`, and even then they load and convert
  in a sandboxed process (`sandbox.py`), from which only the bundle's bytes come back.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from modelport.domain.errors import CheckFailed, InvalidInput, NotFound, Refused, by_code
from modelport.domain.signature import Value
from modelport.engines.isolation import Isolation, find_isolation
from modelport.sdk import sandbox
from modelport.sdk.bundle import OPTIONAL, REQUIRED, Bundle, assemble
from modelport.sdk.example_files import fitting, read_example
from modelport.sdk.registering import build_bundle, build_bundle_from_onnx
from modelport.sdk.sandboxed import EXAMPLE_FRAME, EXAMPLE_MATRIX, OUTCOME, TASK, Outcome, Task
from modelport.sdk.verifying import verify_bundle

MODULE = "modelport.sdk.sandboxed"
OUTCOME_BYTES_MAX = 1 << 20
FILE_BYTES_MAX = 4 << 30
SKOPS_BYTES_MAX = 8 << 30
PICKLES = (".pkl", ".pickle", ".joblib")
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x5d\x00\x00", b"\x78", b"\x04\x22\x4d\x18")

SKOPS_TYPES = frozenset(
    {
        "sklearn._loss.link.HalfLogitLink",
        "sklearn._loss.link.IdentityLink",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogLink",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.link.MultinomialLogit",
        "sklearn._loss.loss.AbsoluteError",
        "sklearn._loss.loss.ExponentialLoss",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn._loss.loss.HalfGammaLoss",
        "sklearn._loss.loss.HalfMultinomialLoss",
        "sklearn._loss.loss.HalfPoissonLoss",
        "sklearn._loss.loss.HalfSquaredError",
        "sklearn._loss.loss.HuberLoss",
        "sklearn._loss.loss.PinballLoss",
        "sklearn._loss._loss.CyAbsoluteError",
        "sklearn._loss._loss.CyExponentialLoss",
        "sklearn._loss._loss.CyHalfBinomialLoss",
        "sklearn._loss._loss.CyHalfGammaLoss",
        "sklearn._loss._loss.CyHalfMultinomialLoss",
        "sklearn._loss._loss.CyHalfPoissonLoss",
        "sklearn._loss._loss.CyHalfSquaredError",
        "sklearn._loss._loss.CyHuberLoss",
        "sklearn._loss._loss.CyPinballLoss",
        "sklearn.compose._column_transformer._RemainderColsList",
        "sklearn.ensemble._gb.ExponentialLoss",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.linear_model._sgd_fast.Hinge",
        "sklearn.linear_model._sgd_fast.SquaredHinge",
        "sklearn.tree._tree.Tree",
        "numpy.dtype",
    }
)
"""Types skops does not know and we do: plain holders of numbers, whose loading runs no foreign code."""


class FileKind(StrEnum):
    """What a model file is, told by its content."""

    ONNX = "onnx"
    SKOPS = "skops"
    PICKLE = "pickle"


def bundle_from_file(
    path: Path | str,
    example: Any = None,
    *,
    labels: Sequence[Value] | None = None,
    units: Mapping[str, str] | None = None,
    trust: bool = False,
    example_data: bool = True,
    isolation: Isolation | None = None,
) -> Bundle:
    """Return the proven bundle of a model file.

    Args:
        path: `.onnx`, skops, pickle or joblib (also compressed) file.
        example: Rows of the training data: DataFrame, array, or a file of them. Only an ONNX file can do
            without.
        labels: Class words of an ONNX classifier, in the order of its outputs.
        units: Feature (or target) name to unit.
        trust: Let a pickle run its code, in a sandbox.
        example_data: Keep example rows in the proof.
        isolation: How a pickle is kept apart; None takes the best that works here.

    Raises:
        NotFound: There is no such file.
        InvalidInput: It is no model file, or the example is missing or unreadable.
        Refused: A pickle without trust, or a skops file with types that are not on our list.
        CheckFailed: It cannot be converted, or the proof does not hold.
    """
    place = Path(path)
    kind = file_kind(place)
    rows = read_example(Path(example)) if isinstance(example, Path | str) else example
    if kind is FileKind.ONNX:
        return build_bundle_from_onnx(place, rows, labels=labels, units=units, example_data=example_data)
    if kind is FileKind.PICKLE and not trust:
        raise Refused(
            f"{place.name!r} is a pickle: loading it runs whatever code it holds",
            hint="if you made it yourself, add --trust; a skops or ONNX file needs none",
        )
    if rows is None:
        raise InvalidInput(
            "a fitted model needs example rows of its training data, to prove that nothing changed",
            hint="add --example FILE with some rows of the training features",
        )
    if kind is FileKind.SKOPS:
        model = _load_skops(place)
        return build_bundle(
            model, fitting(model, rows), labels=labels, units=units, example_data=example_data
        )
    task = Task(
        model=str(place.resolve()),
        labels=None if labels is None else tuple(labels),
        units=dict(units or {}),
        example_data=example_data,
        path=sandbox.import_path(),
    )
    return _build_apart(task, rows, isolation or find_isolation())


def file_kind(path: Path) -> FileKind:
    """Return what a file is, by its content; the name decides only for ONNX, which has no mark.

    Raises:
        NotFound: There is no such file.
        InvalidInput: It is no model file.
    """
    if not path.is_file():
        raise NotFound(f"no model file {str(path)!r}")
    with path.open("rb") as file:
        head = file.read(16)
    if zipfile.is_zipfile(path) and head.startswith(b"PK"):
        with zipfile.ZipFile(path) as archive:
            if "schema.json" in archive.namelist():
                return FileKind.SKOPS
    elif path.suffix.lower() == ".onnx":
        return FileKind.ONNX
    elif (head[:1] == b"\x80" and head[1:2] <= b"\x05") or head.startswith(COMPRESSED):
        return FileKind.PICKLE
    elif path.suffix.lower() in PICKLES:
        return FileKind.PICKLE  # protocol 0 has no mark
    raise InvalidInput(
        f"{path.name!r} is no model file that modelport knows",
        hint="give an ONNX (.onnx), skops, pickle or joblib file of a fitted model",
    )


def _load_skops(path: Path) -> Any:
    import skops.io

    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > SKOPS_BYTES_MAX:
        raise Refused(f"{path.name!r} unpacks to {size} bytes, at most {SKOPS_BYTES_MAX} are allowed")
    try:
        unknown = sorted(skops.io.get_untrusted_types(file=path))
        strange = [name for name in unknown if name not in SKOPS_TYPES]
        model = None if strange else skops.io.load(path, trusted=unknown)
    except Exception as error:
        # skops raises whatever the class it rebuilds raises
        raise InvalidInput(f"{path.name!r} cannot be read as a skops file: {error}") from error
    if strange:
        raise Refused(
            f"{path.name!r} holds types modelport does not know: {', '.join(strange)}",
            hint="load it in Python, where you trust these types, and use modelport.register",
        )
    return model


def _build_apart(task: Task, rows: Any, isolation: Isolation) -> Bundle:
    """Load, convert and prove in a sandboxed process; take only bytes from it, and check them."""
    with tempfile.TemporaryDirectory(prefix="modelport-") as folder:
        inbox, outbox = Path(folder) / "in", Path(folder) / "out"
        inbox.mkdir()
        outbox.mkdir()
        _write_example(inbox, rows)
        note = f"loaded in a sandboxed process ({isolation}: {isolation.meaning})"
        (inbox / TASK).write_bytes(msgspec.json.encode(msgspec.structs.replace(task, notes=(note,))))
        descriptor = os.open(outbox, os.O_RDONLY | os.O_DIRECTORY)
        try:
            sandbox.run_sandboxed(MODULE, inbox, outbox, isolation=isolation, readable=[Path(task.model)])
            files = _take_out(descriptor)
        finally:
            os.close(descriptor)
    bundle = assemble(files)
    if note not in bundle.proof.notes:
        raise CheckFailed("the sandboxed process left a proof that hides how it was made")
    verify_bundle(bundle)  # what it says of itself is believed only where it can be seen from here
    return bundle


def _write_example(inbox: Path, rows: Any) -> None:
    if hasattr(rows, "to_parquet"):
        try:
            rows.reset_index(drop=True).to_parquet(inbox / EXAMPLE_FRAME)
        except (ValueError, TypeError, OverflowError) as error:
            raise InvalidInput(
                f"the example cannot be handed to the sandboxed process: {error}",
                hint="give each column of the example one type",
            ) from error
        return
    matrix = np.asarray(rows)
    if matrix.dtype == object:
        raise InvalidInput("the example is an array of objects", hint="pass a DataFrame")
    np.save(inbox / EXAMPLE_MATRIX, matrix, allow_pickle=False)


def _take_out(outbox: int) -> dict[str, bytes]:
    content = sandbox.read_out(outbox, OUTCOME, OUTCOME_BYTES_MAX)
    try:
        outcome = msgspec.json.decode(content or b"", type=Outcome)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CheckFailed("the sandboxed process left no readable outcome") from error
    if outcome.code is not None:
        raise by_code(outcome.code)(outcome.message, hint=outcome.hint)
    found = {name: sandbox.read_out(outbox, name, FILE_BYTES_MAX) for name in (*REQUIRED, *OPTIONAL)}
    return {name: content for name, content in found.items() if content is not None}
