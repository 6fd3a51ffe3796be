"""What a worker may hold in models, and what is taken and given back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from modelport.dataplane.memory import (
    allocated_bytes,
    budget_for_models,
    give_back,
    machine_bytes,
    resident_bytes,
)
from modelport.settings import Settings

GIB = 1 << 30


@pytest.mark.parametrize(
    ("settings", "machine", "budget"),
    [
        ({"workers": 1}, 8 * GIB, 4 * GIB),
        ({"workers": 4}, 8 * GIB, GIB),
        ({"workers": 4, "model_memory_bytes_max": 3 * GIB}, 8 * GIB, 3 * GIB),
        ({"workers": 2, "worker_memory_bytes_max": GIB}, 8 * GIB, GIB // 2),
        ({"workers": 2, "worker_memory_bytes_max": 9 * GIB}, 8 * GIB, 2 * GIB),
    ],
)
def test_a_worker_has_its_share_of_half_the_memory(settings, machine, budget):
    assert budget_for_models(Settings(home=Path("/home"), **settings), machine) == budget


def test_the_machine_holds_what_this_process_takes():
    assert 0 < resident_bytes() < machine_bytes()


def test_what_is_allocated_grows_by_what_is_asked_for_and_shrinks_again():
    before = allocated_bytes()
    held = np.ones(16 << 20, np.uint8)
    grown = allocated_bytes() - before
    del held
    give_back()
    assert (15 << 20) < grown < (17 << 20)
    assert allocated_bytes() - before < 1 << 20
