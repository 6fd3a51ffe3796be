"""Fitted models as files: skops, joblib, pickle, in the forms people save them."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from modelport.domain.errors import CheckFailed, InvalidInput, NotFound, Refused
from modelport.engines.isolation import Isolation, find_isolation
from modelport.sdk.model_files import bundle_from_file
from modelport.sdk.registering import build_bundle
from modelport.sdk.verifying import verify_bundle

X, Y = load_iris(return_X_y=True)
NAMES = ["a", "b", "c", "d"]
FRAME = pd.DataFrame(X, columns=NAMES)


def fitted(rows=X):
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(rows, Y)


@pytest.mark.processes
def test_a_trusted_compressed_joblib_file_gives_the_bundle_of_the_object(tmp_path):
    model = fitted()
    joblib.dump(model, tmp_path / "model.joblib", compress=("zlib", 3))
    bundle = bundle_from_file(tmp_path / "model.joblib", X, trust=True)
    direct = build_bundle(model, X)
    for part in ("signature.json", "serving.onnx", "model.onnx", "proof.arrow", "baseline.json"):
        assert bundle.files[part] == direct.files[part]
    assert "sandboxed process" in bundle.proof.notes[0]
    assert direct.proof.notes == ()


@pytest.mark.processes
@pytest.mark.parametrize("isolation", list(Isolation))
def test_every_isolation_that_works_here_converts(tmp_path, isolation):
    if list(Isolation).index(isolation) < list(Isolation).index(find_isolation()):
        pytest.skip(f"{isolation} does not work here")
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(fitted(FRAME)))
    FRAME.to_csv(tmp_path / "rows.csv", index=False)
    bundle = bundle_from_file(
        tmp_path / "model.pkl", tmp_path / "rows.csv", trust=True, units={"a": "cm"}, isolation=isolation
    )
    assert [feature.name for feature in bundle.signature.features] == NAMES
    assert bundle.signature.features[0].unit == "cm"
    assert f"({isolation}:" in bundle.proof.notes[0]


@pytest.mark.processes
def test_what_cannot_be_converted_is_told_from_inside_the_sandbox(tmp_path):
    model = make_pipeline(FunctionTransformer(np.cbrt), LogisticRegression(max_iter=500)).fit(X, Y)
    joblib.dump(model, tmp_path / "model.joblib")
    with pytest.raises(CheckFailed, match="the function cbrt"):
        bundle_from_file(tmp_path / "model.joblib", X, trust=True)


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(max_iter=500),
        RandomForestClassifier(5, random_state=0),
        GradientBoostingClassifier(n_estimators=5, random_state=0),
        HistGradientBoostingRegressor(max_iter=5, random_state=0),
        SGDClassifier(loss="log_loss", random_state=0),
    ],
    ids=lambda model: type(model).__name__,
)
def test_skops_files_need_no_trust(tmp_path, model):
    skops.io.dump(make_pipeline(StandardScaler(), model).fit(FRAME, Y), tmp_path / "model.skops")
    bundle = bundle_from_file(tmp_path / "model.skops", FRAME)
    assert bundle.estimator == type(model).__name__
    assert verify_bundle(bundle).rows > 500


def local_function(rows):
    return rows


def test_a_skops_file_with_foreign_types_is_refused(tmp_path):
    model = make_pipeline(FunctionTransformer(local_function), LogisticRegression(max_iter=500)).fit(X, Y)
    skops.io.dump(model, tmp_path / "model.skops")
    with pytest.raises(Refused, match="local_function"):
        bundle_from_file(tmp_path / "model.skops", X)


def test_a_broken_skops_file_is_explained(tmp_path):
    skops.io.dump(fitted(), tmp_path / "model.skops")
    whole = (tmp_path / "model.skops").read_bytes()
    at = whole.index(b"schema.json") + 40
    (tmp_path / "model.skops").write_bytes(whole[:at] + bytes(200) + whole[at + 200 :])
    with pytest.raises(InvalidInput):
        bundle_from_file(tmp_path / "model.skops", X)


def test_a_fitted_model_needs_an_example(tmp_path):
    skops.io.dump(fitted(), tmp_path / "model.skops")
    with pytest.raises(InvalidInput, match="example") as caught:
        bundle_from_file(tmp_path / "model.skops")
    assert "--example" in caught.value.hint


def test_an_absent_file_is_not_found(tmp_path):
    with pytest.raises(NotFound, match="no model file"):
        bundle_from_file(tmp_path / "absent.onnx", X)


def test_classes_may_get_other_words():
    bundle = build_bundle(fitted(), X, labels=["setosa", "versicolor", "virginica"])
    assert bundle.signature.output.labels == ("setosa", "versicolor", "virginica")
    with pytest.raises(InvalidInput, match="2 labels for 3 classes"):
        build_bundle(fitted(), X, labels=["a", "b"])


def test_a_name_that_is_no_feature_gives_the_unit_of_the_answer():
    model = HistGradientBoostingRegressor(max_iter=2).fit(FRAME, Y)
    bundle = build_bundle(model, FRAME, units={"delay": "min", "a": "cm"})
    assert bundle.signature.output.unit == "min"
    with pytest.raises(InvalidInput, match="no columns"):
        build_bundle(model, FRAME, units={"delay": "min", "dealy": "min"})


def test_the_example_may_be_hidden():
    bundle = build_bundle(fitted(FRAME), FRAME, example_data=False)
    assert not bundle.proof.example_data
    assert verify_bundle(bundle).rows > 100
