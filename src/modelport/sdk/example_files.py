"""Example rows from a file: CSV, Parquet, JSON Lines or npy, with `001` kept as text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelport.domain.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

SUFFIXES = (".csv", ".parquet", ".jsonl", ".npy")
LEADING_ZERO = r"\s*[+-]?0[0-9]"


def read_example(path: Path) -> pd.DataFrame | NDArray[np.generic]:
    """Return the rows of a file.

    Args:
        path: A `.csv` (with a header line), `.parquet`, `.jsonl` or `.npy` file.

    Returns:
        A DataFrame, or for `.npy` an array `[N, F]`.

    Raises:
        NotFound: There is no such file.
        InvalidInput: Its kind is unknown or its content unreadable.
    """
    if not path.is_file():
        raise NotFound(f"no example file {str(path)!r}", hint="give a CSV, Parquet, JSON Lines or npy file")
    import numpy as np
    import pandas as pd

    try:
        match path.suffix.lower():
            case ".csv":
                return _read_csv(path)
            case ".parquet":
                return pd.read_parquet(path)
            case ".jsonl":
                lines = path.read_bytes().splitlines()
                return pd.DataFrame([json.loads(line) for line in lines if line.strip()])
            case ".npy":
                matrix: NDArray[np.generic] = np.load(path, allow_pickle=False)
                return matrix
            case other:
                raise InvalidInput(
                    f"example file {path.name!r} ends in {other!r}, expected {', '.join(SUFFIXES)}"
                )
    except (ValueError, OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"example file {path.name!r} cannot be read: {error}") from error


def fitting(model: Any, rows: Any) -> Any:
    """Return the rows in the form the model was trained on: a bare matrix where it knows no names."""
    if hasattr(rows, "to_numpy") and not _knows_names(model):
        return rows.to_numpy()
    return rows


def _read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV file; a column in which a number starts with an idle zero is text, as `001` is."""
    import pandas as pd

    text = pd.read_csv(path, dtype=str)
    codes: dict[Any, Any] = {
        name: str for name in text.columns if text[name].dropna().str.match(LEADING_ZERO).any()
    }
    return pd.read_csv(path, dtype=codes, low_memory=False)


def _knows_names(model: Any) -> bool:
    if hasattr(model, "feature_names_in_"):
        return True
    # a pipeline asks its first step only, and a passed-through one has no names of its own
    return any(_knows_names(step) for _, step in getattr(model, "steps", ()) if not isinstance(step, str))
