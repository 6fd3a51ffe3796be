"""The models that must convert: one list for the reference page and for the tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sklearn.compose import ColumnTransformer, make_column_selector
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
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from catalogue.data import Data, load
from modelport.quickstart.flights import CATEGORIES, NUMBERS

EXAMPLE_ROWS = 300


@dataclass(frozen=True)
class Entry:
    """One model on one data set.

    Args:
        title: What it is, for people; unique.
        data: Name of the data set.
        make: Returns the unfitted model.
        quick: It also runs in the tests.
    """

    title: str
    data: str
    make: Callable[[], Any]
    quick: bool = False

    def fit(self) -> tuple[Any, Any]:
        """Return the fitted model and example rows of its training data."""
        found: Data = load(self.data)
        with threadpool_limits(1):  # threads that wait for each other take seconds on a busy machine
            model = self.make().fit(found.x, found.y)
        step = max(1, len(found.x) // EXAMPLE_ROWS)
        return model, found.x[::step] if not hasattr(found.x, "iloc") else found.x.iloc[::step]


def by_kind(words: Any, numbers: Any) -> ColumnTransformer:
    """Return one treatment for words and one for numbers of the flights."""
    return ColumnTransformer([("words", words, list(CATEGORIES)), ("numbers", numbers, list(NUMBERS))])


def odd(words: Any) -> ColumnTransformer:
    """Return a treatment of the odd flights' columns."""
    return ColumnTransformer(
        [
            ("code", words, ["flight_code"]),
            (
                "carrier",
                make_pipeline(SimpleImputer(strategy="most_frequent", missing_values=None), words),
                ["carrier"],
            ),
            ("numbers", SimpleImputer(), ["hour", "wind_speed"]),
        ],
        remainder="passthrough",
    )


def most_frequent_word() -> SimpleImputer:
    return SimpleImputer(strategy="most_frequent", missing_values=None)


def impute_and_scale() -> Any:
    return make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())


def unknown_ignored(**options: Any) -> OneHotEncoder:
    return OneHotEncoder(handle_unknown="ignore", sparse_output=False, **options)


def ordinal() -> OrdinalEncoder:
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)


def logistic(**options: Any) -> LogisticRegression:
    return LogisticRegression(max_iter=2000, **options)


CATALOGUE: tuple[Entry, ...] = (
    # linear models
    Entry("LinearRegression", "diabetes", LinearRegression, quick=True),
    Entry("LinearRegression, 3 targets", "linnerud", LinearRegression, quick=True),
    Entry("Ridge after StandardScaler", "diabetes (frame)", lambda: make_pipeline(StandardScaler(), Ridge())),
    Entry("Lasso after RobustScaler", "diabetes", lambda: make_pipeline(RobustScaler(), Lasso(alpha=0.1))),
    Entry(
        "ElasticNet after SimpleImputer with indicator",
        "diabetes, gaps",
        lambda: make_pipeline(SimpleImputer(add_indicator=True), ElasticNet(alpha=0.01)),
    ),
    Entry(
        "LogisticRegression after StandardScaler",
        "breast cancer",
        lambda: make_pipeline(StandardScaler(), logistic()),
        quick=True,
    ),
    Entry(
        "LogisticRegression, 3 classes, after MinMaxScaler",
        "wine (frame)",
        lambda: make_pipeline(MinMaxScaler(), logistic()),
    ),
    Entry(
        "RidgeClassifier after MaxAbsScaler", "wine", lambda: make_pipeline(MaxAbsScaler(), RidgeClassifier())
    ),
    Entry("LinearSVC after StandardScaler", "iris", lambda: make_pipeline(StandardScaler(), LinearSVC())),
    Entry(
        "SGDClassifier (log loss) after StandardScaler",
        "breast cancer",
        lambda: make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)),
    ),
    Entry(
        "GridSearchCV over LogisticRegression",
        "iris (frame)",
        lambda: GridSearchCV(
            make_pipeline(StandardScaler(), logistic()), {"logisticregression__C": [0.1, 1]}
        ),
    ),
    Entry(
        "OneHotEncoder, imputer, scaler, LogisticRegression",
        "flights",
        lambda: make_pipeline(by_kind(unknown_ignored(), impute_and_scale()), logistic()),
        quick=True,
    ),
    Entry(
        "OneHotEncoder (infrequent, first dropped), LogisticRegression",
        "flights",
        lambda: make_pipeline(
            by_kind(
                OneHotEncoder(
                    handle_unknown="infrequent_if_exist", min_frequency=60, drop="first", sparse_output=False
                ),
                make_pipeline(SimpleImputer(strategy="constant", fill_value=-1.0), StandardScaler()),
            ),
            logistic(),
        ),
    ),
    Entry(
        "OneHotEncoder (unknown is an error), Ridge on classes",
        "flights",
        lambda: make_pipeline(
            by_kind(OneHotEncoder(sparse_output=False), impute_and_scale()), RidgeClassifier()
        ),
    ),
    Entry(
        "Text like 001, missing words, nullable integers: LogisticRegression",
        "flights (odd columns)",
        lambda: make_pipeline(odd(unknown_ignored()), StandardScaler(), logistic()),
        quick=True,
    ),
    # single trees
    Entry("DecisionTreeClassifier", "iris", lambda: DecisionTreeClassifier(random_state=0), quick=True),
    Entry("DecisionTreeClassifier, depth 4", "digits", lambda: DecisionTreeClassifier(max_depth=4)),
    Entry("DecisionTreeRegressor", "diabetes", lambda: DecisionTreeRegressor(random_state=0)),
    Entry(
        "DecisionTreeRegressor after StandardScaler",
        "diabetes",
        lambda: make_pipeline(StandardScaler(), DecisionTreeRegressor(random_state=0)),
        quick=True,
    ),
    Entry(
        "DecisionTreeClassifier with gaps",
        "breast cancer, gaps",
        lambda: DecisionTreeClassifier(random_state=0),
    ),
    Entry(
        "DecisionTreeRegressor, 3 targets",
        "linnerud",
        lambda: DecisionTreeRegressor(max_depth=3, random_state=0),
    ),
    # forests
    Entry("RandomForestClassifier", "breast cancer", lambda: RandomForestClassifier(50, random_state=0)),
    Entry("RandomForestClassifier, 10 classes", "digits", lambda: RandomForestClassifier(30, random_state=0)),
    Entry(
        "RandomForestClassifier after StandardScaler",
        "wine",
        lambda: make_pipeline(StandardScaler(), RandomForestClassifier(30, random_state=0)),
        quick=True,
    ),
    Entry("RandomForestRegressor", "diabetes", lambda: RandomForestRegressor(50, random_state=0), quick=True),
    Entry("RandomForestRegressor, 3 targets", "linnerud", lambda: RandomForestRegressor(20, random_state=0)),
    Entry(
        "RandomForestRegressor with gaps after MinMaxScaler",
        "diabetes, gaps",
        lambda: make_pipeline(MinMaxScaler(), RandomForestRegressor(30, random_state=0)),
    ),
    Entry("ExtraTreesClassifier", "wine", lambda: ExtraTreesClassifier(40, random_state=0)),
    Entry("ExtraTreesRegressor", "diabetes", lambda: ExtraTreesRegressor(30, random_state=0)),
    Entry(
        "OneHotEncoder, imputer, RandomForestClassifier",
        "flights",
        lambda: make_pipeline(
            by_kind(unknown_ignored(), SimpleImputer()),
            RandomForestClassifier(30, max_depth=12, random_state=0),
        ),
    ),
    Entry(
        "RandomizedSearchCV over OrdinalEncoder and ExtraTreesClassifier",
        "flights",
        lambda: RandomizedSearchCV(
            make_pipeline(
                by_kind(ordinal(), SimpleImputer(strategy="median")),
                ExtraTreesClassifier(20, max_depth=10, random_state=0),
            ),
            {"extratreesclassifier__max_depth": [6, 10]},
            n_iter=2,
            cv=2,
            random_state=0,
        ),
    ),
    # boosting
    Entry("GradientBoostingClassifier", "breast cancer", lambda: GradientBoostingClassifier(random_state=0)),
    Entry(
        "GradientBoostingClassifier, 3 classes",
        "iris",
        lambda: GradientBoostingClassifier(n_estimators=40, random_state=0),
        quick=True,
    ),
    Entry("GradientBoostingRegressor", "diabetes", lambda: GradientBoostingRegressor(random_state=0)),
    Entry(
        "GradientBoostingRegressor (huber) after StandardScaler",
        "diabetes",
        lambda: make_pipeline(StandardScaler(), GradientBoostingRegressor(loss="huber", random_state=0)),
    ),
    Entry(
        "HistGradientBoostingClassifier with gaps",
        "breast cancer, gaps",
        lambda: HistGradientBoostingClassifier(random_state=0),
        quick=True,
    ),
    Entry(
        "HistGradientBoostingClassifier, 3 classes",
        "wine",
        lambda: HistGradientBoostingClassifier(max_iter=30, random_state=0),
    ),
    Entry("HistGradientBoostingRegressor", "diabetes", lambda: HistGradientBoostingRegressor(random_state=0)),
    Entry(
        "HistGradientBoostingRegressor (poisson) with gaps after StandardScaler",
        "diabetes, gaps",
        lambda: make_pipeline(
            StandardScaler(), HistGradientBoostingRegressor(loss="poisson", random_state=0)
        ),
    ),
    Entry(
        "OrdinalEncoder, HistGradientBoostingClassifier",
        "flights",
        lambda: make_pipeline(
            ColumnTransformer([("words", ordinal(), list(CATEGORIES))], remainder="passthrough"),
            HistGradientBoostingClassifier(random_state=0),
        ),
        quick=True,
    ),
    Entry(
        "HistGradientBoostingClassifier on native categories",
        "flights (categories)",
        lambda: HistGradientBoostingClassifier(
            categorical_features="from_dtype", max_iter=50, random_state=0
        ),
        quick=True,
    ),
    Entry(
        "Columns chosen by type, HistGradientBoostingClassifier",
        "flights",
        lambda: make_pipeline(
            ColumnTransformer(
                [
                    ("words", ordinal(), make_column_selector(dtype_exclude="number")),
                    ("numbers", "passthrough", make_column_selector(dtype_include="number")),
                ]
            ),
            HistGradientBoostingClassifier(categorical_features=[0, 1, 2], max_iter=50, random_state=0),
        ),
    ),
    # through skl2onnx
    Entry("GaussianNB", "iris", GaussianNB),
    Entry("SVC after StandardScaler", "wine", lambda: make_pipeline(StandardScaler(), SVC())),
    Entry(
        "MLPClassifier after StandardScaler",
        "breast cancer",
        lambda: make_pipeline(StandardScaler(), MLPClassifier((16,), max_iter=400, random_state=0)),
    ),
)
