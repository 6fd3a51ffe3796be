"""The same rows through every content type and form give the same matrix, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from fakes import rows as forms
from fakes.malformed_packed import PACKERS
from fakes.signatures import FLIGHT, FLIGHTS
from modelport.domain.signature import Signature
from modelport.runtime.cells import cells_of
from modelport.runtime.codecs import TRITON_TYPE, Codecs
from modelport.runtime.columns import ColumnEncoder

MANY = 20  # so many times the rows take the way of whole columns


def by_the_rules(sample: forms.Sample) -> np.ndarray:
    """Return the matrix as the rules of each cell say it, one value at a time."""
    cells = cells_of(sample.signature)
    return np.array([[cell.from_json(row[cell.name]) for cell in cells] for row in sample.rows])


def decode_all(signature: Signature, rows: list[forms.Row], *, single: bool = False) -> dict[str, np.ndarray]:
    codecs = Codecs(signature, single=single)
    made: dict[str, np.ndarray] = {}
    for content_type, write in {
        "application/json": forms.as_json,
        "application/jsonlines": forms.as_json_lines,
        "text/csv": forms.as_csv,
        "application/x-npy": forms.as_npy,
        "application/x-npz": forms.as_npz,
        "application/vnd.apache.arrow.stream": forms.as_arrow_stream,
    }.items():
        for form, body in write(signature, rows).items():
            header = "; header=absent" if form == "no header" else ""
            decoded = codecs.decoder_for(content_type + header)(body)
            assert decoded.count == len(rows)
            made[f"{content_type}, {form}"] = decoded.matrix()
    for form, (body, size) in forms.as_open_inference(signature, rows).items():
        decoder = codecs.decoder_for(
            TRITON_TYPE if size is None else f"{TRITON_TYPE};json-header-size={size}"
        )
        made[f"V2, {form}"] = decoder(body).matrix()
        assert decoder(body).count == len(rows)  # its JSON is known by now
    for form, (body, size) in forms.as_open_inference(signature, rows * MANY).items():
        decoder = codecs.decoder_for(
            TRITON_TYPE if size is None else f"{TRITON_TYPE};json-header-size={size}"
        )
        many = decoder(body).matrix().reshape(MANY, len(rows), -1)
        assert all(part.tobytes() == many[0].tobytes() for part in many)
        made[f"V2 of many rows, {form}"] = many[0]
    for encoding, pack in PACKERS.items():
        body = pack(forms.as_json(signature, rows)["compact"])
        made[f"JSON, {encoding}"] = codecs.decoder_for("application/json", encoding)(body).matrix()
    for form, batch in forms.as_arrow(signature, rows).items():
        encoded = ColumnEncoder(signature, batch.schema.names).encode(batch)
        assert encoded.failures == []
        made[f"arrow, {form}"] = encoded.matrix
    return made


@given(forms.samples())
@settings(max_examples=150, deadline=None)
def test_every_form_of_the_same_rows_gives_the_same_bits(sample: forms.Sample) -> None:
    expected = by_the_rules(sample)
    for form, matrix in decode_all(sample.signature, sample.rows).items():
        assert matrix.tobytes() == expected.tobytes(), form


@given(forms.samples())
@settings(max_examples=40, deadline=None)
def test_a_model_of_float32_gets_every_form_rounded_alike(sample: forms.Sample) -> None:
    with np.errstate(over="ignore"):
        expected = by_the_rules(sample).astype(np.float32)
        for form, matrix in decode_all(sample.signature, sample.rows, single=True).items():
            assert matrix.astype(np.float32).tobytes() == expected.tobytes(), form


@pytest.mark.parametrize("count", [1, 2, 300])
def test_flights_come_out_alike(count: int) -> None:
    rows = [
        FLIGHT | {"dep_hour": j % 24, "temp": None if j % 3 else j / 7, "dest": "001"} for j in range(count)
    ]
    matrices = decode_all(FLIGHTS, rows)
    first = next(iter(matrices.values()))
    assert first.shape == (count, 13)
    assert first[0, 2] == 10  # 001 is a category, not the number 1
    for form, matrix in matrices.items():
        assert matrix.tobytes() == first.tobytes(), form
