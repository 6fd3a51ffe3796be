"""The two graphs are one model, and the runtime codes rows as the conversion does."""

import msgspec
import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from fakes.conversions import open_session, prove
from modelport.domain.errors import ConversionFailed, InvalidInput
from modelport.formats import convert
from modelport.formats.front import inputs_of, matrix_of, missing_text
from modelport.formats.tabular import is_missing
from modelport.runtime.model import LoadedModel

FRAME = pd.DataFrame(
    {
        "word": ["a", "b", None, "001", "b", "a"] * 10,
        "hour": [1, 2, 3, 4, 5, 6] * 10,
        "temp": [1.5, None, 2.5, 0.0, -1.0, 3.0] * 10,
        "note": ["x", "y", "z", "x", "y", "z"] * 10,
        "flag": [True, False, True, True, False, False] * 10,
    }
)
LABELS = ["late", "on time", "late", "late", "on time", "on time"] * 10


def model():
    transformer = make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["word"]),
        ("passthrough", ["temp", "hour", "flag"]),
    )
    return make_pipeline(transformer, HistGradientBoostingClassifier(max_iter=8)).fit(FRAME, LABELS)


def test_the_runtime_serves_it_and_codes_rows_alike():
    conversion, _ = prove(model(), FRAME)
    loaded = LoadedModel(conversion.signature, conversion.serving)
    loaded.warm_up()
    columns = conversion.original.columns(FRAME)
    records = [
        {name: None if is_missing(value) else value for name, value in zip(columns, row, strict=True)}
        for row in zip(*(column.tolist() for column in columns.values()), strict=True)
    ]
    for record in records:
        record["hour"], record["flag"] = int(record["hour"]), bool(record["flag"])
    body = msgspec.json.encode({"dataframe_records": records})
    decoded = loaded.decoder_for("application/json")(body).matrix()
    assert np.array_equal(decoded, matrix_of(conversion.signature, columns), equal_nan=True)
    answers = conversion.original.answer(FRAME)
    outputs = loaded.run(decoded)
    assert np.array_equal(outputs.label, answers.label)
    assert np.abs(outputs.probabilities - answers.probabilities).max() <= 1e-15


def test_the_published_graph_names_its_inputs_and_passes_the_checker():
    conversion = convert(model(), FRAME)
    published = onnx.load_from_string(conversion.published)
    onnx.checker.check_model(published, full_check=True)
    onnx.checker.check_model(onnx.load_from_string(conversion.serving), full_check=True)
    found = {each.name: each.type for each in open_session(conversion.published).get_inputs()}
    assert found == {
        "word": "tensor(string)",
        "hour": "tensor(double)",  # may be missing, which int64 cannot say
        "temp": "tensor(double)",
        "flag": "tensor(double)",
    }
    assert {each.key: each.value for each in published.metadata_props} == {"missing_text": "__missing__"}


def test_equal_conversions_give_equal_bytes():
    fitted = model()
    first, second = convert(fitted, FRAME), convert(fitted, FRAME)
    assert (first.serving, first.published, first.signature) == (
        second.serving,
        second.published,
        second.signature,
    )


def test_a_missing_word_and_an_empty_one_are_told_apart():
    frame = pd.DataFrame({"word": ["", "a", None, "__missing__"] * 10})
    encoder = OneHotEncoder(handle_unknown="ignore")
    conversion, _ = prove(make_pipeline(encoder, LogisticRegression()).fit(frame, [0, 1, 2, 3] * 10), frame)
    assert missing_text(conversion.signature) == "__missing___"
    assert inputs_of(conversion.signature, conversion.original.columns(frame))["word"][
        :4
    ].ravel().tolist() == [
        "",
        "a",
        "__missing___",
        "__missing__",
    ]


def test_the_published_graph_refuses_an_unknown_word_that_the_model_refuses():
    frame = FRAME[["word"]].dropna()
    labels = [LABELS[row] for row in frame.index]
    conversion = convert(make_pipeline(OneHotEncoder(), LogisticRegression()).fit(frame, labels), frame)
    session = open_session(conversion.published)
    for word in ("never seen", "__missing__"):
        with pytest.raises(Exception, match=r"out of (data )?bounds"):
            session.run(None, {"word": np.array([[word]], dtype=object)})


def test_columns_called_like_outputs():
    frame = pd.DataFrame(
        {"predictions": [1.0, 2.0, 3.0, 4.0], "probabilities": [0.0, 1.0, 0.0, 2.0], "/x": [1.0] * 4}
    )
    prove(make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, [0, 1, 0, 1]), frame)


def test_columns_with_whole_numbers_as_labels():
    frame = pd.DataFrame({7: [1.0, 2.0, 3.0, 4.0], 8: [0.0, 1.0, 0.0, 2.0]})
    conversion, _ = prove(LogisticRegression().fit(frame, [0, 1, 0, 1]), frame)
    assert [feature.name for feature in conversion.signature.features] == ["x7", "x8"]


def test_a_model_that_reads_nothing():
    transformer = make_column_transformer(("drop", ["temp"]), remainder="drop")
    pipeline = make_pipeline(transformer, LogisticRegression())
    with pytest.raises((ConversionFailed, ValueError)):
        convert(pipeline.fit(FRAME, LABELS), FRAME)


def test_units_are_kept_and_checked():
    conversion = convert(model(), FRAME, units={"temp": "°F"})
    assert {feature.name: feature.unit for feature in conversion.signature.features}["temp"] == "°F"
    with pytest.raises(InvalidInput, match="'tmep'"):
        convert(model(), FRAME, units={"tmep": "°F"})


def test_seen_ranges_are_those_of_the_whole_example():
    features = {feature.name: feature for feature in convert(model(), FRAME).signature.features}
    assert (features["temp"].seen_min, features["temp"].seen_max) == (-1.0, 3.0)
    assert features["word"].seen_min is None
