"""Trees, forests and boosting answer bit for bit, also where a row lies on a threshold."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeRegressor

from fakes.conversions import prove, serve
from modelport.domain.errors import ConversionFailed
from modelport.formats import convert

CLASSIFIERS = [
    DecisionTreeClassifier(random_state=0),
    RandomForestClassifier(20, random_state=0),
    ExtraTreesClassifier(15, random_state=0),
    GradientBoostingClassifier(n_estimators=6, random_state=0),
    HistGradientBoostingClassifier(max_iter=10),
]
REGRESSORS = [
    DecisionTreeRegressor(random_state=0),
    ExtraTreeRegressor(random_state=0),
    RandomForestRegressor(20, random_state=0),
    ExtraTreesRegressor(15, random_state=0),
    GradientBoostingRegressor(n_estimators=20, random_state=0),
    HistGradientBoostingRegressor(max_iter=20),
]


def name_of(model):
    return type(model).__name__


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer, load_digits])
@pytest.mark.parametrize("model", CLASSIFIERS, ids=name_of)
def test_classifiers_behind_a_scaler(load, model):
    rows, labels = load(return_X_y=True)
    conversion, found = prove(make_pipeline(StandardScaler(), model).fit(rows, labels), rows)
    exact = conversion.family in {"tree", "forest"}
    assert found.max_absolute <= (0.0 if exact else 1e-14)


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler(), RobustScaler(), None], ids=name_of)
@pytest.mark.parametrize("model", REGRESSORS, ids=name_of)
def test_regressors_behind_scalers(scaler, model):
    rows, target = load_diabetes(return_X_y=True, as_frame=True)
    _, found = prove(make_pipeline(scaler, model).fit(rows, target), rows)
    assert found.max_absolute == 0.0


@pytest.mark.parametrize("model", [*CLASSIFIERS, *REGRESSORS], ids=name_of)
def test_the_trap_of_rows_on_a_threshold_after_scaling(model):
    """Each raw threshold and its neighbours, one column at a time, in data rows: not one bit differs."""
    classifies = hasattr(model, "predict_proba")
    rows, target = (load_breast_cancer if classifies else load_diabetes)(return_X_y=True)
    fitted = make_pipeline(StandardScaler(), model).fit(rows, target)
    conversion = convert(fitted, rows)
    asked = []
    for column, (name, thresholds) in enumerate(conversion.thresholds.items()):
        assert name == f"x{column}" or name in conversion.thresholds
        place = int(name[1:])
        some = thresholds[:: max(1, len(thresholds) // 60)]
        around = np.concatenate([some, np.nextafter(some, np.inf), np.nextafter(some, -np.inf)])
        block = rows[np.arange(len(around)) % len(rows)].copy()
        block[:, place] = around
        asked.append(block)
    asked = np.concatenate(asked)
    columns = conversion.original.columns(asked)
    served, answers = serve(conversion, columns), conversion.original.answer(asked)
    if classifies:
        assert np.abs(served.probabilities - answers.probabilities).max() <= 1e-15
        assert np.array_equal(served.label, answers.label)
    else:
        assert np.array_equal(served.predictions, answers.predictions)


def test_thresholds_are_raw_values_on_either_side_of_a_turn():
    rows, target = load_diabetes(return_X_y=True)
    tree = DecisionTreeRegressor(max_depth=1).fit(StandardScaler().fit_transform(rows), target)
    model = make_pipeline(StandardScaler().fit(rows), tree)
    conversion = convert(model, rows)
    ((name, (below, above)),) = conversion.thresholds.items()
    assert np.nextafter(below, np.inf) == above
    both = np.tile(rows[:1], (2, 1))
    both[:, int(name[1:])] = below, above
    first, second = model.predict(both)
    assert first != second


def test_missing_values_go_where_training_sent_them():
    rows, labels = load_wine(return_X_y=True)
    holes = rows.copy()
    holes[np.random.default_rng(0).random(rows.shape) < 0.1] = np.nan
    for model in (
        DecisionTreeClassifier(random_state=0),
        RandomForestClassifier(10, random_state=0),
        HistGradientBoostingClassifier(max_iter=10),
    ):
        conversion, _ = prove(make_pipeline(StandardScaler(), model).fit(holes, labels), holes)
        assert all(feature.missing for feature in conversion.signature.features)


def test_a_tree_that_is_one_leaf():
    rows = np.arange(12.0).reshape(6, 2)
    _, found = prove(DecisionTreeRegressor(max_depth=1, min_samples_leaf=6).fit(rows, np.arange(6.0)), rows)
    assert found.max_absolute == 0.0


@pytest.mark.parametrize("model", [DecisionTreeRegressor(), RandomForestRegressor(10), LinearRegression()])
def test_several_targets(model):
    rows, target = load_diabetes(return_X_y=True)
    conversion, _ = prove(model.fit(rows, np.stack([target, -target, target**2], axis=1)), rows)
    assert conversion.signature.output.targets == ("y0", "y1", "y2")


def test_several_labels_at_once_are_refused():
    rows, labels = load_iris(return_X_y=True)
    model = RandomForestClassifier(3).fit(rows, np.stack([labels, labels], axis=1))
    with pytest.raises(ConversionFailed, match="several labels"):
        convert(model, rows)


@pytest.mark.parametrize("loss", ["absolute_error", "quantile", "poisson", "gamma"])
def test_losses_of_histogram_boosting(loss):
    rows, target = load_diabetes(return_X_y=True)
    quantile = 0.3 if loss == "quantile" else None
    model = HistGradientBoostingRegressor(max_iter=15, loss=loss, quantile=quantile).fit(rows, target)
    conversion, found = prove(model, rows)
    assert conversion.family == ("boosting-log" if loss in {"poisson", "gamma"} else "boosting")
    assert found.max_relative <= 1e-15


@pytest.mark.parametrize("model", [GradientBoostingRegressor(loss="huber", n_estimators=8)], ids=name_of)
def test_losses_of_gradient_boosting(model):
    rows, target = load_diabetes(return_X_y=True)
    assert prove(model.fit(rows, target), rows)[1].max_absolute == 0.0


@pytest.mark.parametrize("options", [{"loss": "exponential"}, {"init": "zero"}])
def test_first_guess_and_exponential_loss(options):
    rows, labels = load_breast_cancer(return_X_y=True)
    model = GradientBoostingClassifier(n_estimators=8, **options).fit(rows, labels)
    assert prove(model, rows)[1].max_absolute <= 1e-15


def test_a_first_guess_by_a_model_is_refused_with_what_works():
    rows, target = load_diabetes(return_X_y=True)
    model = GradientBoostingRegressor(n_estimators=2, init=LinearRegression()).fit(rows, target)
    with pytest.raises(ConversionFailed, match="starts from a LinearRegression") as caught:
        convert(model, rows)
    assert "init='zero'" in caught.value.hint


@pytest.mark.parametrize("function", [np.log1p, np.sqrt, np.square, np.cbrt])
def test_trees_behind_functions_decide_by_raw_numbers(function):
    rows, target = load_diabetes(return_X_y=True)
    rows = np.abs(rows)
    model = make_pipeline(FunctionTransformer(function), RandomForestRegressor(5)).fit(rows, target)
    if function is np.cbrt:
        with pytest.raises(ConversionFailed, match=r"pipe\[0\] applies the function cbrt"):
            convert(model, rows)
    else:
        # the logarithm of less than -1 is refused although the tree would take it for missing
        assert prove(model, rows, refusals=0)[1].max_absolute == 0.0


@pytest.mark.parametrize("kind", [np.float32, np.int64])
def test_arrays_of_other_types(kind):
    rows, labels = load_wine(return_X_y=True)
    rows = rows.astype(kind)
    for model in CLASSIFIERS:
        prove(make_pipeline(StandardScaler(), model).fit(rows, labels), rows, rows_max=1000)
