"""One walk through a fitted pipeline, writing the body of the graph as it goes.

The walk starts from the raw columns of the example. When a step turns out to need a feature coded in another
way (words that an encoder knows, numbers it accepts no others of), `Recode` starts it again with that.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from onnx import TensorProto

from modelport.domain.errors import ConversionFailed, InvalidInput
from modelport.domain.signature import Value
from modelport.formats.blocks import Block, Coded, Codes, Column, NotANumber, Number
from modelport.formats.body import Body
from modelport.formats.elementwise import SINGLE, Chain, Operation
from modelport.formats.emission import Emission
from modelport.formats.graph import MATRIX
from modelport.formats.scikit.steps import CONTAINERS, ESTIMATORS, STOCK, TRANSFORMERS
from modelport.formats.tabular import UNHEARD_OF, InputColumn, Layout

AS_IT_IS: Any = object()
TELL_APART = {"OneHotEncoder", "OrdinalEncoder", "TargetEncoder", "MissingIndicator"}


class Recode(Exception):
    """A step needs a feature coded in another way.

    Args:
        feature: Place in the signature.
        values: What must stand in its vocabulary besides what does.
        absent: How a missing value must be written; `AS_IT_IS` for no change.
    """

    def __init__(self, feature: int, values: Sequence[Value] = (), absent: Any = AS_IT_IS) -> None:
        super().__init__(feature, values, absent)
        self.feature = feature
        self.values = values
        self.absent = absent


@dataclass(frozen=True, slots=True)
class Plan:
    """How raw columns become the serving matrix.

    Args:
        layout: The example's columns.
        vocabulary: Feature to the values that have codes, in code order; features that are not there
            are their number.
    """

    layout: Layout
    vocabulary: Mapping[int, tuple[Value, ...]]

    @classmethod
    def first(cls, layout: Layout) -> Plan:
        """Return the plan to start with: words have codes, and encoders will say which words."""
        vocabulary: dict[int, tuple[Value, ...]] = {}
        for place, column in enumerate(layout.columns):
            if column.words:
                known = getattr(column.dtype, "categories", None)
                values = () if known is None or column.trouble else tuple(known.tolist())
                vocabulary[place] = () if any(isinstance(value, str) for value in values) else values
        return cls(layout, vocabulary)

    def changed(self, wish: Recode) -> Plan:
        """Return the plan that grants a wish; the same plan when nothing changes."""
        known = self.vocabulary.get(wish.feature, ())
        fresh = [value for value in wish.values if not _contains(known, value)]
        plan = self
        if fresh:
            plan = replace(plan, vocabulary={**self.vocabulary, wish.feature: (*known, *fresh)})
        if wish.absent is not AS_IT_IS:
            plan = replace(plan, layout=self.layout.with_absent(wish.feature, wish.absent))
        return plan


@dataclass
class Walk:
    """The state of one walk.

    Args:
        plan: How raw columns become the serving matrix.
        used: Features that a step reads.
        refused_unknown: Features of which a step refuses values outside the vocabulary.
        refused_missing: Features of which a step refuses a missing value.
        float32: Names of steps that compute in float32.
    """

    plan: Plan
    used: set[int] = field(default_factory=set)
    refused_unknown: set[int] = field(default_factory=set)
    refused_missing: set[int] = field(default_factory=set)
    float32: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.body = Body(len(self.plan.layout.columns))
        self.graph = self.body.graph

    def raw(self) -> Block:
        """Return the example's columns as they come in."""
        layout = self.plan.layout
        singles = [
            place
            for place, column in enumerate(layout.columns)
            if column.single and place not in self.plan.vocabulary
        ]
        narrow: dict[int, Column] = {}
        if singles:
            tensor, places = self.body.collect([Number(MATRIX, place) for place in singles])
            made = self.body.made(self.graph.cast(tensor, TensorProto.FLOAT), len(singles), single=True)
            for place, at in zip(singles, places, strict=True):
                narrow[place] = replace(made[at], chain=Chain(place, (Operation(SINGLE),)))
        columns: list[Column] = []
        for place, column in enumerate(layout.columns):
            values = self.plan.vocabulary.get(place)
            if values is not None:
                codes = Codes(MATRIX, place, len(values), place)
                columns.append(Coded(codes, raw_table(column, values), verbatim=True))
            else:
                columns.append(narrow.get(place) or Number(MATRIX, place, chain=Chain(place)))
        if layout.matrix:
            return Block(tuple(columns), single=layout.dtype == np.float32)
        return Block(tuple(columns), names=tuple(column.label for column in layout.columns))

    # ---- steps

    def transform(self, step: Any, block: Block, where: str) -> Block:
        """Return what a fitted transformer makes of a block.

        Args:
            step: The transformer, or `passthrough` or None.
            block: Its input.
            where: Path of the step, such as `pipe[1].transformers['num'][0]`.

        Raises:
            ConversionFailed: It cannot be converted.
        """
        if step is None or isinstance(step, str):
            return block
        name = self._name(step, where)
        if name in CONTAINERS:
            made: Block = CONTAINERS.load(name)(self, step, block, where)
            return made
        if name not in TRANSFORMERS:
            raise ConversionFailed(
                f"{where} is a {name}, which modelport cannot convert yet",
                hint="apply it before, in training and in requests; "
                f"these can be converted: {', '.join(sorted(TRANSFORMERS))}",
            )
        block = self.read(step, block, where)
        with _words_refused(name, where):
            made = TRANSFORMERS.load(name)(self, step, block, where)
        if made.single and block.single and name != "FunctionTransformer":
            self.note_float32(f"{where} ({name})")
        return made

    def predict(self, model: Any, block: Block, where: str) -> Emission:
        """Write a fitted model's answers.

        Args:
            model: The model, a pipeline that ends in one, or a search over one.
            block: Its input.
            where: Path of the model.

        Raises:
            ConversionFailed: It cannot be converted.
        """
        name = self._name(model, where)
        if name in CONTAINERS:
            emission: Emission = CONTAINERS.load(name)(self, model, block, where, predict=True)
            return emission
        block = self.read(model, block, where)
        with _words_refused(name, where):
            converter = ESTIMATORS.load(name) if name in ESTIMATORS else STOCK.load("skl2onnx")
            converted: Emission = converter(self, model, block, where)
        return converted

    def read(self, step: Any, block: Block, where: str) -> Block:
        """Return a block as a step reads it: the columns it was fitted on, as one array."""
        block = self.aligned(step, block, where)
        if block.names is not None:
            block = replace(block, single=self.frame_is_single(block))
        expected = getattr(step, "n_features_in_", len(block))
        if expected != len(block):
            raise InvalidInput(
                f"{where} was fitted on {expected} columns, the example gives it {len(block)}",
                hint="pass rows as the model was fitted on, without the target",
            )
        if self._takes_numbers(step):
            # the number of a category that was not seen in training is not in any table
            self.refused_unknown |= {
                column.codes.feature
                for column in block.columns
                if isinstance(column, Coded)
                and column.verbatim
                and column.codes.feature is not None
                and not self._has_texts(column.codes.feature)  # they pass through an imputer as they are
            }
        for feature in sorted(block.features()):
            column = self.plan.layout.columns[feature]
            if column.trouble is not None:
                raise ConversionFailed(
                    f"{where} reads the column {column.name!r}, and {column.trouble}",
                    hint="convert the column before training, or drop it",
                )
            self.used.add(feature)
        return block

    def aligned(self, step: Any, block: Block, where: str) -> Block:
        """Return a DataFrame's columns in the order the step was fitted on."""
        wanted = getattr(step, "feature_names_in_", None)
        if block.names is None or wanted is None or list(wanted) == list(block.names):
            return block
        places = {name: place for place, name in enumerate(block.names)}
        lacking = [name for name in wanted if name not in places]
        if lacking:
            raise InvalidInput(
                f"{where} was fitted on the column {lacking[0]!r}, which the example does not have",
                hint="pass rows with the columns of the training data as the example",
            )
        return self.select(block, [places[name] for name in wanted])

    def select(self, block: Block, places: Sequence[int]) -> Block:
        """Return some columns of a block."""
        names = None if block.names is None else tuple(block.names[place] for place in places)
        return replace(block, columns=tuple(block.columns[place] for place in places), names=names)

    @staticmethod
    def _takes_numbers(step: Any) -> bool:
        """Return whether a step reads the number of a category, rather than which category it is."""
        name = type(step).__name__
        if name.startswith("HistGradientBoosting"):
            return step._preprocessor is None  # noqa: SLF001 - there is no other sign of native categories
        if name == "FunctionTransformer":
            return step.func is not None
        return name not in TELL_APART

    def _has_texts(self, feature: int) -> bool:
        return any(isinstance(value, str) for value in self.plan.vocabulary.get(feature, ()))

    def note_float32(self, what: str) -> None:
        """Remember that the original computes something in float32."""
        if what not in self.float32:
            self.float32.append(what)

    def frame_is_single(self, block: Block) -> bool:
        """Return whether the columns of a DataFrame make a float32 array."""
        dtypes = []
        for feature in block.features():
            column = self.plan.layout.columns[feature]
            if column.words or not isinstance(column.dtype, np.dtype) or column.dtype.kind == "O":
                return False  # scikit-learn converts pandas' own types to float64
            dtypes.append(column.dtype)
        return bool(dtypes) and np.result_type(*dtypes) == np.float32

    @staticmethod
    def _name(step: Any, where: str) -> str:
        kind = type(step)
        if kind.__module__.partition(".")[0] != "sklearn":
            raise ConversionFailed(
                f"{where} is a {kind.__module__}.{kind.__qualname__}, not one of scikit-learn's own classes",
                hint="use a class of scikit-learn, or apply this step before, in training and in requests",
            )
        return kind.__name__


def raw_table(column: InputColumn, values: Sequence[Value]) -> Any:
    """Return a coded feature's own values by code: the known ones, an unknown one, a missing one."""
    unknown = unknown_value(values)
    if not values and column.dtype.kind in "iufb":
        unknown = 0
    return column.build([*values, unknown, None])


def unknown_value(known: Sequence[Value]) -> Value:
    """Return a value of the same kind that is not in a vocabulary (for both truth values: one of them)."""
    if known and all(isinstance(value, bool) for value in known):
        return next((value for value in (True, False) if value not in known), known[0])
    numbers = [value for value in known if not isinstance(value, str)]
    if known and len(numbers) == len(known):
        return math.floor(max(numbers)) + 1
    return UNHEARD_OF


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what scikit-learn and numpy warn of when they are asked about odd values on purpose."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _words_refused(name: str, where: str) -> Iterator[None]:
    try:
        yield
    except NotANumber as error:
        raise ConversionFailed(
            f"{where} ({name}) needs numbers, and a column gives it {error}",
            hint="encode the column with OneHotEncoder or OrdinalEncoder before this step",
        ) from error


def _contains(values: Sequence[Value], wanted: Value) -> bool:
    return any(value == wanted and isinstance(value, str) == isinstance(wanted, str) for value in values)
