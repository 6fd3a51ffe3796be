"""The kernel beside ONNX Runtime: every bit is the same, whatever the trees and the rows are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto

from fakes.ensembles import assert_same_bits, beside, classes_of, graph_of, runs
from fakes.graphs import linear_regression
from fakes.trees import trees, values
from modelport.formats.ensemble import Tree, constant_tree
from modelport.formats.graph import Port
from modelport.formats.probabilities import against_zero, evened, exponential, label_of, softmax
from modelport.runtime.trees.ensemble import NotTaken

RANDOM = np.random.default_rng(7)
rows_of_three = st.lists(st.tuples(values, values, values), min_size=1, max_size=40)


def random_tree(random, features, depth, *, target=0, missing=True, splits=None):
    """Return a full tree of random questions, cut at random."""
    feature, threshold, left, right, leaf, value, gone = [], [], [], [], [], [], []

    def grow(level):
        node = len(leaf)
        ends = level == 0 or (level < depth and random.random() < 0.15)
        leaf.append(ends)
        feature.append(int(random.integers(features)))
        threshold.append(float(random.normal() if splits is None else random.choice(splits)))
        value.append(float(random.normal()))
        gone.append(bool(missing and random.random() < 0.5))
        left.append(0)
        right.append(0)
        if not ends:
            left[node] = grow(level - 1)
            right[node] = grow(level - 1)
        return node

    grow(depth)
    return Tree(
        np.array(feature),
        np.array(threshold),
        np.array(left),
        np.array(right),
        np.array(leaf),
        np.array(value),
        np.array(gone),
        target,
    )


def random_rows(random, count, features, special=()):
    rows = random.normal(size=(count, features))
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, *special])
    places = random.random(rows.shape) < 0.3
    rows[places] = random.choice(odd, int(places.sum()))
    return rows


@settings(max_examples=80, deadline=None)
@given(st.data(), rows_of_three)
def test_random_trees_thresholds_and_members(predict, data, rows):
    targets = data.draw(st.integers(1, 3))
    some = [constant_tree(0.3, target) for target in range(targets)]
    some += data.draw(st.lists(trees(targets), min_size=1, max_size=20))
    assert_same_bits(predict, graph_of(some, targets), np.array(rows), native=1)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(trees(1), min_size=1, max_size=9), rows_of_three, st.sampled_from([1.0, 2.0]), st.integers(0, 1)
)
def test_a_binary_classifier_ends_in_the_kernel(predict, some, rows, factor, tie):
    content = graph_of(some, 1, finish=logistic(factor, tie))
    assert_same_bits(predict, content, np.array(rows), native=2)


def logistic(factor=1.0, tie=0):
    def finish(graph, raw):
        pair = against_zero(factor).write(graph, raw)
        return classes_of(label_of(graph, pair, tie=tie), softmax(graph, pair, 2), 2)

    return finish


@pytest.mark.parametrize("classes", [2, 3, 4, 5, 6, 7, 10])
def test_many_classes_end_in_the_kernel(predict, classes):
    random = np.random.default_rng(classes)
    some = [constant_tree(float(random.normal()), target) for target in range(classes)]
    some += [random_tree(random, 6, 4, target=number % classes) for number in range(7 * classes)]

    def finish(graph, raw):
        sums = evened(classes).write(graph, raw)
        return classes_of(label_of(graph, sums), softmax(graph, sums, classes), classes)

    content = graph_of(some, classes, features=6, finish=finish)
    assert_same_bits(predict, content, random_rows(random, 300, 6), alone=40, native=2)


def test_a_logarithmic_link_ends_in_the_kernel(predict):
    powers = np.concatenate([beside([0.0, 1.0, -1.0, 300.0, 700.0, -700.0]), RANDOM.normal(0, 20, 2000)])

    def finish(graph, raw):
        return {Port("predictions", TensorProto.DOUBLE, (None, 1)): exponential(graph, raw)}

    content = graph_of([_staircase(powers)], 1, features=1, finish=finish)
    assert_same_bits(predict, content, np.arange(len(powers), dtype=float)[:, np.newaxis], native=2)


def test_probabilities_of_large_small_and_equal_sums(predict):
    sums = np.concatenate([beside([0.0, 1.0, -1.0, 709.0, -745.2, -745.1, 40.0]), RANDOM.normal(0, 30, 3000)])
    order = np.argsort(sums)
    content = graph_of([_staircase(sums[order])], 1, features=1, finish=logistic())
    assert_same_bits(predict, content, np.arange(len(sums), dtype=np.float64)[:, np.newaxis], native=2)


def _staircase(answers):
    """Return a balanced tree of one feature: row i gets the i-th answer."""
    feature, threshold, left, right, leaf, value = [], [], [], [], [], []

    def grow(first, last):
        node = len(leaf)
        middle = (first + last) // 2
        leaf.append(first == last)
        feature.append(0)
        threshold.append(float(middle))
        value.append(float(answers[first]))
        left.append(0)
        right.append(0)
        if first < last:
            left[node] = grow(first, middle)
            right[node] = grow(middle + 1, last)
        return node

    grow(0, len(answers) - 1)
    count = len(leaf)
    return Tree(
        np.array(feature),
        np.array(threshold),
        np.array(left),
        np.array(right),
        np.array(leaf),
        np.array(value),
        np.zeros(count, bool),
    )


@pytest.mark.parametrize("features", [1, 40, 700])
def test_deep_trees_of_many_features(predict, features):
    random = np.random.default_rng(features)
    some = [random_tree(random, features, int(random.integers(1, 11))) for _ in range(21)]
    splits = np.concatenate([tree.threshold for tree in some])
    rows = random_rows(random, 200, features, special=random.choice(beside(splits), 60))
    assert_same_bits(predict, graph_of(some, 1, features=features), rows, native=1)


def test_more_thresholds_than_sixteen_bits_tell_apart(predict):
    count = 70_000
    stairs = _staircase(RANDOM.normal(size=count))
    content = graph_of([stairs, stairs], 1, features=1)
    rows = np.concatenate([RANDOM.integers(0, count, 3000), [0, 65533, 65534, 65535, 65536, count]]).astype(
        float
    )
    rows = np.concatenate([rows, beside(rows[:500]), [np.nan, np.inf, -np.inf]])[:, np.newaxis]
    assert_same_bits(predict, content, rows, native=1)


def test_a_batch_larger_than_a_block_and_of_any_rest(predict):
    random = np.random.default_rng(3)
    some = [random_tree(random, 5, 6) for _ in range(11)]
    content = graph_of(some, 1, features=5)
    for count in (7, 8, 9, 511, 513, 1031):
        assert_same_bits(predict, content, random_rows(random, count, 5), alone=0)


def test_several_threads_share_one_model(predict):
    random = np.random.default_rng(4)
    content = graph_of([random_tree(random, 4, 7) for _ in range(40)], 1, features=4)
    session, names, (call,) = runs(predict, content)
    blocks = [random_rows(random, 300, 4) for _ in range(24)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda block: call(names, block)[0], blocks))
    for block, answers in zip(blocks, found, strict=True):
        assert answers.tobytes() == session.run(names, block)[0].tobytes()


@pytest.mark.parametrize(
    "matrix",
    [
        pytest.param(np.zeros((4, 3), np.float32), id="float32"),
        pytest.param(np.zeros((4, 3), ">f8"), id="swapped bytes"),
        pytest.param(np.zeros((3, 4)).T, id="other order"),
        pytest.param(np.zeros((4, 6))[:, ::2], id="with gaps"),
        pytest.param(np.zeros((4, 2)), id="too narrow"),
        pytest.param(np.zeros(3), id="a vector"),
        pytest.param([[0.0, 0.0, 0.0]], id="no array"),
    ],
)
def test_another_matrix_is_left_to_onnx_runtime(predict, matrix):
    session, names, (call,) = runs(predict, graph_of([constant_tree(1.5)], 1))
    try:
        wanted = session.run(names, matrix)
    except Exception as error:  # noqa: BLE001 - whatever it says, we say too
        with pytest.raises(type(error)):
            call(names, matrix)
    else:
        assert call(names, matrix)[0].tobytes() == wanted[0].tobytes()


def test_a_tree_that_adds_to_several_outputs_is_not_taken(predict):
    tree = random_tree(np.random.default_rng(0), 3, 2)
    content = graph_of([tree], 2)
    model = ModelProto()
    model.ParseFromString(content)
    targets = next(each for each in model.graph.node[0].attribute if each.name == "leaf_targetids")
    targets.ints[0] = 1
    with pytest.raises(NotTaken):
        runs(predict, model.SerializeToString())


def test_a_graph_without_trees_is_not_taken(predict):
    with pytest.raises(NotTaken):
        runs(predict, linear_regression(3))
