"""Steps that hand their input on: pipelines, unions, column transformers, searches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelport.domain.errors import ConversionFailed, InvalidInput
from modelport.formats.blocks import Block
from modelport.formats.emission import Emission
from modelport.formats.scikit.walk import Walk


def convert_pipeline(
    walk: Walk, pipeline: Any, block: Block, where: str, *, predict: bool = False
) -> Block | Emission:
    """Convert the steps of a Pipeline one after the other."""
    last = len(pipeline.steps) - 1
    for place, (_, step) in enumerate(pipeline.steps):
        here = f"{where}[{place}]"
        if predict and place == last:
            if step is None or isinstance(step, str):
                raise ConversionFailed(
                    f"{here} is {step!r}, and a model was expected there",
                    hint="end the pipeline with a model",
                )
            return walk.predict(step, block, here)
        block = walk.transform(step, block, here)
    return block


def convert_column_transformer(
    walk: Walk, step: Any, block: Block, where: str, *, predict: bool = False
) -> Block:
    """Convert each transformer of a ColumnTransformer on its columns."""
    _refuse_predict(step, where, predict=predict)
    parts: list[Block] = []
    if block.names is None and len(block) != step.n_features_in_:
        raise InvalidInput(
            f"{where} was fitted on {step.n_features_in_} columns, the example has {len(block)}",
            hint="pass rows as the model was fitted on, without the target",
        )
    for name, transformer, _ in step.transformers_:
        places = list(step._transformer_to_input_indices.get(name, ()))  # noqa: SLF001 - callables, masks and slices are resolved nowhere else
        if (isinstance(transformer, str) and transformer == "drop") or not places:
            continue
        here = f"{where}.transformers[{name!r}]"
        part = walk.select(block, _resolved(step, block, places, here))
        parts.append(walk.transform(transformer, part, here))
    return _side_by_side(walk, parts, sparse=bool(step.sparse_output_))


def convert_feature_union(walk: Walk, step: Any, block: Block, where: str, *, predict: bool = False) -> Block:
    """Convert each transformer of a FeatureUnion on all columns."""
    _refuse_predict(step, where, predict=predict)
    weights = step.transformer_weights or {}
    parts = []
    for name, transformer in step.transformer_list:
        if isinstance(transformer, str) and transformer == "drop":
            continue
        here = f"{where}.transformer_list[{name!r}]"
        if weights.get(name, 1) != 1:
            raise ConversionFailed(
                f"{here} has a weight, which modelport cannot convert yet",
                hint="put a FunctionTransformer or a scaler there instead of transformer_weights",
            )
        parts.append(walk.transform(transformer, block, here))
    return _side_by_side(walk, parts, sparse=any(part.sparse for part in parts))


def convert_search(
    walk: Walk, search: Any, block: Block, where: str, *, predict: bool = False
) -> Block | Emission:
    """Convert the best model that a search has found."""
    if not hasattr(search, "best_estimator_"):
        raise ConversionFailed(
            f"{where} is a {type(search).__name__} with refit=False: it has no best model",
            hint="search with refit=True, or register the model you fitted with best_params_",
        )
    here = f"{where}.best_estimator_"
    if predict:
        return walk.predict(search.best_estimator_, block, here)
    return walk.transform(search.best_estimator_, block, here)


def _resolved(step: Any, block: Block, places: Sequence[int], where: str) -> list[int]:
    """Return the places in the block of columns given by their places at fitting time."""
    fitted = getattr(step, "feature_names_in_", None)
    if block.names is None or fitted is None:
        return list(places)
    at = {name: place for place, name in enumerate(block.names)}
    wanted = [fitted[place] for place in places]
    lacking = [name for name in wanted if name not in at]
    if lacking:
        raise InvalidInput(
            f"{where} was fitted on the column {lacking[0]!r}, which the example does not have",
            hint="pass rows with the columns of the training data as the example",
        )
    return [at[name] for name in wanted]


def _side_by_side(walk: Walk, parts: Sequence[Block], *, sparse: bool) -> Block:
    """Return blocks as one array, as numpy stacks them: float64 unless all are float32."""
    singles = [walk.frame_is_single(part) if part.names is not None else part.single for part in parts]
    single = bool(singles) and all(singles)
    return Block(
        tuple(column for part in parts for column in part.columns),
        single=single,
        sparse=sparse,
    )


def _refuse_predict(step: Any, where: str, *, predict: bool) -> None:
    if predict:
        raise ConversionFailed(
            f"{where} is a {type(step).__name__}, and a model was expected there",
            hint="put it into a pipeline that ends with a model",
        )
