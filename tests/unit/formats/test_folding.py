"""A scaler in front of a linear model goes into its weights, unless a row could leave the bar by it."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from fakes.conversions import prove
from modelport.formats.blocks import Number
from modelport.formats.elementwise import Operation
from modelport.formats.scikit.folding import unscaled


def operators(conversion):
    return [node.op_type for node in onnx.load_from_string(conversion.serving).graph.node]


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler(), MaxAbsScaler(), RobustScaler()])
def test_a_scaler_goes_into_the_weights(scaler):
    rows, target = load_diabetes(return_X_y=True)
    model = make_pipeline(scaler, Ridge(alpha=100)).fit(rows, target / 100)
    conversion, _ = prove(model, rows, rows_max=500)
    assert operators(conversion) == ["MatMul", "Add"]


def test_two_scalers_go_into_the_weights():
    rows, target = load_diabetes(return_X_y=True)
    model = make_pipeline(MinMaxScaler(), StandardScaler(), LogisticRegression()).fit(rows, target > 140)
    conversion, _ = prove(model, rows, rows_max=500)
    assert operators(conversion) == ["MatMul", "Add", "ArgMax", "Softmax"]


@pytest.mark.parametrize("scaler", [StandardScaler(), RobustScaler()])
def test_numbers_far_from_zero_that_vary_little_are_scaled_first(scaler):
    rows, target = load_diabetes(return_X_y=True)
    model = make_pipeline(scaler, Ridge()).fit(rows + 1e6, target)
    conversion, _ = prove(model, rows + 1e6, rows_max=500)
    assert operators(conversion) == ["Sub", "Div", "MatMul", "Add"]


def test_a_scaler_that_clips_stays():
    rows, target = load_diabetes(return_X_y=True)
    model = make_pipeline(MinMaxScaler(clip=True), Ridge()).fit(rows, target)
    conversion, _ = prove(model, rows, rows_max=500)
    assert operators(conversion)[:2] == ["Mul", "Add"]


@settings(deadline=None)
@given(st.data())
def test_no_row_leaves_the_bar(data):
    number = st.floats(-1e9, 1e9, allow_subnormal=False)
    size = data.draw(st.integers(1, 6))
    shifts, scales, weights, row = (
        np.array(data.draw(st.lists(each, min_size=size, max_size=size)))
        for each in (number, st.floats(1e-6, 1e6), st.floats(-1e3, 1e3), number)
    )
    columns = [_scaled(place, shifts[place], scales[place]) for place in range(size)]
    before, folded, intercept = unscaled(columns, weights[:, np.newaxis], np.zeros(1))
    if before[0].made_of is not None:
        assert before == columns
        assert np.array_equal(folded[:, 0], weights)
        return
    scaled = (row - shifts) / scales
    allowed = 1e-12 * max(1.0, float(np.abs(scaled * weights).sum()))
    assert abs(float(row @ folded[:, 0] + intercept[0]) - _exactly(row, shifts, scales, weights)) <= allowed


def _scaled(place, shift, scale):
    raw = Number("matrix", place)
    centred = Number("centred", place, made_of=(raw, Operation("subtract", (np.array([shift]),))))
    return Number("scaled", place, made_of=(centred, Operation("divide", (np.array([scale]),))))


def _exactly(row, shifts, scales, weights):
    from fractions import Fraction

    parts = zip(*(map(Fraction, each.tolist()) for each in (row, shifts, scales, weights)), strict=True)
    return float(sum((x - shift) / scale * weight for x, shift, scale, weight in parts))
