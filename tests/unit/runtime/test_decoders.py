"""What decoders take beyond the forms that all agree on, and what their errors advise."""

from __future__ import annotations

import contextlib
import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.rows import as_json, npy
from fakes.signatures import FLIGHT, FLIGHTS, matrix_signature
from modelport.domain.errors import InvalidInput, PayloadTooLarge, UnsupportedMediaType
from modelport.domain.signature import Feature, FeatureType, Signature
from modelport.runtime.codecs import TRITON_TYPE, Codecs, Lengthy
from modelport.runtime.codecs.json_text import JsonDecoder
from modelport.runtime.codecs.large_json import SIMDJSON
from modelport.runtime.codecs.schema import Schema
from modelport.runtime.codecs.values import PASSING_BYTES
from modelport.runtime.rows import Rows

CODECS = Codecs(FLIGHTS)
FORMS = as_json(FLIGHTS, [FLIGHT])
SAID = (None, "", "application/json", "application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"')


class FastOnly(JsonDecoder):
    """A decoder that may not fall back."""

    def _read(self, body: bytes) -> Rows:
        raise AssertionError(f"left the fast path: {body[:80]!r}")


def refusal(body: bytes, content_type: str | None = None, codecs: Codecs = CODECS) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        codecs.decoder_for(content_type)(body)
    return caught.value


@pytest.mark.parametrize(
    "form", sorted(set(FORMS) - {"instances beside empty parameters", "split backwards"})
)
def test_plain_requests_never_leave_the_fast_path(form: str) -> None:
    assert FastOnly(Schema(FLIGHTS))(FORMS[form]).count == 1


@pytest.mark.parametrize("said", SAID)
def test_json_is_what_is_said_or_not_said(said: str | None) -> None:
    assert CODECS.decoder_for(said)(json.dumps(FLIGHT).encode()).count == 1


@pytest.mark.parametrize(
    ("content_type", "hint"),
    [
        ("application/x-www-form-urlencoded", "curl needs"),
        ("application/xml", "use one of application/json, text/csv"),
        ("json", "use one of"),
        ("application/json; charset", "use one of"),
        ("application/json; charset=latin-1", None),
        ("a" * 5000, "use one of"),
    ],
)
def test_an_unknown_content_type_is_refused_with_what_would_do(content_type: str, hint: str | None) -> None:
    with pytest.raises(UnsupportedMediaType) as caught:
        CODECS.decoder_for(content_type)
    assert (hint or "") in (caught.value.hint or "")


def test_a_misspelt_feature_is_answered_with_the_nearest() -> None:
    row = {("dep_huor" if name == "dep_hour" else name): value for name, value in FLIGHT.items()}
    error = refusal(json.dumps({"instances": [FLIGHT, row]}).encode())
    assert error.message == 'row 1, feature "dep_huor": found in the row, but the model has no such feature'
    assert error.hint == 'did you mean "dep_hour"?'


def test_a_bare_nan_is_refused_with_the_hint_to_write_null() -> None:
    error = refusal(json.dumps({"instances": [FLIGHT, FLIGHT | {"temp": float("nan")}]}).encode())
    assert error.message == 'row 1, feature "temp": found NaN, expected double'
    assert error.hint == "JSON has no NaN and no infinity: write null for a missing value"


def test_a_feature_left_out_is_refused_with_the_hint_to_write_null() -> None:
    error = refusal(json.dumps({name: value for name, value in FLIGHT.items() if name != "temp"}).encode())
    assert error.message == 'row 0, feature "temp": not found in the row, expected double'
    assert error.hint == "write null where the value is missing"


def test_columns_the_model_does_not_read_may_be_left_out_but_not_lie() -> None:
    moment = Feature("at", FeatureType.DATETIME, used=False)
    note = Feature("note", FeatureType.STRING, used=False)
    codecs = Codecs(replace(FLIGHTS, features=(moment, *FLIGHTS.features, note)))
    without = codecs.decoder_for(None)(json.dumps(FLIGHT).encode()).matrix()
    told = {"note": 'née: "x"', "at": "2013-01-01T05:00:00"}
    given_too = codecs.decoder_for(None)(json.dumps(FLIGHT | told).encode()).matrix()
    assert without.tobytes() == given_too.tobytes()
    assert refusal(json.dumps(FLIGHT | {"note": 5}).encode(), codecs=codecs).feature == "note"
    assert refusal(json.dumps(FLIGHT | {"at": "noon"}).encode(), codecs=codecs).feature == "at"


def test_a_feature_named_like_a_wrapper_is_a_feature() -> None:
    codecs = Codecs(Signature((Feature("inputs", FeatureType.DOUBLE),), FLIGHTS.output))
    assert codecs.decoder_for(None)(b'{"inputs": 5}').matrix().tolist() == [[5.0]]
    assert codecs.decoder_for(None)(b'{"instances": [{"inputs": 5}]}').matrix().tolist() == [[5.0]]


@pytest.mark.parametrize(
    "name", ['5" pipe', "back\\slash", "tab\t", "ünïcödé", "a:b", "f0", "class", "{}", "'"]
)
def test_any_name_a_column_can_have_is_found(name: str) -> None:
    codecs = Codecs(Signature((Feature(name, FeatureType.DOUBLE),), FLIGHTS.output))
    assert codecs.decoder_for(None)(json.dumps({"instances": [{name: 5}]}).encode()).count == 1
    assert refusal(b'{"instances": [{"other": 5}]}', codecs=codecs).feature == "other"


def test_integers_may_be_written_with_a_point() -> None:
    rows = CODECS.decoder_for(None)(json.dumps(FLIGHT | {"dep_hour": 13.0, "weekday": 2.0}).encode())
    assert rows.matrix()[0, 3:5].tolist() == [13.0, 2.0]


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["repr", "%.25e", "%.17g"]))
def test_doubles_are_read_to_the_nearest(value: float, style: str) -> None:
    text = repr(value) if style == "repr" else style % value
    codecs = Codecs(matrix_signature(1))
    for content_type, body in (("application/json", f"[[{text}]]"), ("text/csv", text)):
        read = codecs.decoder_for(content_type)(body.encode()).matrix()[0, 0]
        assert read == float(text), content_type


@pytest.mark.parametrize("header", ["dep_hour,dep_huor", "carrier,origin,dset"])
def test_half_a_header_is_a_header_with_a_mistake(header: str) -> None:
    error = refusal(f"{header}\n1,2,3".encode(), "text/csv")
    assert error.feature in {"dep_huor", "dset"}
    assert "did you mean" in (error.hint or "")


def test_a_row_that_looks_like_a_header_is_told_so() -> None:
    line = ",".join(["Carrier", "Origin", "Dest", *list(FLIGHT)[3:5], *["x"] * 8])
    error = refusal(line.encode(), "text/csv")
    assert error.row == 0
    assert error.hint == "a header line has the names of the features"


def test_a_header_of_numbers_is_still_a_header() -> None:
    features = tuple(Feature(str(j), FeatureType.DOUBLE) for j in range(3))
    decode = Codecs(Signature(features, FLIGHTS.output)).decoder_for("text/csv")
    assert decode(b"2,1,0\n5,6,7").matrix().tolist() == [[7.0, 6.0, 5.0]]
    assert decode(b"5,6,7").matrix().tolist() == [[5.0, 6.0, 7.0]]


def test_the_media_type_says_whether_there_is_a_header() -> None:
    codecs = Codecs(matrix_signature(2))
    assert codecs.decoder_for("text/csv; header=absent")(b"1,2").count == 1
    assert refusal(b"1,2", "text/csv; header=present", codecs).feature == "1"


@pytest.mark.parametrize(
    "body", [b"1,2\n3,4", b"1,2\r\n3,4\r\n", b"1,2\n\n3,4\n\n", b'"1","2"\n3, 4', b" 1,2 \n3.,4e0"]
)
def test_csv_as_people_write_it(body: bytes) -> None:
    assert Codecs(matrix_signature(2)).decoder_for("text/csv")(body).matrix().tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("body", [b"1,2],[3,4", b"1,[2]", b"1,true", b'1,{"a":2}', b"1,2,", b"1\n2,3"])
def test_csv_is_not_json(body: bytes) -> None:
    assert refusal(body, "text/csv", Codecs(matrix_signature(2))).row is not None


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f8", "i1", "i8", ">i4", "u2", "u8", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_any_number_type(dtype: str, order: Any) -> None:
    array = np.array([[0, 1, 1], [1, 0, 1]], dtype, order=order)
    rows = Codecs(matrix_signature(3)).decoder_for("application/x-npy")(npy(array))
    assert rows.matrix().tolist() == [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]]


def test_npy_refuses_what_the_model_refuses() -> None:
    array = np.ones((3, 2))
    array[1, 1] = np.nan
    error = refusal(npy(array), "application/x-npy", Codecs(matrix_signature(2, missing=False)))
    assert (error.row, error.feature) == (1, "x1")
    assert "found NaN, expected double" in error.message


def test_rows_of_a_shape_come_nested_or_flat() -> None:
    codecs = Codecs(replace(matrix_signature(6), row_shape=(2, 3)))
    images = np.arange(12.0).reshape(2, 2, 3)
    flat = images.reshape(2, 6)
    for content_type, body in (
        ("application/json", json.dumps({"instances": images.tolist()}).encode()),
        ("application/json", json.dumps({"instances": flat.tolist()}).encode()),
        ("application/jsonlines", b"\n".join(json.dumps(image).encode() for image in images.tolist())),
        ("application/x-npy", npy(images)),
        ("application/x-npy", npy(flat)),
        ("text/csv", "\n".join(",".join(map(str, row)) for row in flat.tolist()).encode()),
    ):
        assert codecs.decoder_for(content_type)(body).matrix().tolist() == flat.tolist(), content_type
    error = refusal(json.dumps([[[1, 2], [3, 4], [5, 6]]]).encode(), codecs=codecs)
    assert "expected nested lists of shape [2, 3]" in error.message
    assert error.row == 0


@given(
    st.binary(max_size=200), st.sampled_from([None, "text/csv", "application/jsonlines", "application/x-npy"])
)
def test_bytes_at_random_are_rows_or_refused(body: bytes, content_type: str | None) -> None:
    decode = Codecs(matrix_signature(1)).decoder_for(content_type)
    with contextlib.suppress(InvalidInput):
        assert decode(body).count >= 1


@given(st.data())
def test_a_damaged_request_is_rows_or_refused(data: st.DataObject) -> None:
    good = json.dumps({"instances": [FLIGHT, list(FLIGHT.values())]}).encode()
    at = data.draw(st.integers(0, len(good) - 1))
    put = data.draw(st.binary(max_size=3))
    damaged = good[:at] + put + good[at + data.draw(st.integers(0, 3)) :]
    with suppress(InvalidInput):
        assert CODECS.decoder_for(None)(damaged).count >= 1


@pytest.mark.parametrize("content_type", ["application/json", "application/jsonlines", "text/csv"])
def test_more_values_than_memory_is_meant_for_are_too_large(content_type: str) -> None:
    with pytest.raises(PayloadTooLarge, match="10000000"):
        CODECS.decoder_for(content_type)(b"[" + b"1," * 10_000_001 + b"1]")


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("wrapped", [True, False])
def test_rows_of_a_shape_never_leave_the_fast_path(flat: bool, wrapped: bool) -> None:  # noqa: FBT001
    width = 3 * 40 * 20
    decode = FastOnly(Schema(replace(matrix_signature(width), row_shape=(3, 40, 20))))
    array = np.arange(2.0 * width).reshape(2, 3, 40, 20) / 7
    rows = array.reshape(2, -1).tolist() if flat else array.tolist()
    for _ in range(2):  # with simdjson once it is there
        SIMDJSON.load()
        body = json.dumps({"instances": rows} if wrapped else rows).encode()
        assert decode(body).matrix().tobytes() == array.tobytes()


def bounded(*bounds: tuple[float, float]) -> Codecs:
    """Return the codecs of a model whose features take other numbers each."""
    features = tuple(
        Feature(name=f"x{j}", type=FeatureType.DOUBLE, lower=lower, upper=upper)
        for j, (lower, upper) in enumerate(bounds)
    )
    return Codecs(replace(matrix_signature(len(bounds)), features=features))


@pytest.mark.parametrize("rows", [1, 400])
def test_each_feature_has_its_own_bounds(rows: int) -> None:
    codecs = bounded((-10.0, 10.0), (-1000.0, 5.0))
    good = np.tile([9.5, -999.0], (rows, 1))  # the second would be beyond the first's bounds
    bad = good.copy()
    bad[-1] = [9.5, 6.0]
    tensor = {"name": "input", "shape": [rows, 2], "datatype": "FP64"}
    for content_type, encode in (
        (None, lambda array: json.dumps({"instances": array.tolist()}).encode()),
        ("text/csv", lambda array: "\n".join(",".join(map(repr, row)) for row in array.tolist()).encode()),
        ("application/x-npy", npy),
        (TRITON_TYPE, lambda array: json.dumps({"inputs": [{**tensor, "data": array.tolist()}]}).encode()),
    ):
        assert codecs.decoder_for(content_type)(encode(good)).matrix().tobytes() == good.tobytes()
        error = refusal(encode(bad), content_type, codecs)
        assert (error.row, error.feature) == (rows - 1, "x1")


@pytest.mark.parametrize("content_type", ["application/json", "text/csv", "application/jsonlines"])
def test_a_loop_does_not_read_large_bodies_value_by_value(content_type: str) -> None:
    """A body that only the general path understands goes to a thread, and gives the same rows there."""
    width = 3
    decode = Codecs(matrix_signature(width)).decoder_for(content_type)
    rows = [[1.5, -2.0, 3.25]] * PASSING_BYTES
    lines = "\n".join(",".join(f'"{value}"' for value in row) for row in rows)
    records = [dict(zip(("x0", "x1", "x2"), row, strict=True)) for row in rows]
    body = {
        "application/json": json.dumps({"instances": rows, "parameters": {}}).encode(),
        "text/csv": lines.encode(),
        "application/jsonlines": b"\n\n".join(json.dumps(record).encode() for record in records),
    }[content_type]
    with pytest.raises(Lengthy):
        decode.in_passing(body)
    assert decode(body).count == len(rows)


@pytest.mark.parametrize("content_type", ["application/vnd.apache.arrow.stream", "application/x-npz"])
def test_a_loop_reads_nothing_that_may_unpack_to_more(content_type: str) -> None:
    with pytest.raises(Lengthy):
        CODECS.decoder_for(content_type).in_passing(b"small")
