"""Linear models answer within 1e-12 of the terms they add."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.linear_model import (
    ElasticNet,
    GammaRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Perceptron,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    TweedieRegressor,
)
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import LinearSVC

from fakes.conversions import prove
from modelport.domain.errors import ConversionFailed
from modelport.formats import convert
from modelport.formats.front import matrix_of


def name_of(model):
    return type(model).__name__


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer])
@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        LinearDiscriminantAnalysis(),
        SGDClassifier(loss="log_loss", random_state=0),
        RidgeClassifier(),
        LinearSVC(random_state=0),
        Perceptron(random_state=0),
    ],
    ids=name_of,
)
def test_classifiers(load, model):
    rows, labels = load(return_X_y=True)
    conversion, _ = prove(make_pipeline(StandardScaler(), model).fit(rows, labels), rows)
    assert conversion.family == "linear"
    assert conversion.signature.output.probabilities == hasattr(model, "predict_proba")


@pytest.mark.parametrize("labels", [["no", "yes"], [True, False], [7, 3], ["001", "1"]])
def test_the_words_of_the_labels(labels):
    rows, target = load_breast_cancer(return_X_y=True)
    words = np.array(labels)[target]
    conversion, _ = prove(make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, words), rows)
    assert conversion.signature.output.labels == tuple(sorted(labels))


def test_probabilities_of_the_modified_huber_loss():
    rows, labels = load_breast_cancer(return_X_y=True)
    model = make_pipeline(StandardScaler(), SGDClassifier(loss="modified_huber", random_state=0))
    prove(model.fit(rows, labels), rows)


@pytest.mark.parametrize(
    "scaler", [StandardScaler(), MinMaxScaler(clip=True), MaxAbsScaler(), RobustScaler()]
)
@pytest.mark.parametrize(
    "model",
    [
        LinearRegression(),
        Ridge(),
        Lasso(),
        ElasticNet(),
        PoissonRegressor(),
        GammaRegressor(),
        TweedieRegressor(),
    ],
    ids=name_of,
)
def test_regressors_behind_scalers(scaler, model):
    rows, target = load_diabetes(return_X_y=True, as_frame=True)
    prove(make_pipeline(scaler, model).fit(rows, target), rows, rows_max=500, refusals=8)


@pytest.mark.parametrize(
    "steps",
    [
        [PolynomialFeatures(2), StandardScaler()],
        [StandardScaler(), PolynomialFeatures((2, 3), interaction_only=True, include_bias=False)],
        [PolynomialFeatures(3)],
        [StandardScaler(), PCA(4, whiten=True)],
        [SelectKBest(f_regression, k=4), StandardScaler()],
        [FeatureUnion([("a", StandardScaler()), ("b", MinMaxScaler()), ("c", "passthrough")])],
    ],
    ids=lambda steps: "+".join(map(name_of, steps)),
)
def test_steps_that_mix_columns(steps):
    rows, target = load_diabetes(return_X_y=True, as_frame=True)
    rows = rows.iloc[:, :6]
    # products of several columns are bounded by each factor alone, which refuses more than needed
    prove(make_pipeline(*steps, Ridge()).fit(rows, target), rows, refusals=0)


@pytest.mark.parametrize(
    "function",
    [np.log1p, np.expm1, np.log, np.log2, np.log10, np.exp, np.sqrt, np.square, np.abs],
)
def test_functions_of_numpy(function):
    rows, target = load_diabetes(return_X_y=True, as_frame=True)
    rows = rows.abs() + 0.01
    prove(
        make_pipeline(FunctionTransformer(function), Ridge()).fit(rows, target),
        rows,
        rows_max=500,
        refusals=8,
    )


def test_a_function_of_the_user_is_refused_by_name():
    rows, target = load_diabetes(return_X_y=True)

    def twice(values):
        return values * 2

    model = make_pipeline(FunctionTransformer(twice), Ridge()).fit(rows, target)
    with pytest.raises(ConversionFailed, match=r"pipe\[0\] applies the function .*twice") as caught:
        convert(model, rows)
    assert "log1p" in caught.value.hint


def test_float32_is_named_where_the_original_computes_in_it():
    rows, labels = load_breast_cancer(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows.astype(np.float32), labels)
    conversion, _ = prove(model, rows.astype(np.float32))
    assert conversion.float32 == ("pipe[0] (StandardScaler)", "pipe[1] (LogisticRegression)")
    assert not convert(model, rows).float32  # the same steps compute in double on doubles


def test_the_best_of_a_search():
    rows, target = load_diabetes(return_X_y=True)
    search = GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [0.1, 1.0]})
    conversion, _ = prove(search.fit(rows, target), rows)
    assert conversion.estimator == "Ridge"
    with pytest.raises(ConversionFailed, match="refit=False"):
        convert(GridSearchCV(Ridge(), {"alpha": [1, 2]}, refit=False).fit(rows, target), rows)


def test_the_scale_is_the_sum_of_the_terms():
    frame = pd.DataFrame({"a": [1.0, -2.0, 3.0, 0.5], "b": ["x", "y", "x", "z"]})
    encoder = FeatureUnion([("one", OneHotEncoder(sparse_output=False))])
    model = make_pipeline(StandardScaler(), Ridge()).fit(frame[["a"]], [1.0, 2.0, 0.0, 1.0])
    conversion = convert(model, frame[["a"]])
    scaled = model[0].transform(frame[["a"]])
    wanted = np.abs(scaled * model[1].coef_).sum(axis=1) + abs(model[1].intercept_)
    found = conversion.scale(matrix_of(conversion.signature, conversion.original.columns(frame)))
    assert np.allclose(found, wanted, rtol=1e-12)
    words = make_pipeline(encoder, Ridge()).fit(frame[["b"]], [1.0, 2.0, 0.0, 1.0])
    conversion = convert(words, frame[["b"]])
    wanted = np.abs(words[0].transform(frame[["b"]]) * words[1].coef_).sum(axis=1) + abs(words[1].intercept_)
    found = conversion.scale(matrix_of(conversion.signature, conversion.original.columns(frame)))
    assert np.allclose(found, wanted, rtol=1e-12)


def test_sparse_columns_are_scaled_by_the_reciprocal():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.choice(list("abcdef"), 200) for name in "uvw"})
    target = rng.normal(size=200)
    for scaler in (StandardScaler(with_mean=False), MaxAbsScaler(), RobustScaler(with_centering=False)):
        prove(make_pipeline(OneHotEncoder(), scaler, Ridge()).fit(frame, target), frame)
