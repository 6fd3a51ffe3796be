"""Signatures and rows drawn at random, and rows written in every form a client may send."""

from __future__ import annotations

import csv
import io
import json
import math
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from modelport.domain.signature import Feature, FeatureType, Output, Signature, Task

Row = dict[str, Any]
# what every form can carry: no empty text (CSV's missing value), no NUL (npy strips it), no byte order mark
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00\ufeff"), min_size=1, max_size=6)
DOUBLES = st.floats(allow_nan=False, allow_infinity=False)
INTEGERS = st.integers(-(2**63), 2**63 - 1)


@dataclass(frozen=True)
class Sample:
    """A signature and rows that it accepts."""

    signature: Signature
    rows: list[Row]


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """Draw a signature of one to five features and one to four rows."""
    names = draw(st.lists(TEXTS, min_size=1, max_size=5, unique=True))
    features = [draw(_features(name)) for name in names]
    if not any(feature.used for feature in features):
        features[0] = Feature(names[0], FeatureType.DOUBLE)
    signature = Signature(tuple(features), Output(Task.CLASSIFICATION, ("no", "yes"), probabilities=True))
    count = draw(st.integers(1, 4))
    rows = [{feature.name: draw(_values(feature)) for feature in features} for _ in range(count)]
    return Sample(signature, rows)


@st.composite
def _features(draw: st.DrawFn, name: str) -> Feature:
    kind = draw(st.sampled_from(FeatureType))
    used = kind is not FeatureType.DATETIME and draw(st.integers(0, 5)) > 0
    coded = kind in {FeatureType.STRING, FeatureType.CATEGORY} or draw(st.booleans())
    vocabulary: tuple[Any, ...] | None = None
    if used and coded:
        pool = draw(st.sampled_from([TEXTS, INTEGERS])) if kind is FeatureType.CATEGORY else _pool(kind)
        vocabulary = tuple(draw(st.lists(pool, min_size=1, max_size=4, unique=True)))
    lower, upper = sorted((draw(DOUBLES), draw(DOUBLES))) if draw(st.booleans()) else (-math.inf, math.inf)
    if kind not in {FeatureType.DOUBLE, FeatureType.INT64} or vocabulary is not None:
        lower, upper = -math.inf, math.inf
    if kind is FeatureType.INT64:
        lower, upper = min(lower, 0.0), max(upper, 0.0)
    missing, unknown = draw(st.booleans()), draw(st.booleans())
    return Feature(name, kind, missing, unknown, vocabulary, lower, upper, used=used)


def _pool(kind: FeatureType) -> st.SearchStrategy[Any]:
    return {
        FeatureType.DOUBLE: DOUBLES,
        FeatureType.INT64: INTEGERS,
        FeatureType.BOOL: st.booleans(),
        FeatureType.DATETIME: st.datetimes().map(lambda moment: moment.isoformat()),
    }.get(kind, TEXTS)


def _values(feature: Feature) -> st.SearchStrategy[Any]:
    if feature.vocabulary is not None:
        pool = st.sampled_from(feature.vocabulary)
        if feature.unknown:
            pool |= TEXTS if isinstance(feature.vocabulary[0], str) else _numbers_like(feature)
    elif feature.type is FeatureType.DOUBLE and feature.used:
        pool = st.floats(
            None if math.isinf(feature.lower) else feature.lower,
            None if math.isinf(feature.upper) else feature.upper,
            allow_nan=False,
            allow_infinity=False,
        )
    elif feature.type is FeatureType.INT64 and feature.used:
        # the rule compares the float64 a number becomes with the bounds
        pool = INTEGERS.filter(lambda value: feature.lower <= float(value) <= feature.upper) | st.just(0)
    else:
        pool = _pool(feature.type)
    return st.none() | pool if feature.missing or not feature.used else pool


def _numbers_like(feature: Feature) -> st.SearchStrategy[Any]:
    if isinstance((feature.vocabulary or (0,))[0], bool):
        return st.booleans()
    return DOUBLES if feature.type is FeatureType.DOUBLE else INTEGERS


# ---- every form


def as_json(signature: Signature, rows: list[Row]) -> dict[str, bytes]:
    """Return JSON bodies of the same rows, by the form's name."""
    names = [feature.name for feature in signature.features]
    lists = [[row[name] for name in names] for row in rows]
    columns = {name: [row[name] for row in rows] for name in names}
    backwards = list(reversed(names))
    used = [feature.name for feature in signature.features if feature.used]
    forms: dict[str, Any] = {
        "instances of objects": {"instances": rows},
        "instances of lists": {"instances": lists},
        "instances without unused columns": {
            "instances": [{name: row[name] for name in used} for row in rows]
        },
        "instances backwards": {"instances": [{name: row[name] for name in backwards} for row in rows]},
        "instances beside empty parameters": {"parameters": {}, "instances": rows},
        "inputs of columns": {"inputs": columns},
        "inputs of rows": {"inputs": lists},
        "records": {"dataframe_records": rows},
        "split": {"dataframe_split": {"columns": names, "data": lists}},
        "split backwards": {
            "dataframe_split": {
                "index": list(range(len(rows))),
                "columns": backwards,
                "data": [[row[name] for name in backwards] for row in rows],
            }
        },
        "bare objects": rows,
        "bare lists": lists,
    }
    if len(rows) == 1:
        forms["one object"] = rows[0]
    bodies = {name: json.dumps(form).encode() for name, form in forms.items()}
    bodies["compact"] = json.dumps({"instances": rows}, separators=(",", ":"), ensure_ascii=False).encode()
    bodies["spacious"] = json.dumps({"instances": rows}, indent=3, separators=(" ,", " : ")).encode()
    return bodies


def as_json_lines(signature: Signature, rows: list[Row]) -> dict[str, bytes]:
    """Return JSON Lines bodies of the same rows."""
    names = [feature.name for feature in signature.features]
    objects = [json.dumps(row).encode() for row in rows]
    lists = [json.dumps([row[name] for name in names]).encode() for row in rows]
    return {
        "objects": b"\n".join(objects) + b"\n",
        "lists": b"\n".join(lists),
        "blank lines, CRLF": b"\r\n\r\n".join(objects) + b"\r\n",
    }


def as_csv(signature: Signature, rows: list[Row]) -> dict[str, bytes]:
    """Return CSV bodies of the same rows."""
    names = [feature.name for feature in signature.features]
    used = [feature.name for feature in signature.features if feature.used]
    bodies = {
        "header": _csv(names, rows),
        "header backwards": _csv(names[::-1], rows),
        "header without unused columns": _csv(used, rows),
        "byte order mark": b"\xef\xbb\xbf" + _csv(names, rows),
    }
    return bodies | {"no header": _csv(names, rows, header=False)}


def _csv(names: list[str], rows: list[Row], *, header: bool = True) -> bytes:
    file = io.StringIO(newline="")
    # quotes around everything: a single empty cell would else be a blank line
    writer = csv.writer(file, quoting=csv.QUOTE_ALL)
    if header:
        writer.writerow(names)
    writer.writerows([["" if row[name] is None else _cell(row[name]) for name in names] for row in rows])
    return file.getvalue().encode()


def _cell(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def as_npy(signature: Signature, rows: list[Row]) -> dict[str, bytes]:
    """Return npy bodies of the same rows: a structured type, text throughout, and numbers where all are."""
    names = [feature.name for feature in signature.features]
    columns = [_npy_column(feature, [row[feature.name] for row in rows]) for feature in signature.features]
    mixed = np.empty(len(rows), [(name, column.dtype) for name, column in zip(names, columns, strict=True)])
    for name, column in zip(names, columns, strict=True):
        mixed[name] = column
    texts = np.array(
        [["" if row[name] is None else _cell(row[name]) for name in names] for row in rows], dtype=str
    )
    bodies = {
        "structured": npy(mixed),
        "text": npy(texts),
        "text, Fortran order": npy(np.asfortranarray(texts)),
    }
    if all(column.dtype == np.float64 for column in columns):
        block = np.column_stack(columns)
        bodies["numbers"] = npy(block)
        bodies["numbers, Fortran order"] = npy(np.asfortranarray(block))
        bodies["numbers, big-endian"] = npy(block.astype(">f8"))
    return bodies


def npy(array: np.ndarray) -> bytes:
    """Return an array as `np.save` writes it."""
    file = io.BytesIO()
    version = (1, 0) if all(name.isascii() for name in array.dtype.names or ()) else (3, 0)
    np.lib.format.write_array(file, array, version=version, allow_pickle=False)
    return file.getvalue()


def _npy_column(feature: Feature, values: list[Any]) -> np.ndarray:
    if any(isinstance(value, str) for value in values) or _is_text(feature):
        return np.array(["" if value is None else value for value in values], dtype=str)
    if any(value is None for value in values):
        exact = all(value is None or float(value) == value for value in values)
        if not exact:
            return np.array(["" if value is None else _cell(value) for value in values], dtype=str)
        return np.array([math.nan if value is None else value for value in values], np.float64)
    if feature.type is FeatureType.BOOL:
        return np.array(values, np.bool_)
    integers = all(isinstance(value, int) for value in values) and feature.type is not FeatureType.DOUBLE
    return np.array(values, np.int64 if integers else np.float64)


def _is_text(feature: Feature) -> bool:
    if feature.vocabulary:
        return isinstance(feature.vocabulary[0], str)
    return feature.type in {FeatureType.STRING, FeatureType.CATEGORY, FeatureType.DATETIME}


def as_npz(signature: Signature, rows: list[Row]) -> dict[str, bytes]:
    """Return npz bodies of the same rows, stored and deflated; none where a name is no member's name."""
    if any("/" in feature.name or "\\" in feature.name for feature in signature.features):
        return {}  # zip files have folders
    columns = {
        feature.name: _npy_column(feature, [row[feature.name] for row in rows])
        for feature in signature.features
    }
    tall = {name: column.reshape(-1, 1) for name, column in columns.items()}
    return {"stored": npz(columns), "deflated": npz(columns, packed=True), "columns of one": npz(tall)}


def npz(arrays: dict[str, np.ndarray], *, packed: bool = False) -> bytes:
    """Return arrays as `np.savez` writes them, also under names that are no Python words."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", npy(array))
    return file.getvalue()


def as_open_inference(signature: Signature, rows: list[Row]) -> dict[str, tuple[bytes, int | None]]:
    """Return V2 bodies of the same rows, and the length of the JSON in them where tensors follow."""
    plain, mixed, tails = [], [], []
    for feature in signature.features:
        values = [row[feature.name] for row in rows]
        tensor = {"name": feature.name, "shape": [len(rows)], **_tensor(feature, values)}
        plain.append(tensor)
        column = _npy_column(feature, values)
        if column.dtype.kind == "U":
            datatype = "BYTES"
            tail = b"".join(len(t).to_bytes(4, "little") + t for t in map(str.encode, column.tolist()))
        else:
            datatype = {"f": "FP64", "i": "INT64", "b": "BOOL"}[column.dtype.kind]
            tail = column.tobytes()
        head = {"name": feature.name, "shape": [len(rows), 1], "datatype": datatype}
        mixed.append(head | {"parameters": {"binary_data_size": len(tail)}})
        tails.append(tail)
    nested = [each | {"shape": [len(rows), 1], "data": [[value] for value in each["data"]]} for each in plain]
    used = [each for each, feature in zip(plain, signature.features, strict=True) if feature.used]
    half = [tensor if at % 2 else plain[at] for at, tensor in enumerate(mixed)]
    bodies: dict[str, tuple[bytes, int | None]] = {
        "JSON": (json.dumps({"inputs": plain}).encode(), None),
        "JSON, nested": (json.dumps({"id": "é", "inputs": nested}, indent=1).encode(), None),
        "JSON, backwards": (json.dumps({"inputs": plain[::-1], "parameters": {}}).encode(), None),
        "JSON without unused columns": (json.dumps({"inputs": used}).encode(), None),
    }
    for name, inputs, blobs in (("binary", mixed, tails), ("half binary", half, tails[1::2])):
        head = json.dumps({"inputs": inputs}).encode()
        bodies[name] = (head + b"".join(blobs), len(head))
    return bodies


def _tensor(feature: Feature, values: list[Any]) -> dict[str, Any]:
    given = [value for value in values if value is not None]
    if any(isinstance(value, str) for value in given) or (_is_text(feature) and not given):
        return {"datatype": "BYTES", "data": values}
    if any(isinstance(value, bool) for value in given):
        return {"datatype": "BOOL", "data": values}
    if any(isinstance(value, float) for value in given) or feature.type is FeatureType.DOUBLE:
        return {"datatype": "FP64", "data": values}
    return {"datatype": "BOOL" if feature.type is FeatureType.BOOL else "INT64", "data": values}


def as_arrow_stream(signature: Signature, rows: list[Row]) -> dict[str, bytes]:
    """Return Arrow streams of the same rows: one batch of each kind, and a batch for each row."""
    bodies = {form: arrow_stream(batch) for form, batch in as_arrow(signature, rows).items()}
    plain = as_arrow(signature, rows)["plain"]
    bodies["a batch for each row"] = arrow_stream(*[plain.slice(at, 1) for at in range(len(rows))])
    return bodies


def arrow_stream(*batches: pa.RecordBatch, **options: Any) -> bytes:
    """Return batches of one schema as a stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def as_arrow(signature: Signature, rows: list[Row]) -> dict[str, pa.RecordBatch]:
    """Return record batches of the same rows: plain, dictionary-encoded text, text throughout, sliced."""
    names = [feature.name for feature in signature.features]
    arrays = [_arrow_column(feature, [row[feature.name] for row in rows]) for feature in signature.features]
    plain = pa.RecordBatch.from_arrays(arrays, names=names)
    encoded = [array.dictionary_encode() if pa.types.is_string(array.type) else array for array in arrays]
    texts = [
        pa.array([None if row[name] is None else _cell(row[name]) for row in rows], pa.large_string())
        for name in names
    ]
    longer = pa.Table.from_batches([plain, plain, plain]).combine_chunks().to_batches()[0]
    return {
        "plain": plain,
        "dictionaries": pa.RecordBatch.from_arrays(encoded, names=names),
        "text": pa.RecordBatch.from_arrays(texts, names=names),
        "sliced": longer.slice(len(rows), len(rows)),
    }


def _arrow_column(feature: Feature, values: list[Any]) -> pa.Array:
    if _is_text(feature):
        return pa.array(values, pa.string())
    if feature.type is FeatureType.BOOL:
        return pa.array(values, pa.bool_())
    return pa.array(values, pa.float64() if feature.type is FeatureType.DOUBLE else pa.int64())
