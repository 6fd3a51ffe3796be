"""Requests that no flights model can answer: content type x what is wrong with them, at least ten each.

Every case is built on `FLIGHTS`; where it concerns one row or one feature, the answer must name it.
"""

from __future__ import annotations

from fakes.malformed_arrow import arrow_cases
from fakes.malformed_case import ARROW, CSV, JSON, JSON_LINES, KINDS, NPY, NPZ, TENSORS, Malformed
from fakes.malformed_csv import csv_cases
from fakes.malformed_json import json_cases, json_lines_cases
from fakes.malformed_npy import npy_cases
from fakes.malformed_npz import npz_cases
from fakes.malformed_packed import packed_cases
from fakes.malformed_tensors import tensor_cases

__all__ = ["CONTENT_TYPES", "JSON", "KINDS", "TENSORS", "Malformed", "malformed_requests"]

CONTENT_TYPES = (JSON, JSON_LINES, CSV, NPY, NPZ, ARROW, TENSORS)


def malformed_requests() -> list[Malformed]:
    """Return all cases, the same at every call."""
    return [
        *json_cases(),
        *json_lines_cases(),
        *csv_cases(),
        *npy_cases(),
        *npz_cases(),
        *arrow_cases(),
        *tensor_cases(),
        *packed_cases(),
    ]
