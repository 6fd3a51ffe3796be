"""Each operation gives the same in ONNX Runtime as in numpy: the same bits, or the last few for functions."""

import numpy as np
import pytest

from fakes.conversions import open_session
from modelport.formats.elementwise import KINDS, Operation
from modelport.formats.graph import Graph, Port

INEXACT = {"exp", "expm1", "log", "log1p", "log2", "log10", "power"}
ODD = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-300, -1e-10, 1e-17, 1e300, 5e-324, 1.0, -1.0, -0.5, 709.0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("single", [False, True])
def test_both_forms_agree(kind, single):
    dtype = np.float32 if single else np.float64
    with np.errstate(all="ignore"):
        values = np.concatenate([ODD, np.random.default_rng(0).normal(0, 3, 500)]).astype(dtype)
    count = {"clip": 2, "fill": 1, "fill_equal": 2, "is_equal": 1, "power": 1}.get(
        kind, 1 if kind in {"add", "subtract", "multiply", "divide"} else 0
    )
    constants = tuple(np.array([each], dtype) for each in (0.7, 2.3)[:count])
    operation = Operation(kind, constants)
    graph = Graph()
    element = 1 if single else 11
    result = operation.write(graph, "x", single=single)
    model = graph.model([Port("x", element, (None, 1))], {Port("y", element, (None, 1)): result})
    with np.errstate(all="ignore"):
        wanted = operation.compute(values)
    (found,) = open_session(model).run(None, {"x": values.reshape(-1, 1)})
    found = found.ravel()
    assert found.dtype == wanted.dtype == dtype
    if kind in INEXACT:
        np.testing.assert_allclose(found, wanted, rtol=8 * np.finfo(dtype).eps, atol=5e-324 if single else 0)
    else:
        np.testing.assert_array_equal(found, wanted)


def test_numpy_keeps_the_type_of_the_left_side():
    operation = Operation("multiply", (np.array([0.1]),))  # a double constant on float32
    values = np.array([3.0], np.float32)
    wanted = values.copy()
    wanted *= np.array([0.1])
    assert operation.compute(values) == wanted
    graph = Graph()
    result = operation.write(graph, "x", single=True)
    model = graph.model([Port("x", 1, (None, 1))], {Port("y", 1, (None, 1)): result})
    (found,) = open_session(model).run(None, {"x": values.reshape(1, 1)})
    assert found.ravel().tolist() == wanted.tolist()
