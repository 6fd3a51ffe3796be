"""Random trees, walked by hand and by ONNX Runtime."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.conversions import open_session
from modelport.formats.ensemble import Tree, add_trees, constant_tree
from modelport.formats.graph import Graph, Port

values = st.sampled_from([-1.5, 0.0, 0.1, 1.0, 2.0, 3.0, np.nan, np.inf, -np.inf, 5e-324])


@st.composite
def trees(draw, targets):
    feature, threshold, left, right, missing, members = [], [], [], [], [], {}

    def grow(depth):
        node = len(feature)
        for part in (feature, threshold, left, right, missing):
            part.append(0)
        if depth and draw(st.booleans()):
            feature[node], missing[node] = draw(st.integers(0, 2)), draw(st.booleans())
            threshold[node] = draw(st.sampled_from([-1.5, 0.0, 0.1, 1.0, 2.0]))
            if draw(st.integers(0, 3)) == 0:
                members[node] = np.array(
                    sorted(draw(st.sets(st.sampled_from([0.0, 1.0, 2.0, 3.0]), min_size=1)))
                )
            left[node] = grow(depth - 1)
            right[node] = grow(depth - 1)
        return node

    grow(4)
    count = len(feature)
    leaf = np.array(left) == 0
    return Tree(
        np.array(feature),
        np.array(threshold, float),
        np.array(left),
        np.array(right),
        leaf,
        np.array(draw(st.lists(st.floats(-3, 3), min_size=count, max_size=count))),
        np.array(missing, bool),
        draw(st.integers(0, targets - 1)),
        members,
    )


def walk(tree, row):
    node = 0
    while not tree.leaf[node]:
        value = row[tree.feature[node]]
        if np.isnan(value):
            goes_left = tree.missing_left[node]
        elif node in tree.members:
            goes_left = value in tree.members[node]
        else:
            goes_left = value <= tree.threshold[node]
        node = tree.left[node] if goes_left else tree.right[node]
    return tree.value[node]


@settings(max_examples=60, deadline=None)
@given(st.data(), st.lists(st.tuples(values, values, values), min_size=1, max_size=30))
def test_trees_are_walked_and_added_in_order(data, rows):
    targets = data.draw(st.integers(1, 3))
    some = [constant_tree(0.3, target) for target in range(targets)]
    some += data.draw(st.lists(trees(targets), min_size=1, max_size=6))
    rows = np.array(rows)
    graph = Graph()
    result = add_trees(graph, "x", some, targets)
    model = graph.model([Port("x", 11, (None, 3))], {Port("y", 11, (None, targets)): result})
    (found,) = open_session(model).run(None, {"x": rows})
    wanted = np.zeros((len(rows), targets))
    for tree in some:
        wanted[:, tree.target] += [walk(tree, row) for row in rows]
    assert np.array_equal(found, wanted)
