"""Who answers: the kernel only where its bits are ONNX Runtime's and it is faster."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from fakes.ensembles import graph_of
from fakes.graphs import linear_regression
from fakes.signatures import regression_signature
from modelport.formats.ensemble import constant_tree
from modelport.runtime.model import LoadedModel
from modelport.runtime.session import Session
from modelport.runtime.trees.choosing import choose

NAMES = ["predictions"]
GRAPH = graph_of([constant_tree(1.5), constant_tree(0.25)], 1)
SIGNATURE = regression_signature(3)
ROWS = np.zeros((600, 3))


class Watch:
    """Time that passes only when somebody works."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time


class Slow(Session):
    """A session that takes as long as it is told: `fixed` for each call and `row` for each row."""

    def __init__(self, graph, watch, fixed, row):
        super().__init__(graph)
        self.watch, self.fixed, self.row, self.calls = watch, fixed, row, 0

    def run(self, names, matrix, stop=None):
        self.calls += 1
        self.watch.time += self.fixed + self.row * len(matrix)
        return super().run(names, matrix, stop)


def kernel(predict, watch, fixed, row, *, error=0.0):
    """Return the kernel, taking as long as it is told, and off by `error`."""

    def run(plan, matrix, first, second):
        rows = len(ctypes.cast(matrix, ctypes.py_object).value)
        watch.time += fixed + row * rows
        done = predict(plan, matrix, first, second)
        ctypes.cast(first, ctypes.py_object).value[:] += error
        return done

    return run


def chosen(predict, whole, ours, **options):
    watch = Watch()
    session = Slow(GRAPH, watch, *whole)
    choice = choose(session, GRAPH, NAMES, SIGNATURE, kernel(predict, watch, *ours, **options), watch.now)
    session.calls = 0
    return choice, session


def test_a_faster_kernel_answers(predict):
    choice, session = chosen(predict, (5e-6, 1e-5), (1e-6, 2e-6))
    assert choice.executor == "trees"
    assert (choice.run(NAMES, ROWS)[0] == 1.75).all()
    assert session.calls == 0


def test_a_slower_kernel_does_not(predict):
    choice, session = chosen(predict, (1e-6, 1e-6), (2e-6, 2e-6))
    assert choice.executor == "onnxruntime"
    choice.run(NAMES, ROWS)
    assert session.calls == 1


@pytest.mark.parametrize(
    ("whole", "ours", "few", "many"),
    [((9e-6, 1e-7), (1e-6, 1e-6), 0, 1), ((1e-6, 1e-6), (9e-6, 1e-7), 1, 0)],
    ids=["for few rows", "for many rows"],
)
def test_each_answers_where_it_is_faster(predict, whole, ours, few, many):
    choice, session = chosen(predict, whole, ours)
    assert choice.executor == "trees"
    choice.run(NAMES, ROWS[:1])
    assert session.calls == few
    choice.run(NAMES, ROWS)
    assert session.calls == few + many


def test_one_wrong_bit_is_enough(predict):
    choice, _ = chosen(predict, (5e-6, 1e-5), (1e-6, 2e-6), error=2.3e-16)
    assert choice.executor == "onnxruntime"
    assert "bits" in choice.why


def test_a_model_without_trees_is_left_alone(kernels):
    model = LoadedModel(regression_signature(2), linear_regression(2))
    model.speed_up(linear_regression(2), kernels)
    assert model.executor == "onnxruntime"


def test_without_a_compiled_kernel_onnx_runtime_answers(tmp_path):
    model = LoadedModel(SIGNATURE, GRAPH)
    model.speed_up(GRAPH, tmp_path)
    assert model.executor == "onnxruntime"
    assert "no compiled kernel" in model.why
    assert (model.run(ROWS).predictions == 1.75).all()
