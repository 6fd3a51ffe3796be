"""Words and categories: every rule of the encoder itself, for known, unknown and missing values."""

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)
from sklearn.tree import DecisionTreeClassifier

from fakes.conversions import prove
from modelport.domain.errors import ConversionFailed, InvalidInput
from modelport.domain.signature import FeatureType
from modelport.formats import convert

ROWS = 240
WORDS = ("001", "01", "1", "abc", "é")
RNG = np.random.default_rng(7)
NUMBER = RNG.normal(size=ROWS)
LABELS = (NUMBER + RNG.normal(size=ROWS) > 0).astype(int)


def words(missing=None, share=0.0):
    values = np.array(RNG.choice(WORDS, ROWS), dtype=object)
    values[RNG.random(ROWS) < share] = missing
    return pd.Series(values, dtype=object)


def one_hot(**options):
    return OneHotEncoder(sparse_output=False, **options)


KINDS = {
    "str": words().astype("str"),
    "object": words(),
    "string": words().astype("string"),
    "category": words().astype("category"),
    "str, missing": words(None, 0.1).astype("str"),
    "object, None": words(None, 0.1),
    "object, NaN": words(math.nan, 0.1),
    "category, missing": words(None, 0.1).astype("category"),
}
ENCODERS = {
    "ignore": one_hot(handle_unknown="ignore"),
    "error": one_hot(),
    "drop": one_hot(drop="first", handle_unknown="ignore"),
    "infrequent": one_hot(max_categories=3, handle_unknown="infrequent_if_exist"),
    "ordinal": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
    "target": TargetEncoder(),
    "imputed": make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot(handle_unknown="ignore")),
    "filled": make_pipeline(SimpleImputer(strategy="constant", fill_value="none"), one_hot()),
}


def fitted(encoder, column, model):
    frame = pd.DataFrame({"number": NUMBER, "word": column})
    transformer = make_column_transformer((encoder, ["word"]), remainder="passthrough")
    return make_pipeline(transformer, model).fit(frame, LABELS), frame


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
@pytest.mark.parametrize("column", KINDS.values(), ids=KINDS)
def test_encoders_of_words(encoder, column):
    linear = column is KINDS["str"] or column is KINDS["object, None"]
    for model in (HistGradientBoostingClassifier(max_iter=6), *([LogisticRegression()] if linear else [])):
        conversion, _ = prove(*fitted(encoder, column, model), rows_max=400, refusals=10)
        (word,) = (feature for feature in conversion.signature.features if feature.name == "word")
        assert set(WORDS) <= set(word.vocabulary)
        assert word.type is (
            FeatureType.CATEGORY if isinstance(column.dtype, pd.CategoricalDtype) else FeatureType.STRING
        )


def test_what_an_encoder_refuses_the_signature_refuses():
    conversion, _ = prove(*fitted(one_hot(), words(), LogisticRegression()))
    word = conversion.signature.features[1]
    assert (word.unknown, word.missing) == (False, False)
    conversion, _ = prove(*fitted(one_hot(handle_unknown="ignore"), words(), LogisticRegression()))
    word = conversion.signature.features[1]
    assert (word.unknown, word.missing) == (True, True)


def test_the_vocabulary_is_in_the_encoders_order():
    conversion = convert(*fitted(one_hot(), words(), LogisticRegression()))
    assert conversion.signature.features[1].vocabulary == WORDS


NUMBERS = {
    "int64": RNG.integers(0, 5, ROWS),
    "int8": RNG.integers(0, 5, ROWS).astype(np.int8),
    "Int64": pd.array([None if draw < 0.1 else int(draw * 10) for draw in RNG.random(ROWS)], dtype="Int64"),
    "boolean": pd.array([None if draw < 0.1 else draw < 0.5 for draw in RNG.random(ROWS)], dtype="boolean"),
    "bool": RNG.random(ROWS) < 0.5,
    "float64": RNG.random(ROWS).round(1),
    "float32": RNG.random(ROWS).round(1).astype(np.float32),
    "Float32": pd.array(RNG.random(ROWS).round(1), dtype="Float32"),
    "category of int": pd.Series(RNG.integers(3, 8, ROWS)).astype("category"),
    "objects": pd.Series(RNG.integers(0, 5, ROWS).tolist(), dtype=object),
}
NUMBER_ENCODERS = {
    "ignore": one_hot(handle_unknown="ignore"),
    "error": one_hot(),
    "ordinal": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
    "imputed": make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()),
}


@pytest.mark.parametrize("encoder", NUMBER_ENCODERS.values(), ids=NUMBER_ENCODERS)
@pytest.mark.parametrize("column", NUMBERS.values(), ids=NUMBERS)
def test_encoders_of_numbers(encoder, column):
    # a category whose number was never seen cannot stand in the column, so it is refused
    strict = encoder is NUMBER_ENCODERS["imputed"] and "category" in str(getattr(column, "dtype", ""))
    if getattr(column, "dtype", None) == np.bool_ and encoder is NUMBER_ENCODERS["imputed"]:
        encoder = StandardScaler()  # SimpleImputer takes no bool
    linear = column is NUMBERS["int64"] or column is NUMBERS["float32"]
    for model in (DecisionTreeClassifier(max_depth=5), *([LogisticRegression()] if linear else [])):
        prove(*fitted(encoder, column, model), rows_max=400, refusals=0 if strict else 10)


def test_numbers_that_an_encoder_refuses_get_a_vocabulary():
    column = pd.Series([3, 5, 9] * (ROWS // 3))
    conversion, _ = prove(*fitted(one_hot(), column, LogisticRegression()))
    feature = conversion.signature.features[1]
    assert (feature.type, feature.vocabulary, feature.unknown) == (FeatureType.INT64, (3, 5, 9), False)


@pytest.mark.parametrize(
    "options", [{"categorical_features": "from_dtype"}, {"categorical_features": ["word", "code"]}]
)
def test_native_categories_by_type_and_by_name(options):
    frame = pd.DataFrame(
        {"number": NUMBER, "word": KINDS["category, missing"], "code": RNG.integers(0, 6, ROWS)}
    )
    target = np.where(frame["word"].isin(["01", "abc"]), 1, 0) ^ (frame["code"] == 3)
    model = HistGradientBoostingClassifier(max_iter=12, **options).fit(frame, target)
    conversion, found = prove(model, frame)
    assert found.max_absolute <= 1e-15
    assert conversion.signature.features[1].unknown


def test_native_categories_by_place_in_an_array():
    rows = np.stack([NUMBER, RNG.integers(0, 40, ROWS), RNG.integers(0, 3, ROWS)], axis=1)
    rows[::17, 1] = np.nan
    target = NUMBER + np.sin(np.nan_to_num(rows[:, 1]))
    model = HistGradientBoostingRegressor(max_iter=12, categorical_features=[1]).fit(rows, target)
    assert prove(model, rows)[1].max_absolute == 0.0


def test_the_columns_of_a_transformer_by_every_means():
    frame = pd.DataFrame({"number": NUMBER, "word": KINDS["str, missing"], "count": RNG.integers(0, 9, ROWS)})
    text, numbers = one_hot(handle_unknown="ignore"), StandardScaler()
    for text_columns, number_columns in (
        (["word"], ["count", "number"]),
        ([1], [0, 2]),
        (slice(1, 2), [True, False, True]),
        (make_column_selector(dtype_include="str"), make_column_selector(dtype_include="number")),
    ):
        transformer = make_column_transformer((text, text_columns), (numbers, number_columns))
        model = make_pipeline(transformer, LogisticRegression()).fit(frame, LABELS)
        conversion, _ = prove(model, frame[["count", "word", "number"]], rows_max=500)
        assert [feature.name for feature in conversion.signature.features] == ["count", "word", "number"]


def test_dropped_columns_are_unused_whatever_they_hold():
    frame = pd.DataFrame(
        {
            "word": KINDS["str"],
            "number": NUMBER,
            "when": pd.date_range("2020", periods=ROWS),
            "thing": [object()] * ROWS,
        }
    )
    transformer = make_column_transformer((one_hot(), ["word"]), remainder="drop")
    model = make_pipeline(transformer, LogisticRegression()).fit(frame, LABELS)
    conversion, _ = prove(model, frame)
    assert [feature.used for feature in conversion.signature.features] == [True, False, False, False]
    assert conversion.signature.features[2].type is FeatureType.DATETIME
    without = frame[["word"]]
    assert (
        len(conversion.original.answer(conversion.original.build(conversion.original.columns(without))).label)
        == ROWS
    )


def test_a_date_that_is_read_is_refused():
    frame = pd.DataFrame({"when": pd.date_range("2020", periods=ROWS), "number": NUMBER})
    transformer = make_column_transformer((one_hot(), ["when"]), remainder="passthrough")
    model = make_pipeline(transformer, LogisticRegression()).fit(frame, LABELS)
    with pytest.raises(ConversionFailed, match="reads the column 'when'") as caught:
        convert(model, frame)
    assert "drop" in caught.value.hint


def test_words_where_numbers_are_needed_name_the_step():
    frame = pd.DataFrame({"word": ["1", "2", "3", "4"], "number": [1.0, 2.0, 3.0, 4.0]})
    model = make_pipeline(FunctionTransformer(), StandardScaler(), LogisticRegression())
    model.fit(frame, [0, 1, 0, 1])  # scikit-learn reads the text as numbers
    with pytest.raises(ConversionFailed, match=r"pipe\[1\] \(StandardScaler\) needs numbers") as caught:
        convert(model, frame)
    assert "OneHotEncoder" in caught.value.hint


def test_both_none_and_nan_as_categories_are_refused():
    column = words(None, 0.1)
    column[::9] = math.nan
    with pytest.raises(ConversionFailed, match="both None and NaN"):
        convert(*fitted(one_hot(), column, LogisticRegression()))


def test_an_object_array():
    rows = np.array([[1.5, "a"], [2.5, "b"], [3.5, "a"], [4.0, "c"]] * 20, dtype=object)
    transformer = make_column_transformer((one_hot(), [1]), (StandardScaler(), [0]))
    conversion, _ = prove(make_pipeline(transformer, LogisticRegression()).fit(rows, [0, 1, 0, 1] * 20), rows)
    assert conversion.signature.matrix
    assert [feature.type for feature in conversion.signature.features] == [
        FeatureType.DOUBLE,
        FeatureType.STRING,
    ]


def test_columns_that_say_where_values_are_missing():
    rows = np.stack([NUMBER, NUMBER**2], axis=1)
    rows[::5, 1] = np.nan
    model = make_pipeline(MissingIndicator(features="all"), DecisionTreeClassifier()).fit(rows, LABELS)
    prove(model, rows)
    model = make_pipeline(MissingIndicator(), DecisionTreeClassifier()).fit(rows, LABELS)
    conversion, _ = prove(model, rows)  # refuses what was never missing in training
    assert [feature.missing for feature in conversion.signature.features] == [False, True]


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent", "constant"])
def test_imputers_of_numbers(strategy):
    rows = np.stack([NUMBER.round(1), NUMBER**2], axis=1)
    rows[::5, 1] = np.nan
    rows[::7, 0] = np.nan
    imputer = SimpleImputer(strategy=strategy, add_indicator=True)
    for model in (LogisticRegression(), DecisionTreeClassifier(random_state=0)):
        prove(make_pipeline(imputer, model).fit(rows, LABELS), rows)


def test_a_number_that_stands_for_a_missing_one():
    rows = np.stack([NUMBER.round(1), np.where(NUMBER > 1, -1.0, NUMBER)], axis=1)
    imputer = SimpleImputer(missing_values=-1.0, strategy="mean", add_indicator=True)
    prove(make_pipeline(imputer, DecisionTreeClassifier(random_state=0)).fit(rows, LABELS), rows)


def test_an_example_without_a_column_says_which():
    model, frame = fitted(one_hot(), words(), LogisticRegression())
    with pytest.raises(InvalidInput, match="'word'"):
        convert(model, frame[["number"]])
