"""The kernel for trees beside ONNX Runtime, in process, and whether every bit is the same.

    .venv/bin/python bench/trees.py [--rounds 7] [--equal 1000000] [--models flights,boosting,…]

Three models by default: the flights pipeline (130 trees of histogram boosting on words and numbers), 300
trees of histogram boosting on 30 numbers with gaps, and a forest of 300 trees on the flights. Others:
`wide` has 300 numbers, `digits` is a forest with 10 classes. Every call gets rows that no call had before:
repeated rows train the branch predictor and flatter tree kernels. One thread, whose time on the processor
is counted; kernel and ONNX Runtime in turn within each round; medians over the rounds. `--equal N` also
compares N rows bit for bit, in blocks of 2,048 and some alone.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from modelport.bootstrap.kernel import compile_kernels
from modelport.formats import convert
from modelport.quickstart.flights import CATEGORIES, FEATURES, NUMBERS, TARGET, load_flights
from modelport.quickstart.story import train
from modelport.runtime.compiled.code_file import TREES
from modelport.runtime.model import LoadedModel
from modelport.sdk.coding import code

SIZES = (1, 8, 32, 256, 2048)
ROWS_PER_ROUND = 4096
BLOCK = 2048
ALONE = 2000


def flights_rows(signature, count, random):
    """Return real flights as the serving matrix, shuffled, repeated with jitter until there are enough."""
    rows = load_flights()
    words = {each.name for each in signature.features if each.vocabulary is not None}
    columns = {name: rows[name].astype(object if name in words else float).to_numpy() for name in FEATURES}
    matrix = code(signature, columns).matrix
    picked = matrix[random.permutation(len(matrix))]
    while len(picked) < count:
        again = matrix[random.permutation(len(matrix))].copy()
        numbers = [j for j, each in enumerate(signature.features) if each.vocabulary is None]
        again[:, numbers] *= 1 + 1e-3 * random.normal(size=(len(again), len(numbers)))
        picked = np.concatenate([picked, again])
    return np.ascontiguousarray(picked[:count])


def normal_rows(features, gaps=0.05):
    def make(_, count, random):
        rows = random.normal(size=(count, features))
        rows[random.random(rows.shape) < gaps] = np.nan
        return rows

    return make


def flights():
    rows = load_flights(months=(1, 2, 3))
    return train(rows), rows[list(FEATURES)].head(2000), flights_rows


def boosting(features=30, trees=300):
    random = np.random.default_rng(0)
    x = normal_rows(features)(None, 20_000, random)
    known = np.nan_to_num(x)
    y = known[:, :8].sum(1) + 2 * np.sin(3 * known[:, 8]) + random.normal(size=len(x)) > 0
    model = HistGradientBoostingClassifier(max_iter=trees, early_stopping=False, random_state=0).fit(x, y)
    return model, x[:500], normal_rows(features)


def forest():
    rows = load_flights(months=(1, 2))
    words = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    encode = ColumnTransformer([("w", words, list(CATEGORIES)), ("n", SimpleImputer(), list(NUMBERS))])
    trees = RandomForestClassifier(300, max_leaf_nodes=2000, random_state=0, n_jobs=2)
    pipeline = make_pipeline(encode, trees).fit(rows[list(FEATURES)], rows[TARGET])
    pipeline[-1].n_jobs = 1
    return pipeline, rows[list(FEATURES)].head(2000), flights_rows


def digits():
    found = load_digits()
    model = RandomForestClassifier(300, random_state=0).fit(found.data, found.target)

    def rows(_, count, random):
        picked = found.data[random.integers(0, len(found.data), count)]
        return np.clip(picked + random.integers(-2, 3, picked.shape), 0, 16).astype(np.float64)

    return model, found.data[:500], rows


MODELS: dict[str, Callable] = {
    "flights": flights,
    "boosting": boosting,
    "forest": forest,
    "wide": lambda: boosting(300),
    "digits": digits,
}


def per_call(run, blocks) -> float:
    began = time.thread_time()
    for block in blocks:
        run(block)
    return (time.thread_time() - began) / len(blocks) * 1e6


def compare_speed(ours, whole, rows, rounds) -> None:
    print(f"{'rows':>6} {'kernel µs/call':>15} {'ONNX Runtime':>13} {'µs/row':>8} {'times as fast':>14}")
    for size in SIZES:
        count = max(2, ROWS_PER_ROUND // size // (4 if size == 1 else 1))
        seen: dict[str, list[float]] = {"ours": [], "whole": []}
        for number in range(rounds):
            first = number * count * size % (len(rows) - count * size)
            blocks = [rows[first + at : first + at + size] for at in range(0, count * size, size)]
            for name, run in (("ours", ours.run), ("whole", whole.run)):
                seen[name].append(per_call(run, blocks))
        mine, other = (statistics.median(seen[name]) for name in ("ours", "whole"))
        print(f"{size:>6} {mine:>15.2f} {other:>13.2f} {mine / size:>8.2f} {other / mine:>14.1f}")


def compare_bits(ours, whole, rows) -> None:
    different = 0
    blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
    blocks += [rows[row : row + 1] for row in range(min(ALONE, len(rows)))]
    for block in blocks:
        one, other = ours.run(block), whole.run(block)
        for name in ("label", "probabilities", "predictions"):
            mine, theirs = getattr(one, name), getattr(other, name)
            if mine is not None:
                different += int((mine.view(np.int64) != theirs.view(np.int64)).sum())
    missing = int(np.isnan(rows).any(axis=1).sum())
    print(f"{len(rows):,} rows, {missing:,} with missing values: {different} numbers with another bit")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--equal", type=int, default=0, help="rows to compare bit for bit")
    parser.add_argument("--models", default="flights,boosting,forest")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kernels = Path(folder) / "kernels"
        began = time.perf_counter()
        compile_kernels(kernels, [TREES])
        print(f"compiled in {time.perf_counter() - began:.2f} s")
        for name in arguments.models.split(","):
            model, example, make_rows = MODELS[name]()
            conversion = convert(model, example)
            rows = make_rows(conversion.signature, max(arguments.equal, 60_000), np.random.default_rng(1))
            ours, whole = (LoadedModel(conversion.signature, conversion.serving) for _ in range(2))
            began = time.perf_counter()
            ours.speed_up(conversion.serving, kernels)
            taken = time.perf_counter() - began
            print(f"\n{name}: {ours.executor}, chosen in {taken * 1e3:.0f} ms ({ours.why})")
            compare_speed(ours, whole, rows, arguments.rounds)
            if arguments.equal:
                compare_bits(ours, whole, rows[: arguments.equal])


if __name__ == "__main__":
    main()
