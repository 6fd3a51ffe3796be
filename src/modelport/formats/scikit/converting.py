"""A fitted scikit-learn object becomes a conversion: walk, signature, graphs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelport.domain.errors import ConversionFailed, InvalidInput
from modelport.domain.signature import Feature, FeatureType, Output, Signature, Task, Value
from modelport.formats.conversion import Columns, Conversion
from modelport.formats.emission import Emission
from modelport.formats.front import published_model, scale_model, serving_model
from modelport.formats.inversion import finite_range, raw_thresholds
from modelport.formats.scikit.acceptance import accepted_row, accepting
from modelport.formats.scikit.original import SklearnOriginal, labels_of
from modelport.formats.scikit.walk import Plan, Recode, Walk
from modelport.formats.tabular import UNHEARD_OF, InputColumn, read_layout

WALKS_MAX = 200


def convert_sklearn(
    model: Any, example: Any, *, units: Mapping[str, str] | None = None, output_unit: str | None = None
) -> Conversion:
    """Convert a fitted scikit-learn model or pipeline. See `converting.convert`."""
    import sklearn
    from sklearn.base import is_classifier, is_regressor

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
    signature, thresholds = _with_rules(model, walk, emission, first, example, units or {})
    graph = walk.graph
    return Conversion(
        signature=signature,
        serving=serving_model(graph, signature, emission),
        published=published_model(graph, signature, emission),
        framework=f"scikit-learn {sklearn.__version__}",
        estimator=type(_last(model)).__name__,
        family=emission.family,
        original=SklearnOriginal(model, walk.plan.layout, signature),
        thresholds=thresholds,
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


def _with_rules(
    model: Any,
    walk: Walk,
    emission: Emission,
    signature: Signature,
    example: Any,
    units: Mapping[str, str],
) -> tuple[Signature, dict[str, NDArray[np.float64]]]:
    """Return the signature with what the original refuses, and the raw thresholds of each feature."""
    from dataclasses import replace

    unit_of = {str(name) for name in units} - {feature.name for feature in signature.features}
    if unit_of:
        raise InvalidInput(f"units names {sorted(unit_of)[0]!r}, which is no column of the example")
    original = SklearnOriginal(model, walk.plan.layout, signature)
    columns = original.columns(example)
    used = [feature for feature in signature.features if feature.used]
    row = accepted_row(lambda some: original.answer(original.build(some)), columns)
    rules = _Rules(lambda some: model.predict(original.build(some)), row)
    with_missing = rules.accepting([feature.name for feature in used], None)
    with_unknown = rules.accepting(
        [feature.name for feature in used if feature.vocabulary and _holds_texts(feature)], UNHEARD_OF
    )
    numeric = [
        feature.name
        for feature in used
        if not _holds_texts(feature) and feature.type in {FeatureType.DOUBLE, FeatureType.CATEGORY}
    ]
    endless = {sign: rules.accepting(numeric, sign * math.inf) for sign in (1, -1)}
    features, thresholds = [], {}
    for place, feature in enumerate(signature.features):
        feature = replace(feature, unit=units.get(feature.name))  # noqa: PLW2901 - grown rule by rule
        if feature.used:
            chains = [chain for chain in emission.seen if chain.feature == place]
            start = row[feature.name][0]
            bounds = (-math.inf, math.inf)
            finite = (-math.inf, math.inf)
            if feature.vocabulary is None and start is not None and np.isfinite(start):
                finite = finite_range(chains, float(start))
                bounds = (
                    -math.inf if feature.name in endless[-1] else finite[0],
                    math.inf if feature.name in endless[1] else finite[1],
                )
            elif feature.name in numeric:
                largest = float(np.finfo(np.float64).max)
                bounds = (
                    -math.inf if feature.name in endless[-1] else -largest,
                    math.inf if feature.name in endless[1] else largest,
                )
            feature = replace(  # noqa: PLW2901 - same
                feature,
                missing=feature.name in with_missing and place not in walk.refused_missing,
                unknown=place not in walk.refused_unknown
                and (feature.name in with_unknown or not _holds_texts(feature) or not feature.vocabulary),
                lower=bounds[0],
                upper=bounds[1],
            )
            found = [
                raw_thresholds(splits.chain, splits.thresholds, *map(_finite, finite))
                for splits in emission.splits
                if splits.chain.feature == place
            ]
            if found:
                thresholds[feature.name] = np.unique(np.concatenate(found))
        features.append(feature)
    return replace(signature, features=tuple(features)), thresholds


class _Rules:
    """Questions to the original about one row."""

    def __init__(self, ask: Callable[[Columns], Any], row: Columns) -> None:
        self._ask = ask
        self._row = row

    def accepting(self, names: list[str], value: Any) -> set[str]:
        """Return the columns in which the original accepts a value."""
        from modelport.formats.scikit.walk import quiet

        with quiet():
            return accepting(self._ask, self._row, names, value)


def _holds_texts(feature: Feature) -> bool:
    if feature.vocabulary:
        return any(isinstance(value, str) for value in feature.vocabulary)
    return feature.type in {FeatureType.STRING, FeatureType.CATEGORY}


def _finite(bound: float) -> float:
    return float(np.clip(bound, -np.finfo(np.float64).max, np.finfo(np.float64).max))


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
