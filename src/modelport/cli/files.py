"""Files that commands read: rows to predict, labels to give back."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from modelport.domain.errors import InvalidInput, ModelportError, NotFound

Format = Literal["json", "jsonl", "csv", "parquet"]
MEDIA_TYPES: dict[str, str] = {
    "json": "application/json",
    "jsonl": "application/jsonlines",
    "csv": "text/csv",
}
EXTENSIONS: dict[str, Format] = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
PARQUET_MARK = b"PAR1"
FOREIGN_MARKS = {
    b"\x93NUMPY": ("a NumPy array", "pass it from Python: mp.endpoint(NAME).predict(array)"),
    b"\x1f\x8b": ("packed as gzip", "unpack it first"),
    b"PK\x03\x04": ("a ZIP archive or a workbook", "save it as CSV or Parquet"),
}


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds, and how it is written."""

    name: str
    content: bytes
    format: Format


def read_content(place: str, given: Format | None = None) -> Content:
    """Read a file, or standard input for `-`.

    Args:
        place: Path of the file.
        given: Its format; None: told by the extension, else by the content.

    Raises:
        NotFound: There is no such file.
        ModelportError: It cannot be read.
        InvalidInput: It is empty, or of a kind that is not read here.
    """
    path = Path(place)
    try:
        content = sys.stdin.buffer.read() if place == "-" else path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"there is no file {place!r}") from None
    except OSError as error:
        raise ModelportError(f"cannot read {place!r}: {error.strerror}") from error
    name = "standard input" if place == "-" else path.name
    if not content.strip():
        raise InvalidInput(f"{name} is empty, expected rows")
    for mark, (kind, hint) in FOREIGN_MARKS.items():
        if content.startswith(mark):
            raise InvalidInput(f"{name} is {kind}, expected JSON, JSON Lines, CSV or Parquet", hint=hint)
    return Content(name, content, given or EXTENSIONS.get(path.suffix.lower()) or guess_format(content))


def guess_format(content: bytes) -> Format:
    """Return how bytes without a telling name are written."""
    if content.startswith(PARQUET_MARK):
        return "parquet"
    text = content.lstrip()
    if text[:1] not in (b"{", b"["):
        return "csv"
    first, _, rest = text.partition(b"\n")
    if rest.strip():
        try:
            json.loads(first)
        except ValueError:
            return "json"
        return "jsonl"
    return "json"


def read_table(file: Content) -> Any:
    """Return a Parquet file as an Arrow table.

    Raises:
        InvalidInput: It is none.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(pa.BufferReader(file.content))
    except pa.ArrowException as error:
        raise InvalidInput(f"{file.name} is not a Parquet file: {error}") from error


def read_pairs(file: Content, labels_of_text: Callable[[], Sequence[Any]]) -> tuple[list[str], list[Any]]:
    """Return ids and labels from a file with the columns `id` and `label`.

    Args:
        file: Any format.
        labels_of_text: Returns the model's labels; asked for CSV alone, where `1` may be a number or a word.

    Raises:
        InvalidInput: It does not have these columns; names the row.
    """
    if file.format == "csv":
        records: Any = _csv_records(file, labels_of_text)
    elif file.format == "parquet":
        records = read_table(file).to_pylist()
    else:
        records = _json_records(file)
    ids, labels = [], []
    for row, record in enumerate(records):
        if not isinstance(record, dict) or "id" not in record or "label" not in record:
            found = ", ".join(map(str, record)) if isinstance(record, dict) else type(record).__name__
            raise InvalidInput(
                f"{file.name}, row {row}: found {found or 'nothing'}, expected the columns id and label",
                hint="ids are those of the replies: <prediction id>#<row>",
            )
        ids.append(str(record["id"]))
        labels.append(record["label"])
    return ids, labels


def _json_records(file: Content) -> Any:
    try:
        if file.format == "jsonl":
            return [json.loads(line) for line in file.content.splitlines() if line.strip()]
        records = json.loads(file.content)
    except ValueError as error:
        raise InvalidInput(f"{file.name} is not {file.format.upper()}: {error}") from error
    return records if isinstance(records, list) else [records]


def _csv_records(file: Content, labels_of_text: Callable[[], Sequence[Any]]) -> list[dict[str, Any]]:
    try:
        text = file.content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file.name} is not UTF-8: {error}") from error
    known = {str(label): label for label in labels_of_text()}
    records: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(text)))
    for record in records:
        if isinstance(record.get("label"), str):
            record["label"] = read_label(record["label"].strip(), known)
    return records


def read_label(text: str, known: dict[str, Any]) -> Any:
    """Return the label that a CSV cell means: one of the model's own, else a number, else the word."""
    if text in known:
        return known[text]
    if known and text.lower() in (lowered := {word.lower(): label for word, label in known.items()}):
        return lowered[text.lower()]
    try:
        number = float(text)
    except ValueError:
        return text
    if known:
        return next((label for label in known.values() if label == number), text)
    return number
