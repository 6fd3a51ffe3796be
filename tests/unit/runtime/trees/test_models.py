"""Models of scikit-learn, converted and then answered by the kernel: every bit is ONNX Runtime's."""

from __future__ import annotations

import numpy as np
import pytest

from catalogue.models import CATALOGUE
from fakes.ensembles import assert_same_bits, hard_for, runs
from modelport.formats import convert

DONE_BY_THE_KERNEL = {
    "DecisionTreeRegressor after StandardScaler",
    "RandomForestClassifier after StandardScaler",
    "RandomForestRegressor, 3 targets",
    "GradientBoostingClassifier, 3 classes",
    "HistGradientBoostingClassifier with gaps",
    "HistGradientBoostingClassifier on native categories",
    "OrdinalEncoder, HistGradientBoostingClassifier",
}
MODELS = [entry for entry in CATALOGUE if entry.title in DONE_BY_THE_KERNEL]


@pytest.fixture(params=MODELS, ids=lambda entry: entry.title)
def conversion(request):
    model, example = request.param.fit()
    return convert(model, example)


def test_the_catalogue_has_them():
    assert {entry.title for entry in MODELS} == DONE_BY_THE_KERNEL


def test_a_model_gets_the_same_bits(predict, conversion):
    rows = hard_for(conversion.serving, conversion.signature)
    assert_same_bits(predict, conversion.serving, rows, alone=30, signature=conversion.signature)
    coded = [j for j, each in enumerate(conversion.signature.features) if each.vocabulary is not None]
    for code in (0.5, -1.0, 1e300, np.nan):  # no code: it is what ONNX Runtime makes of it
        for feature in coded[:1]:
            _assert_same_refusal(predict, conversion, rows[:3].copy(), feature, code)


def _assert_same_refusal(predict, conversion, rows, feature, code):
    session, names, calls = runs(predict, conversion.serving, conversion.signature)
    rows[1, feature] = code
    try:
        wanted = session.run(names, rows)
    except Exception as error:  # noqa: BLE001 - whatever it says, we say too
        for call in calls:
            with pytest.raises(type(error)):
                call(names, rows)
        return
    for call in calls:
        assert [one.tobytes() for one in call(names, rows)] == [one.tobytes() for one in wanted]
