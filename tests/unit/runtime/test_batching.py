"""Requests that share a run get their own answers, and their own failures."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fakes.graphs import linear_classifier
from fakes.signatures import matrix_signature
from modelport.runtime.batching import join, plan, run_together
from modelport.runtime.model import LoadedModel
from modelport.runtime.outputs import Outputs
from modelport.runtime.rows import Rows


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 64))
def test_a_plan_covers_every_request_once_within_the_limit(counts: list[int], rows_max: int) -> None:
    groups = plan(counts, rows_max)
    assert [index for start, stop in groups for index in range(start, stop)] == list(range(len(counts)))
    for start, stop in groups:
        assert sum(counts[start:stop]) <= rows_max or stop - start == 1
    for (start, stop), (_, after) in itertools.pairwise(groups):
        assert sum(counts[start : stop + 1]) > rows_max, (start, after)  # no run is split without need


def requests_of(*blocks: np.ndarray) -> list[Rows]:
    return [Rows(block.tobytes(), len(block)) for block in blocks]


def test_a_shared_run_answers_as_runs_alone() -> None:
    model = LoadedModel(matrix_signature(5), linear_classifier(5))
    rng = np.random.default_rng(1)
    blocks = [rng.normal(size=(count, 5)) for count in (1, 7, 2, 1)]
    requests = requests_of(*blocks)
    answers = run_together(model.run, requests, join(requests), 5)
    encoder = model.encoder_for(None)
    for block, answer in zip(blocks, answers, strict=True):
        assert not isinstance(answer, Exception)
        assert encoder.encode(*answer) == encoder.encode(model.run(block), 0, len(block))


def test_a_request_that_fails_leaves_its_neighbours_their_answers() -> None:
    def run(matrix: np.ndarray) -> Outputs:
        if (matrix < 0).any():
            raise ArithmeticError("negative")
        return Outputs(predictions=matrix * 2)

    requests = requests_of(np.array([[1.0]]), np.array([[-1.0]]), np.array([[3.0]]))
    answers = run_together(run, requests, join(requests), 1)
    assert isinstance(answers[1], ArithmeticError)
    for answer, expected in ((answers[0], 2.0), (answers[2], 6.0)):
        assert not isinstance(answer, Exception)
        outputs, start, stop = answer
        assert outputs.rows(start, stop).predictions.tolist() == [[expected]]


def test_a_single_request_is_not_copied() -> None:
    request = Rows(np.arange(6.0).tobytes(), 3)
    assert join([request]) is request.data
