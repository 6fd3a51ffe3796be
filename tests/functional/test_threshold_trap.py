"""The trap that stock converters fall into: a scaler in float32 in front of trees."""

from dataclasses import replace

import numpy as np
import pytest
from skl2onnx import to_onnx
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from modelport.domain.errors import CheckFailed
from modelport.formats.converting import convert
from modelport.formats.onnx_file import convert_file
from modelport.sdk.registering import build_bundle, prove

X, Y = load_diabetes(return_X_y=True)


@pytest.mark.parametrize(
    "trees",
    [DecisionTreeRegressor(random_state=0), RandomForestRegressor(10, random_state=0)],
    ids=["tree", "forest"],
)
def test_ours_is_exact_on_and_beside_every_threshold_and_the_stock_one_is_caught(tmp_path, trees):
    model = make_pipeline(StandardScaler(), trees).fit(X, Y)
    proof = build_bundle(model, X).proof
    assert proof.max_absolute == 0.0
    assert proof.rows_by_origin["threshold"] > 1000

    path = tmp_path / "stock.onnx"
    path.write_bytes(to_onnx(model, X[:1].astype(np.float32)).SerializeToString())
    conversion = convert(model, X)
    stock = replace(conversion, serving=convert_file(path, X).serving)
    with pytest.raises(CheckFailed, match="the serving graph is not the original"):
        prove(stock, conversion.original.columns(X))
