"""Random trees, walked by hand and by ONNX Runtime."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.conversions import open_session
from fakes.trees import trees, values, walk
from modelport.formats.ensemble import add_trees, constant_tree
from modelport.formats.graph import Graph, Port


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
