"""A fitted scikit-learn object becomes a conversion: walk, signature, graphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport.domain.errors import ConversionFailed, InvalidInput
from modelport.domain.signature import Feature, Output, Signature, Task, Value
from modelport.formats.conversion import Conversion
from modelport.formats.emission import Emission
from modelport.formats.front import published_model, scale_model, serving_model
from modelport.formats.scikit.original import SklearnOriginal, labels_of
from modelport.formats.scikit.rules import Rules
from modelport.formats.scikit.walk import Plan, Recode, Walk
from modelport.formats.tabular import InputColumn, read_layout

WALKS_MAX = 200


def convert_sklearn(
    model: Any, example: Any, *, units: Mapping[str, str] | None = None, output_unit: str | None = None
) -> Conversion:
    """Convert a fitted scikit-learn model or pipeline. See `converting.convert`."""
    import sklearn
    from sklearn.base import is_classifier, is_regressor
    from threadpoolctl import threadpool_limits

    if not (is_classifier(model) or is_regressor(model)):
        raise ConversionFailed(
            f"the model is a {type(model).__name__}, which is neither a classifier nor a regressor",
            hint="register a fitted model that predicts a class or a number",
        )
    _check_fitted(model)
    layout = read_layout(example)
    where = "pipe" if type(model).__name__ == "Pipeline" else "model"
    walk, emission = _walked(model, Plan.first(layout), where)
    if is_classifier(model):
        output = Output(
            Task.CLASSIFICATION, labels=labels_of(model), probabilities=emission.probabilities is not None
        )
    else:
        targets = ("y",) if emission.targets == 1 else tuple(f"y{place}" for place in range(emission.targets))
        output = Output(Task.REGRESSION, targets=targets, unit=output_unit)
    first = Signature(
        tuple(
            _feature(column, place in walk.used, walk.plan.vocabulary.get(place))
            for place, column in enumerate(layout.columns)
        ),
        output,
        matrix=layout.matrix,
    )
    _check_units(units or {}, first)
    rules = Rules(model, SklearnOriginal(model, walk.plan.layout, first), walk, emission, first, example)
    with threadpool_limits(1):  # single rows are asked many times: threads only cost
        signature = replace(first, features=rules.features(units or {}))
    graph = walk.graph
    return Conversion(
        signature=signature,
        serving=serving_model(graph, signature, emission),
        published=published_model(graph, signature, emission),
        framework=f"scikit-learn {sklearn.__version__}",
        estimator=type(_last(model)).__name__,
        family=emission.family,
        original=SklearnOriginal(model, walk.plan.layout, signature),
        thresholds=rules.thresholds(signature.features),
        float32=tuple(walk.float32),
        scale=_scale(scale_model(graph, signature, emission)),
    )


def _walked(model: Any, plan: Plan, where: str) -> tuple[Walk, Emission]:
    for _ in range(WALKS_MAX):
        walk = Walk(plan)
        try:
            return walk, walk.predict(model, walk.raw(), where)
        except Recode as wish:
            changed = plan.changed(wish)
            if changed == plan:
                name = plan.layout.columns[wish.feature].name
                raise ConversionFailed(
                    f"{where}: the values of the column {name!r} change on the way to their encoder",
                    hint="change them before, in training and in requests",
                ) from wish
            plan = changed
    raise ConversionFailed(f"{where} has more encoders of words than modelport can follow")


def _feature(column: InputColumn, used: bool, vocabulary: tuple[Value, ...] | None) -> Feature:  # noqa: FBT001 - one of three facts
    return Feature(
        name=column.name,
        type=column.type,
        vocabulary=vocabulary if used else None,
        seen_min=column.seen_min,
        seen_max=column.seen_max,
        used=used,
    )


def _check_units(units: Mapping[str, str], signature: Signature) -> None:
    strange = sorted(set(units) - {feature.name for feature in signature.features})
    if strange:
        raise InvalidInput(
            f"units names {strange[0]!r}, which is no column of the example", feature=strange[0]
        )


def _check_fitted(model: Any) -> None:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
    except NotFittedError as error:
        raise ConversionFailed(
            f"the model is not fitted: {error}", hint="call fit before registering"
        ) from error


def _last(model: Any) -> Any:
    """Return the model at the end of pipelines and searches."""
    while True:
        if hasattr(model, "best_estimator_"):
            model = model.best_estimator_
        elif type(model).__name__ == "Pipeline":
            model = model.steps[-1][1]
        else:
            return model


def _scale(content: bytes | None) -> Callable[[NDArray[np.float64]], NDArray[np.float64]] | None:
    """Return the call that gives Σ|wᵢxᵢ| of each row; the session is made at the first call."""
    if content is None:
        return None

    def scale(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        found = session.run(["scale"], {"matrix": np.ascontiguousarray(matrix)})
        return np.asarray(found[0], dtype=np.float64)

    return scale
