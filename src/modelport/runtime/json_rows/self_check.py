"""Whether freshly compiled code reads rows: asked in a process that may die of it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from modelport.domain.errors import ModelportError
from modelport.domain.signature import Feature, FeatureType
from modelport.runtime.cells import Cell
from modelport.runtime.json_rows.reader import load_reader

HEAD = re.compile(rb"\[")
FEATURES = (
    Feature("a", FeatureType.DOUBLE, missing=True),
    Feature("b", FeatureType.CATEGORY, unknown=False, vocabulary=("x", "é")),
    Feature("c", FeatureType.BOOL),
)
OBJECTS = '[{"a":1.5,"b":"x","c":true}, {"c":false,"b":"é","a":null},{"a":-0.1e-30,"b":"x","c":true}]'
LISTS = '[[1.5, "x", true], [null, "é", false], [-0.00000000000000000000000000000010, "x", true]]'
WANTED = np.array([[1.5, 0.0, 1.0], [np.nan, 1.0, 0.0], [-0.1e-30, 0.0, 1.0]])
NO_ROWS = ('[{"a":1,"b":"y","c":true}]', '[[1.5,"x",true],[1.5,"x",1]]', '[[1.5,"x",true,2]]', "[[1.5]]")


def check_code(folder: Path) -> None:
    """Read some rows that it takes, and some that it declines.

    Args:
        folder: Where the code lies.

    Raises:
        Unusable: It cannot be loaded.
        ModelportError: It reads other rows than stand there.
    """
    reader = load_reader(folder, [Cell(feature) for feature in FEATURES])
    if reader is None:
        raise ModelportError("the compiled kernel for JSON rows does not know plain features")
    for text, keyed in ((OBJECTS, True), (LISTS, False)):
        rows = reader.read(text.encode(), HEAD, wrapped=False, keyed=keyed)
        if rows is None or not np.array_equal(rows.matrix(), WANTED, equal_nan=True):
            raise ModelportError("the compiled kernel for JSON rows does not read them right on this machine")
    for text in NO_ROWS:
        if reader.read(text.encode(), HEAD, wrapped=False, keyed=text[1] == "{") is not None:
            raise ModelportError(f"the compiled kernel for JSON rows takes {text}")
