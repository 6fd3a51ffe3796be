"""Every link answers a row with the same bits alone, and anywhere in any batch."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LogisticRegression, PoissonRegressor, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from fakes.alike import assert_alike, each_alone
from fakes.conversions import prove
from modelport.formats import convert
from modelport.runtime.model import LoadedModel

WIDTH = 6
ROWS = 320


@cache
def rows_of(classes):
    rows, labels = make_classification(
        400, WIDTH, n_informative=WIDTH, n_redundant=0, n_classes=classes, random_state=classes
    )
    return rows, labels


def logistic(classes):
    rows, labels = rows_of(classes)
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, labels), rows


def sgd(loss, classes):
    rows, labels = rows_of(classes)
    return SGDClassifier(loss=loss, random_state=0).fit(rows, labels), rows


def histogram(classes):
    rows, labels = rows_of(classes)
    return HistGradientBoostingClassifier(max_iter=5, random_state=0).fit(rows, labels), rows


def gradient(loss, classes):
    rows, labels = rows_of(classes)
    return GradientBoostingClassifier(loss=loss, n_estimators=5, random_state=0).fit(rows, labels), rows


def poisson(make):
    rows, labels = rows_of(3)
    return make().fit(rows, labels), rows


def functions(function, width):
    rows, labels = rows_of(2)
    rows = np.abs(rows[:, :width]) + 0.1
    return make_pipeline(FunctionTransformer(function), LogisticRegression()).fit(rows, labels), rows


LINKS = {
    **{f"logistic, {classes} classes": (logistic, classes) for classes in range(2, 10)},
    **{f"one versus rest, {classes} classes": (sgd, "log_loss", classes) for classes in (2, 3, 4)},
    **{f"modified huber, {classes} classes": (sgd, "modified_huber", classes) for classes in (2, 3)},
    **{f"histogram boosting, {classes} classes": (histogram, classes) for classes in (2, 3, 4, 5, 6)},
    **{f"boosting, {classes} classes": (gradient, "log_loss", classes) for classes in (2, 3)},
    "boosting, exponential loss": (gradient, "exponential", 2),
    "Poisson, linear": (poisson, PoissonRegressor),
    "Poisson, boosting": (poisson, lambda: HistGradientBoostingRegressor(loss="poisson", max_iter=5)),
    **{
        f"{function.__name__} of {width}": (functions, function, width)
        for function in (np.log, np.log1p, np.exp, np.expm1, np.log10)
        for width in (1, 2, 3)
    },
}


@cache
def made(name):
    make, *arguments = LINKS[name]
    model, rows = make(*arguments)
    conversion = convert(model, rows)
    served = LoadedModel(conversion.signature, conversion.serving)
    matrix = rows[:ROWS]
    matrix = np.ascontiguousarray(matrix * np.random.default_rng(1).uniform(0.5, 1.5, matrix.shape))
    return served, matrix, each_alone(served.run, matrix)


@pytest.mark.parametrize("name", LINKS)
@settings(max_examples=12, deadline=None)
@given(start=st.integers(0, ROWS - 1), count=st.integers(2, 300))
def test_a_row_is_answered_the_same_alone_and_among_others(name, start, count):
    served, matrix, alone = made(name)
    assert_alike(served.run, matrix, alone, start, count)


@pytest.mark.parametrize("name", LINKS)
def test_and_as_the_original_answers_it(name):
    make, *arguments = LINKS[name]
    prove(*make(*arguments), rows_max=600, refusals=0)
