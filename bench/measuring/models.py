"""The models that are served, made here: each as the files that peers load, and as what modelport registers.

Rows are drawn afresh (numbers of four decimals), never from the training set, and there are thousands of
them: a few repeated rows would train the branch predictor and flatter trees. Peers that run ONNX Runtime
get what their users have: skl2onnx's conversion in float32.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

ROWS = 4096
SEED = 20130101
IR_VERSION = 9
PICTURE = (3, 32, 32)
CHANNELS = (32, 64, 128)
WAVES = 24_000


@dataclass(frozen=True, slots=True)
class Made:
    """A model, and rows to ask it.

    Args:
        name: Short.
        title: For people.
        folder: Holds `model.onnx` (float32, or with one input a column) and, for scikit-learn's,
            `model.joblib`.
        original: What modelport registers: a fitted object, or the path of an ONNX file.
        example: Rows to register it with.
        rows: To ask with: float64 `[ROWS, F]`, or records.
        expected: Rows to probabilities `[N, K]`, by the original.
        heavy: One row costs milliseconds: bodies of 256 rows are left out.
    """

    name: str
    title: str
    folder: Path
    original: Any
    example: Any
    rows: Any
    expected: Callable[[Any], NDArray[np.float64]]
    heavy: bool = False

    @property
    def scikit(self) -> bool:
        """Return whether peers may load it with scikit-learn."""
        return (self.folder / "model.joblib").exists()

    @property
    def records(self) -> bool:
        """Return whether rows are objects by column."""
        return not isinstance(self.rows, np.ndarray)


def make_tiny(folder: Path) -> Made:
    """A scaled logistic regression on 30 features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    random, matrix, target = _problem(30, 4000)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(matrix, target)
    return _scikit("tiny", "scaler + logistic regression, 30 features", folder, pipeline, matrix, random)


def make_boosting(folder: Path) -> Made:
    """Histogram boosting of 300 trees on 30 features."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    random, matrix, target = _problem(30, 10_000)
    model = HistGradientBoostingClassifier(max_iter=300, early_stopping=False, random_state=0)
    title = "histogram boosting, 300 trees, 30 features"
    with _one_thread():
        model.fit(matrix, target)
    return _scikit("boosting", title, folder, model, matrix, random)


def make_forest(folder: Path) -> Made:
    """A forest of 300 trees on the digits."""
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier

    matrix, target = load_digits(return_X_y=True)
    model = RandomForestClassifier(n_estimators=300, random_state=0, n_jobs=1).fit(matrix, target)
    random = np.random.default_rng(SEED)
    made = _scikit("forest", "forest, 300 trees, 64 features (digits)", folder, model, matrix, random)
    mixed = 0.5 * (
        matrix[random.integers(0, len(matrix), ROWS)] + matrix[random.integers(0, len(matrix), ROWS)]
    )
    noisy = np.round(np.clip(mixed + random.normal(scale=0.5, size=mixed.shape), 0, 16), 4)
    return Made(made.name, made.title, folder, made.original, matrix, noisy, made.expected)


def make_mlp(folder: Path) -> Made:
    """A network 784-512-512-10 as a ready ONNX file."""
    random = np.random.default_rng(SEED)
    sizes = (784, 512, 512, 10)
    nodes, constants, last = [], [], "input"
    for layer, (width, height) in enumerate(itertools.pairwise(sizes)):
        constants += [
            _constant(f"w{layer}", random.normal(scale=width**-0.5, size=(width, height))),
            _constant(f"b{layer}", random.normal(scale=0.1, size=height)),
        ]
        nodes.append(helper.make_node("Gemm", [last, f"w{layer}", f"b{layer}"], [f"g{layer}"]))
        if layer < len(sizes) - 2:
            nodes.append(helper.make_node("Relu", [f"g{layer}"], [f"r{layer}"]))
        last = f"r{layer}"
    nodes.append(helper.make_node("Softmax", [f"g{len(sizes) - 2}"], ["probabilities"], axis=1))
    rows = np.round(random.uniform(size=(ROWS, 784)), 4)
    title = "network 784-512-512-10"
    return _network("mlp", title, folder, (nodes, constants, (784,)), rows, heavy=False)


def make_cnn(folder: Path) -> Made:
    """A small residual network on pictures of 3 × 32 × 32, weights drawn at random, as a ready ONNX file."""
    random = np.random.default_rng(SEED)
    nodes, constants = [], []

    def convolve(name: str, taken: str, shape: tuple[int, int, int], *, stride: int = 1) -> str:
        into, out, size = shape
        spread = (2.0 / (into * size * size)) ** 0.5
        constants.append(_constant(f"{name}_w", random.normal(scale=spread, size=(out, into, size, size))))
        room = [size // 2] * 4
        parts = {"kernel_shape": [size, size], "strides": [stride, stride], "pads": room}
        nodes.append(helper.make_node("Conv", [taken, f"{name}_w"], [name], **parts))
        return name

    def add(kind: str, taken: list[str], name: str) -> str:
        nodes.append(helper.make_node(kind, taken, [name]))
        return name

    last, before = (
        add("Relu", [convolve("stem", "input", (PICTURE[0], CHANNELS[0], 3))], "stem_r"),
        CHANNELS[0],
    )
    for stage, channels in enumerate(CHANNELS):
        for block in range(2):
            stride = 2 if stage and not block else 1
            name = f"s{stage}b{block}"
            first = add(
                "Relu", [convolve(f"{name}a", last, (before, channels, 3), stride=stride)], f"{name}ar"
            )
            second = convolve(f"{name}b", first, (channels, channels, 3))
            kept = (
                last
                if before == channels
                else convolve(f"{name}s", last, (before, channels, 1), stride=stride)
            )
            last, before = add("Relu", [add("Add", [second, kept], f"{name}sum")], f"{name}out"), channels
    add("GlobalAveragePool", [last], "pooled")
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"], axis=1))
    constants.append(_constant("head", random.normal(scale=0.03, size=(CHANNELS[-1], 10))))
    add("MatMul", ["flat", "head"], "scores")
    nodes.append(helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1))
    rows = np.round(random.uniform(size=(256, int(np.prod(PICTURE)))), 4)
    title = "residual network, 3 × 32 × 32 pictures"
    return _network("cnn", title, folder, (nodes, constants, PICTURE), rows, heavy=True)


def make_slow(folder: Path, *, turns: int = 120) -> Made:
    """A model whose cost is the same for each row, alone or among many, so that its capacity is a number.

    Each row is stretched to many numbers that go through error functions and tangents: nothing is saved
    by asking for several rows at once, as it would be with weights that are read once for all of them.

    Args:
        folder: Where to write it.
        turns: How many functions; 120 take about two milliseconds of a core of 2023.
    """
    random = np.random.default_rng(SEED)
    width = 30
    constants = [
        _constant("weights", random.normal(size=(width, 1))),
        _constant("spread", np.linspace(-1.0, 1.0, WAVES)[None, :]),
        numpy_helper.from_array(np.array([1], np.int64), "axis"),
    ]
    nodes = [
        helper.make_node("MatMul", ["input", "weights"], ["sum"]),
        helper.make_node("Mul", ["sum", "spread"], ["wave0"]),
    ]
    for turn in range(turns):
        kind = "Erf" if turn % 2 == 0 else "Tanh"
        nodes.append(helper.make_node(kind, [f"wave{turn}"], [f"wave{turn + 1}"]))
    nodes += [
        helper.make_node("ReduceMean", [f"wave{turns}", "axis"], ["mean"], keepdims=1),
        helper.make_node("Add", ["mean", "sum"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["yes"]),
        helper.make_node("Sub", ["one", "yes"], ["no"]),
        helper.make_node("Concat", ["no", "yes"], ["probabilities"], axis=1),
    ]
    constants.append(_constant("one", np.ones((1, 1))))
    rows = np.round(random.normal(size=(ROWS, width)), 4)
    return _network(
        "slow", "the same work for each row", folder, (nodes, constants, (width,)), rows, heavy=True
    )


def make_flights(folder: Path) -> Made:
    """The quickstart's pipeline: 13 features, 3 of them words; histogram boosting."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    title = "flights: 13 features, 3 of words, boosting of 130 trees"
    model = HistGradientBoostingClassifier(max_iter=130, random_state=0)
    return _flights("flights", title, folder, _codes(), "passthrough", model)


def make_flights_linear(folder: Path) -> Made:
    """The same rows, words one-hot, numbers imputed and scaled; logistic regression."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    title = "flights, one-hot and scaled, logistic regression"
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    words = OneHotEncoder(handle_unknown="ignore")
    return _flights("flights-linear", title, folder, words, numbers, LogisticRegression(max_iter=300))


def make_flights_forest(folder: Path) -> Made:
    """The same rows, numbers imputed; a forest."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer

    title = "flights, forest of 200 trees"
    model = RandomForestClassifier(200, min_samples_leaf=20, random_state=0, n_jobs=1)
    return _flights("flights-forest", title, folder, _codes(), SimpleImputer(), model)


def _codes() -> Any:
    from sklearn.preprocessing import OrdinalEncoder

    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)


def _flights(name: str, title: str, folder: Path, words: Any, numbers: Any, model: Any) -> Made:
    """Fit a pipeline on three months of flights, and take its rows from the fourth.

    Args:
        name: Short.
        title: For people.
        folder: Where its files go.
        words: What prepares the three columns of words.
        numbers: What prepares the others.
        model: What learns.
    """
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import make_pipeline

    from modelport.quickstart.flights import CATEGORIES, FEATURES, TARGET, load_flights

    months = load_flights((1, 2, 3, 4))
    known, fresh = months[months["month"] <= 3], months[months["month"] == 4]
    prepare = make_column_transformer((words, list(CATEGORIES)), remainder=numbers)
    pipeline = make_pipeline(prepare, model)
    with _one_thread():
        pipeline.fit(known[list(FEATURES)], known[TARGET])
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(pipeline, folder / "model.joblib")
    sample = fresh[list(FEATURES)].sample(ROWS, random_state=0)
    records = json.loads(sample.to_json(orient="records"))

    def expected(rows: Any) -> NDArray[np.float64]:
        import pandas as pd

        return np.asarray(pipeline.predict_proba(pd.DataFrame.from_records(rows)), np.float64)

    return Made(name, title, folder, pipeline, known[list(FEATURES)], records, expected)


MAKERS: dict[str, Callable[[Path], Made]] = {
    "tiny": make_tiny,
    "boosting": make_boosting,
    "forest": make_forest,
    "mlp": make_mlp,
    "cnn": make_cnn,
    "flights": make_flights,
    "flights-linear": make_flights_linear,
    "flights-forest": make_flights_forest,
}


def _one_thread() -> AbstractContextManager[Any]:
    """Return a block in which OpenMP does not spin: on a busy machine that makes fitting ten times slower."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1)


def _problem(width: int, count: int) -> tuple[np.random.Generator, NDArray[np.float64], NDArray[np.int64]]:
    random = np.random.default_rng(SEED)
    matrix = np.round(random.normal(size=(count, width)), 4)
    score = matrix[:, :6] @ random.normal(size=6) + matrix[:, 6] * matrix[:, 7] + random.logistic(size=count)
    return random, matrix, (score > 0).astype(np.int64)


def _scikit(
    name: str, title: str, folder: Path, model: Any, matrix: NDArray[np.float64], random: np.random.Generator
) -> Made:
    """Write what peers load: the pickle, and skl2onnx's conversion in float32."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / "model.joblib")
    inputs = [("input", FloatTensorType([None, matrix.shape[1]]))]
    converted = to_onnx(model, initial_types=inputs, options={"zipmap": False}, target_opset=18)
    (folder / "model.onnx").write_bytes(converted.SerializeToString())
    rows = np.round(random.normal(size=(ROWS, matrix.shape[1])), 4)
    return Made(
        name, title, folder, model, matrix, rows, lambda asked: np.asarray(model.predict_proba(asked))
    )


def _network(
    name: str,
    title: str,
    folder: Path,
    parts: tuple[list[onnx.NodeProto], list[onnx.TensorProto], tuple[int, ...]],
    rows: NDArray[np.float64],
    *,
    heavy: bool,
) -> Made:
    nodes, constants, shape = parts
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", None])],
        initializer=constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())

    def expected(asked: NDArray[np.float64]) -> NDArray[np.float64]:
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        pieces = [
            session.run(["probabilities"], {"input": piece.astype(np.float32).reshape(-1, *shape)})[0]
            for piece in np.array_split(asked, max(1, len(asked) // 64))
        ]
        return np.concatenate(pieces).astype(np.float64)

    return Made(name, title, folder, path, rows[:200], rows, expected, heavy)


def _constant(name: str, values: NDArray[np.float64]) -> onnx.TensorProto:
    return numpy_helper.from_array(values.astype(np.float32), name)
