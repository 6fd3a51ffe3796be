"""Which class is converted by which function; a class is one line, imported on first use.

Exact classes only: a subclass may behave differently, so it is not converted as its parent.
"""

from __future__ import annotations

from modelport.plugins import Plug, Plugs

HERE = "modelport.formats.scikit"


def _lines(path: str, *names: str) -> dict[str, Plug]:
    return {name: Plug(f"{HERE}.{path}", "sklearn") for name in names}


CONTAINERS = Plugs(
    "scikit-learn container",
    {
        **_lines("containers:convert_pipeline", "Pipeline"),
        **_lines("containers:convert_column_transformer", "ColumnTransformer"),
        **_lines("containers:convert_feature_union", "FeatureUnion"),
        **_lines(
            "containers:convert_search",
            *("GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV"),
        ),
    },
)
"""Steps that hand their input on to steps of their own."""

TRANSFORMERS = Plugs(
    "scikit-learn transformer",
    {
        **_lines("imputing:convert_simple_imputer", "SimpleImputer"),
        **_lines("imputing:convert_missing_indicator", "MissingIndicator"),
        **_lines("scaling:convert_standard", "StandardScaler"),
        **_lines("scaling:convert_min_max", "MinMaxScaler"),
        **_lines("scaling:convert_max_abs", "MaxAbsScaler"),
        **_lines("scaling:convert_robust", "RobustScaler"),
        **_lines("encoding:convert_one_hot", "OneHotEncoder"),
        **_lines("encoding:convert_ordinal", "OrdinalEncoder"),
        **_lines("encoding:convert_target", "TargetEncoder"),
        **_lines("functions:convert_function", "FunctionTransformer"),
        **_lines("combining:convert_polynomial", "PolynomialFeatures"),
        **_lines("combining:convert_pca", "PCA"),
        **_lines(
            "selecting:convert_selection",
            *("SelectKBest", "SelectPercentile", "SelectFpr", "SelectFdr", "SelectFwe", "SelectFromModel"),
            *("GenericUnivariateSelect", "SequentialFeatureSelector", "VarianceThreshold"),
        ),
    },
)
"""Steps that turn columns into columns."""

ESTIMATORS = Plugs(
    "scikit-learn estimator",
    {
        **_lines(
            "linear:convert_regressor",
            *("LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "LassoLars", "LassoLarsCV"),
            *("LassoLarsIC", "ElasticNet", "ElasticNetCV", "Lars", "LarsCV", "BayesianRidge"),
            *("ARDRegression", "HuberRegressor", "TheilSenRegressor", "QuantileRegressor", "LinearSVR"),
            *("OrthogonalMatchingPursuit", "OrthogonalMatchingPursuitCV", "SGDRegressor"),
            *("MultiTaskLasso", "MultiTaskLassoCV", "MultiTaskElasticNet", "MultiTaskElasticNetCV"),
        ),
        **_lines("linear:convert_generalized", "PoissonRegressor", "GammaRegressor", "TweedieRegressor"),
        **_lines(
            "linear:convert_classifier",
            *("LogisticRegression", "LogisticRegressionCV", "RidgeClassifier", "RidgeClassifierCV"),
            *("LinearSVC", "SGDClassifier", "Perceptron", "LinearDiscriminantAnalysis"),
        ),
        **_lines("trees:convert_tree", "DecisionTreeClassifier", "DecisionTreeRegressor"),
        **_lines("trees:convert_tree", "ExtraTreeClassifier", "ExtraTreeRegressor"),
        **_lines(
            "trees:convert_forest",
            *("RandomForestClassifier", "RandomForestRegressor"),
            *("ExtraTreesClassifier", "ExtraTreesRegressor"),
        ),
        **_lines("boosting:convert_boosting", "GradientBoostingClassifier", "GradientBoostingRegressor"),
        **_lines(
            "histogram:convert_histogram",
            *("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"),
        ),
        **_lines("network:convert_network", "MLPClassifier", "MLPRegressor"),
    },
)
"""Last steps; every other class goes through skl2onnx (`stock.py`)."""

STOCK = Plugs("stock converter", _lines("stock:convert_stock", "skl2onnx"))
"""What converts every other last step."""
