"""Random trees, rows that are hard for them, and a walk that is easy to check by eye."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from modelport.formats.ensemble import Tree

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
