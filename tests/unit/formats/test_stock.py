"""Other last steps go through skl2onnx; what cannot be converted says so."""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler
from sklearn.svm import SVC, SVR

from fakes.conversions import prove
from modelport.domain.errors import ConversionFailed, InvalidInput
from modelport.formats import convert

ROWS, TARGET = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[TARGET]


@pytest.mark.parametrize("model", [SVC(), GaussianNB(), MLPClassifier((4,), max_iter=4000, random_state=0)])
def test_models_with_a_double_form(model):
    conversion, _ = prove(make_pipeline(StandardScaler(), model).fit(ROWS, NAMES), ROWS, refusals=5)
    assert (conversion.family, conversion.float32) == ("other", ())


def test_a_float32_form_is_named():
    conversion = convert(make_pipeline(StandardScaler(), SVR()).fit(ROWS, TARGET), ROWS)
    assert conversion.float32 == ("pipe[1] (SVR)",)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (make_pipeline(StandardScaler(), DummyClassifier()), r"pipe\[1\] is a DummyClassifier"),
        (
            make_pipeline(QuantileTransformer(n_quantiles=20), LogisticRegression()),
            r"pipe\[0\] is a Quantile",
        ),
        (KMeans(2), "neither a classifier nor a regressor"),
    ],
)
def test_what_cannot_be_converted_says_which_step_and_what_works(model, message):
    with pytest.raises(ConversionFailed, match=message) as caught:
        convert(model.fit(ROWS, NAMES), ROWS)
    assert caught.value.hint


def test_a_class_of_the_users_own_is_not_taken_for_its_parent():
    class Odd(LogisticRegression):
        def predict(self, rows):
            return super().predict(rows)[::-1]

    with pytest.raises(ConversionFailed, match="not one of scikit-learn's own classes"):
        convert(Odd(max_iter=500).fit(ROWS, NAMES), ROWS)


def test_a_model_that_is_not_fitted():
    with pytest.raises(ConversionFailed, match="not fitted"):
        convert(LogisticRegression(), ROWS)


def test_a_model_of_no_known_framework():
    with pytest.raises(ConversionFailed, match="expected a model of sklearn"):
        convert(object(), ROWS)


def test_an_example_of_another_width():
    with pytest.raises(InvalidInput, match="fitted on 4 columns, the example gives it 3"):
        convert(LogisticRegression(max_iter=500).fit(ROWS, NAMES), ROWS[:, :3])


@pytest.mark.parametrize("example", [ROWS[:0], ROWS[0], [["a"]]])
def test_an_example_that_is_none(example):
    with pytest.raises(InvalidInput):
        convert(LogisticRegression(max_iter=500).fit(ROWS, NAMES), example)
