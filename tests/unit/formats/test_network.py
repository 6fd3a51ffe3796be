"""Perceptrons answer like the original, and with the same bits alone and among others."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_linnerud
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fakes.conversions import assert_alone_as_together, prove
from modelport.domain.errors import ConversionFailed
from modelport.formats import convert

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
FEW = {"max_iter": 5, "random_state": 0}


def proven(model, rows, target):
    conversion, _ = prove(make_pipeline(StandardScaler(), model).fit(rows, target), rows, rows_max=600)
    columns = conversion.original.columns(rows)
    assert_alone_as_together(conversion, columns, families=("other",))


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("load", [load_breast_cancer, load_iris, load_digits])
def test_classifiers(load, activation):
    proven(MLPClassifier((7, 5), activation=activation, **FEW), *load(return_X_y=True))


@pytest.mark.parametrize("load", [load_diabetes, load_linnerud])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_regressors(load, activation):
    proven(MLPRegressor(hidden_layer_sizes=(9,), activation=activation, **FEW), *load(return_X_y=True))


def test_a_logarithmic_link():
    rows, target = load_diabetes(return_X_y=True)
    proven(MLPRegressor("poisson", (4,), **FEW), rows, target)


def test_several_labels_at_once_are_refused():
    rows, labels = load_iris(return_X_y=True)
    model = MLPClassifier((4,), **FEW).fit(rows, np.eye(3)[labels].astype(int))
    with pytest.raises(ConversionFailed, match="several labels"):
        convert(model, rows)
